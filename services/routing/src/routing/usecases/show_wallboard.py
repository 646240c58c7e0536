"""What goes on in a workspace now."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cordboard_chassis.unit_of_work import UnitOfWork

from routing.domain import figures
from routing.domain.times import milliseconds, moment
from routing.live import INTERVAL_MS
from routing.storage import queries
from routing.usecases.put_queue import MAX_QUEUES


@dataclass(slots=True)
class QueueFigures:
    """One queue: what is in it now, and what happened in it within the window."""

    queue_id: str
    name: str
    waiting: int = 0
    offered: int = 0
    accepted: int = 0
    waiting_since: datetime | None = None
    submitted: int = 0
    answered: int = 0
    answered_in_time: int = 0
    completed: int = 0
    cancelled: int = 0
    waited_ms: int = 0

    @property
    def wait_mean_s(self) -> float | None:
        """See `domain.figures`."""
        return figures.wait_mean_s(self.answered, self.waited_ms)

    @property
    def service_level(self) -> float | None:
        """See `domain.figures`."""
        return figures.service_level(self.answered, self.answered_in_time, self.cancelled)


@dataclass(slots=True)
class Figures:
    """A whole workspace."""

    since: datetime
    queues: list[QueueFigures] = field(default_factory=list)
    agents: dict[str, int] = field(default_factory=dict)


async def show_wallboard(uow: UnitOfWork, workspace_id: str, window_minutes: int) -> Figures:
    """Four statements, whatever goes on: open items by index, the rest from figures that the owner keeps."""
    reach_ms = milliseconds(uow.now - timedelta(minutes=window_minutes))
    since = moment(reach_ms - reach_ms % INTERVAL_MS)
    configured = await queries.list_queues(uow, workspace_id, None, MAX_QUEUES)
    queues = {row.queue_id: QueueFigures(row.queue_id, row.name) for row in configured}
    for row in await queries.open_figures(uow, workspace_id):
        queue = queues.setdefault(row.queue, QueueFigures(row.queue, ""))
        setattr(queue, row.state, row.items)
        if row.state == "waiting":
            queue.waiting_since = row.oldest
    for row in await queries.recent_figures(uow, workspace_id, since):
        queue = queues.setdefault(row.queue_id, QueueFigures(row.queue_id, ""))
        queue.submitted, queue.answered = int(row.submitted), int(row.accepted)
        queue.answered_in_time, queue.waited_ms = int(row.accepted_in_time), int(row.waited_ms)
        queue.completed, queue.cancelled = int(row.completed), int(row.cancelled)
    agents = {row.state: row.agents for row in await queries.agent_figures(uow, workspace_id)}
    return Figures(since, [queues[queue_id] for queue_id in sorted(queues)], agents)

"""How many decisions a second the routing core makes, alone on one core, without storage and bus.

A decision is a whole cycle: an item is submitted, offered, accepted and completed. ``backlog``: all agents
work and ``waiting`` items wait, so each completion takes the most urgent item for that agent. ``idle``: agents
wait, so each item takes the best agent. Each is the best of several runs, in CPU seconds of this process, with the
garbage collector at work as it is by default.
"""

import gc
import json
import random
import resource
import sys
from time import process_time
from typing import Any

from routing.engine import (
    AcceptAssignment,
    AgentProfile,
    AssignmentOffered,
    Capacity,
    CompleteAssignment,
    Effect,
    Engine,
    Input,
    Item,
    Mode,
    PutAgent,
    PutQueue,
    QueueConfig,
    Requirement,
    SetMode,
    SubmitItem,
    WorkKind,
)

KINDS = [WorkKind.CALL] * 7 + [WorkKind.LEAD] * 2 + [WorkKind.SERVICE_REQUEST]
SKILLS = 100
SKILLS_OF_A_PROFILE = 10
RUNS = 5


class Centre:
    """A contact centre of a given size; what it does is fixed by the seed."""

    def __init__(self, agents: int, profiles: int, queues: int, seed: int) -> None:
        self.random = random.Random(seed)
        self.engine = Engine(lambda token: f"assignment-{token}")
        self.now = 1_700_000_000_000
        self.submitted = 0
        self.accepted: list[str] = []
        self.profiles = [self._profile() for _ in range(profiles)]
        self.demands = [(f"queue-{q}", *self._demand()) for q in range(queues)]
        for queue, _, _ in self.demands:
            self.step(PutQueue(QueueConfig(queue)))
        for n in range(agents):
            agent = f"agent-{n}"
            self.step(PutAgent(agent, self.profiles[n % profiles]))
            self.step(SetMode(agent, Mode.READY))

    def _profile(self) -> AgentProfile:
        skills = self.random.sample(range(SKILLS), SKILLS_OF_A_PROFILE)
        items = {WorkKind.CALL: 1, WorkKind.LEAD: 2, WorkKind.SERVICE_REQUEST: 2}
        return AgentProfile(
            skills={f"skill-{s}": self.random.randint(30, 100) for s in skills},
            capacity=Capacity(items),
            device_id="device",
        )

    def _demand(self) -> tuple[WorkKind, Requirement]:
        """One or two skills that at least one profile has."""
        skills = self.random.choice(self.profiles).skills
        chosen = self.random.sample(sorted(skills), self.random.choice([1, 1, 2]))
        needs = {skill: min(skills[skill], self.random.choice([10, 30, 50])) for skill in chosen}
        return self.random.choice(KINDS), Requirement.of(needs)

    def step(self, input: Input) -> list[Effect]:
        """One input, one millisecond later. Agents accept at once what they are offered."""
        self.now += 1
        effects = self.engine.step(input, self.now)
        for effect in effects:
            if type(effect) is AssignmentOffered:
                assignment_id = effect.assignment.assignment_id
                self.engine.step(AcceptAssignment(assignment_id), self.now)
                self.accepted.append(assignment_id)
        return effects

    def submit(self, count: int) -> None:
        """More items arrive."""
        for queue, kind, requirement in self.random.choices(self.demands, k=count):
            self.submitted += 1
            priority = 5 if self.submitted % 10 == 0 else 0
            item = Item(f"item-{self.submitted}", kind, queue, requirement, priority, self.now)
            self.step(SubmitItem(item))

    def fill(self, waiting: int) -> None:
        """Items arrive until so many wait."""
        while (missing := waiting - self.engine.waiting()) > 0:
            self.submit(missing)

    def decide(self, decisions: int) -> float:
        """Submit and complete as many items; returns decisions a second."""
        accepted = self.accepted
        picks = [self.random.random() for _ in range(decisions)]
        gc.collect()
        began = process_time()
        for pick in picks:
            self.submit(1)
            n = int(pick * len(accepted))
            done, accepted[n] = accepted[n], accepted[-1]
            accepted.pop()
            self.step(CompleteAssignment(done))
        return decisions / (process_time() - began)


def run(
    agents: int = 10_000,
    profiles: int = 200,
    queues: int = 500,
    waiting: int = 100_000,
    decisions: int = 50_000,
    seed: int = 1,
) -> dict[str, Any]:
    """Measure both regimes at one scale."""
    centre = Centre(agents, profiles, queues, seed)
    centre.submit(agents // 2)
    idle = max(centre.decide(decisions // RUNS) for _ in range(RUNS))
    centre.fill(waiting)
    backlog = max(centre.decide(decisions // RUNS) for _ in range(RUNS))
    return {
        "agents": agents,
        "profiles": profiles,
        "queues": queues,
        "waiting": waiting,
        "idle_decisions_per_s": round(idle),
        "backlog_decisions_per_s": round(backlog),
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


if __name__ == "__main__":
    json.dump(run(*map(int, sys.argv[1:])), sys.stdout, indent=2)

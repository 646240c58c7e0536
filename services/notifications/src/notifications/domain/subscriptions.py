"""Who wants which event."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from notifications.domain.patterns import matches_any


@dataclass(frozen=True)
class Subscription:
    """An endpoint's wish: events of these types from this part of the organisation."""

    endpoint_id: UUID
    org_path: str
    patterns: tuple[str, ...]


class Subscriptions:
    """All subscriptions, arranged so that an event costs as much as its path is deep, however many there are."""

    def __init__(self, subscriptions: Iterable[Subscription]) -> None:
        self._all = tuple(subscriptions)
        self._by_type: dict[str, dict[str, list[UUID]]] = {}

    def matching(self, event_type: str, org_path: str) -> Sequence[UUID]:
        """Endpoints that get an event of this type that happened at ``org_path``."""
        places = self._by_type.get(event_type)
        if places is None:
            # The types are those of the contracts, so this stays small.
            places = self._by_type[event_type] = self._places(event_type)
        if not places:
            return ()
        return [endpoint_id for place in ancestry(org_path) for endpoint_id in places.get(place, ())]

    def _places(self, event_type: str) -> dict[str, list[UUID]]:
        places: dict[str, list[UUID]] = defaultdict(list)
        for subscription in self._all:
            if matches_any(subscription.patterns, event_type):
                places[subscription.org_path].append(subscription.endpoint_id)
        return dict(places)


def ancestry(org_path: str) -> list[str]:
    """The path itself and everything that contains it: ``/cn/east`` -> ``/``, ``/cn``, ``/cn/east``."""
    if org_path == "/":
        return ["/"]
    parts = org_path.split("/")
    return ["/", *("/".join(parts[:depth]) for depth in range(2, len(parts) + 1))]

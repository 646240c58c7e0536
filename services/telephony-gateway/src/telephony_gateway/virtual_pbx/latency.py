"""How fast the gateway reacts, measured where it counts: at the PBX's end of the wire.

Times are microseconds of the monotonic clock. Nothing here knows whether an agent was free for routing; a
sample says what the PBX saw, so that whoever evaluates can choose.
"""

from collections import deque
from dataclasses import dataclass
from itertools import islice

SAMPLES = 100_000


@dataclass(frozen=True, slots=True)
class AssignmentSample:
    """From the moment ``offered`` was written to the wire until the call's first connect command came in."""

    call: str
    told_us: int
    connected_us: int
    free_devices: int
    """How many devices could have taken it when it was offered."""
    waiting_before: int
    """How many other calls waited then."""

    @property
    def latency_us(self) -> int:
        """The time between."""
        return self.connected_us - self.told_us


@dataclass(frozen=True, slots=True)
class FreedSample:
    """From the moment a device was reported free while calls waited until the next connect command for it."""

    device: str
    call: str
    told_us: int
    connected_us: int
    waiting: int
    """How many calls waited when it became free."""

    @property
    def latency_us(self) -> int:
        """The time between."""
        return self.connected_us - self.told_us


@dataclass(slots=True)
class _Told:
    at_us: int
    free_devices: int
    waiting_before: int


class Latencies:
    """Watches calls and devices until the gateway acts, and keeps the newest samples."""

    def __init__(self) -> None:
        self.assignments: deque[AssignmentSample] = deque(maxlen=SAMPLES)
        self.assignments_made = 0
        self.freed: deque[FreedSample] = deque(maxlen=SAMPLES)
        self.freed_made = 0
        self._offered: dict[str, _Told] = {}
        self._free: dict[str, tuple[int, int]] = {}

    def offered(self, call: str, at_us: int, free_devices: int, waiting_before: int) -> None:
        """``offered`` was written to a gateway. Only the first time counts."""
        self._offered.setdefault(call, _Told(at_us, free_devices, waiting_before))

    def ended(self, call: str) -> None:
        """The call is over; what was not connected gives no sample."""
        self._offered.pop(call, None)

    def device_free(self, device: str, at_us: int, waiting: int) -> None:
        """A device was reported free."""
        if waiting > 0:
            self._free[device] = (at_us, waiting)

    def device_taken(self, device: str) -> None:
        """It is no longer free, for whatever reason."""
        self._free.pop(device, None)

    def connect(self, call: str, device: str, at_us: int) -> None:
        """A connect command came in."""
        told = self._offered.pop(call, None)
        if told is not None:
            self.assignments_made += 1
            self.assignments.append(AssignmentSample(call, told.at_us, at_us, told.free_devices, told.waiting_before))
        freed = self._free.pop(device, None)
        if freed is not None:
            self.freed_made += 1
            self.freed.append(FreedSample(device, call, freed[0], at_us, freed[1]))

    def forget(self) -> None:
        """The PBX crashed: what was told is void, the samples stay."""
        self._offered.clear()
        self._free.clear()

    def summary(self) -> dict[str, dict[str, float | int]]:
        """Percentiles in milliseconds: of calls that found a free device and nobody before them, of all calls,
        and of devices that became free while calls waited."""
        at_once = [
            sample.latency_us for sample in self.assignments if sample.free_devices > 0 and sample.waiting_before == 0
        ]
        return {
            "assignment": percentiles(at_once),
            "assignment_all": percentiles([sample.latency_us for sample in self.assignments]),
            "freed": percentiles([sample.latency_us for sample in self.freed]),
        }

    def assignments_after(self, after: int, limit: int) -> list[AssignmentSample]:
        """Samples from number ``after`` on, counted from 0; those that fell out of the memory are left out."""
        skip = max(0, after - (self.assignments_made - len(self.assignments)))
        return list(islice(self.assignments, skip, skip + limit))

    def freed_after(self, after: int, limit: int) -> list[FreedSample]:
        """As `assignments_after`."""
        skip = max(0, after - (self.freed_made - len(self.freed)))
        return list(islice(self.freed, skip, skip + limit))


def percentiles(latencies_us: list[int]) -> dict[str, float | int]:
    """Number, p50, p95, p99 and maximum in milliseconds (nearest rank); zeros when there are none."""
    ordered = sorted(latencies_us)
    count = len(ordered)

    def at(share: float) -> float:
        return ordered[min(count - 1, int(share * count))] / 1000 if ordered else 0.0

    return {"n": count, "p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "max": at(1.0)}

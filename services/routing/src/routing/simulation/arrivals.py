"""When calls arrive, one type at a time, each from a stream of random numbers of its own."""

from collections.abc import Iterator
from random import Random

from routing.simulation.scenario import Arrival, CallType, Time


def arriving(call_type: CallType, time: Time, chance: Random, shared: Random) -> Iterator[Arrival]:
    """The calls of one replication in the order of their times, within the horizon.

    ``chance`` is this type's; ``shared`` gives every type with the same factor the same draw.
    """
    arrivals = call_type.arrivals
    if arrivals.recorded is not None:
        yield from (call for call in arrivals.recorded.calls if call.at_s < time.horizon_s)
        return
    factor = 1.0
    if arrivals.daily_factor is not None:
        shape = arrivals.daily_factor.shape
        factor = (shared if arrivals.daily_factor.shared else chance).gammavariate(shape, 1 / shape)
    for at_s in _poisson([rate * factor / 3600 for rate in arrivals.poisson_per_hour or ()], time, chance):
        yield Arrival(at_s)


def _poisson(rates: list[float], time: Time, chance: Random) -> Iterator[float]:
    """A Poisson process whose rate (per second) is constant within each period.

    A unit-rate process with its time stretched by the cumulated rate (Cinlar, Introduction to Stochastic Processes,
    1975, section 4.7), so that one stream gives the same calls however many agents there are.
    """
    length = time.horizon_s / len(rates)
    for period, rate in enumerate(rates):
        if not rate:
            continue
        # Memoryless: what was left of the last draw when a period ends may be drawn anew.
        at_s = period * length + chance.expovariate(rate)
        while at_s < (period + 1) * length:
            yield at_s
            at_s += chance.expovariate(rate)

"""When calls come, if nobody who calls knows of anybody else."""

import random
from collections.abc import Iterator


def poisson(rate: float, seconds: float, chance: random.Random) -> Iterator[float]:
    """Moments, in seconds from 0, of a Poisson process of ``rate`` a second."""
    at_s = chance.expovariate(rate)
    while at_s < seconds:
        yield at_s
        at_s += chance.expovariate(rate)

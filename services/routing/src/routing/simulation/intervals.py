"""Estimates with confidence intervals from independent (or nearly so) parts: replications, or batches of one.

Every figure of a simulation is a quotient of two sums, or a percentile; both are estimated from all parts together
and their spread from how the parts differ.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure; the true one lies within ``mean`` +- ``half_width`` with the confidence asked for.

    ``half_width`` is None when there are fewer than two parts to tell it from.
    """

    mean: float
    half_width: float | None

    @property
    def low(self) -> float | None:
        return None if self.half_width is None else self.mean - self.half_width

    @property
    def high(self) -> float | None:
        return None if self.half_width is None else self.mean + self.half_width


def quotient(above: Sequence[float], below: Sequence[float], confidence: float) -> Estimate | None:
    """The sum of ``above`` by the sum of ``below``, one of each per part; None if the latter is 0.

    The classical estimator of a ratio of means (Law, Simulation Modeling and Analysis, 2015, section 9.5.3; Asmussen
    and Glynn, Stochastic Simulation, 2007, chapter IV.4): its variance is that of ``above - mean * below``.
    """
    total = math.fsum(below)
    if not total:
        return None
    mean, parts = math.fsum(above) / total, len(below)
    deviations = math.fsum((a - mean * b) ** 2 for a, b in zip(above, below, strict=True))
    return Estimate(mean, _half_width(deviations, parts, parts / total, confidence))


def average(values: Sequence[float], confidence: float) -> Estimate:
    """The mean of one value per part."""
    mean = math.fsum(values) / len(values)
    return Estimate(mean, _half_width(math.fsum((v - mean) ** 2 for v in values), len(values), 1, confidence))


def percentile(parts: Sequence[Sequence[float]], share: float, confidence: float) -> Estimate | None:
    """The value that ``share`` of all do not exceed; None if there are none.

    From all together; the interval by sectioning: how the parts' own percentiles lie around it (Asmussen and Glynn,
    2007, chapter III.5).
    """
    filled = [sorted(part) for part in parts if part]
    if not filled:
        return None
    mean = _rank(sorted(value for part in filled for value in part), share)
    deviations = math.fsum((_rank(part, share) - mean) ** 2 for part in filled)
    return Estimate(mean, _half_width(deviations, len(filled), 1, confidence))


def _half_width(deviations: float, parts: int, scale: float, confidence: float) -> float | None:
    if parts < 2:
        return None
    return student(1 - (1 - confidence) / 2, parts - 1) * scale * math.sqrt(deviations / (parts - 1) / parts)


def _rank(values: Sequence[float], share: float) -> float:
    return values[max(0, math.ceil(share * len(values)) - 1)]


@lru_cache(maxsize=256)
def student(share: float, freedom: int) -> float:
    """The value that a Student t variable exceeds with probability 1 - ``share``, for 0.5 <= share < 1."""
    low, high = 0.0, 2.0
    while _student_cdf(high, freedom) < share:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _student_cdf(middle, freedom) < share else (low, middle)
    return high


def _student_cdf(t: float, freedom: int) -> float:
    """For t >= 0; Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4."""
    theta = math.atan(t / math.sqrt(freedom))
    cosine, sine = math.cos(theta), math.sin(theta)
    term, total = 1.0, 0.0
    if freedom % 2:
        term = cosine
        for k in range(3, freedom + 1, 2):
            total += term
            term *= cosine**2 * (k - 1) / k
        within = 2 / math.pi * (theta + sine * total)
    else:
        for k in range(2, freedom + 1, 2):
            total += term
            term *= cosine**2 * (k - 1) / k
        within = sine * total
    return (1 + within) / 2

"""Confidence intervals: known quantiles, and how often they contain the truth."""

from random import Random

import pytest
from routing.simulation.intervals import average, percentile, quotient, student


@pytest.mark.parametrize(
    ("freedom", "share", "value"),
    [
        (1, 0.975, 12.706),
        (2, 0.975, 4.303),
        (4, 0.975, 2.776),
        (10, 0.95, 1.812),
        (29, 0.975, 2.045),
        (99, 0.995, 2.626),
    ],
)
def test_students_quantiles(freedom: int, share: float, value: float) -> None:
    """From the usual tables."""
    assert student(share, freedom) == pytest.approx(value, abs=6e-4)


def test_intervals_contain_the_truth_as_often_as_they_say() -> None:
    chance = Random(5)
    tries, averages, quotients, percentiles = 400, 0, 0, 0
    for _ in range(tries):
        counts = [chance.randint(20, 40) for _ in range(20)]
        parts = [[chance.expovariate(1) for _ in range(count)] for count in counts]
        mean = quotient([sum(part) for part in parts], counts, 0.9)
        median = percentile(parts, 0.5, 0.9)
        count = average(counts, 0.9)
        assert mean is not None and median is not None
        quotients += abs(mean.mean - 1) <= (mean.half_width or 0)
        percentiles += abs(median.mean - 0.6931) <= (median.half_width or 0)
        averages += abs(count.mean - 30) <= (count.half_width or 0)
    # 360 of 400 expected, with a standard deviation of 6.
    assert all(340 <= hits <= 384 for hits in (averages, quotients, percentiles)), (averages, quotients, percentiles)


def test_too_little_to_tell() -> None:
    assert average([3], 0.95).half_width is None
    assert quotient([0, 0], [0, 0], 0.95) is None
    assert percentile([[], []], 0.5, 0.95) is None

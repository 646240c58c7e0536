"""Faults: the whole system under traffic, something breaks, everything settles, the account is closed.

`centre` runs it and breaks it, `traffic` drives calls, leads and service requests through it, `account` says what must
be true in the end, `report` counts. One file of tests per family of faults; they share one running system, one after
the other.
"""

import pytest

ON_ONE_SYSTEM = [
    pytest.mark.asyncio(loop_scope="package"),
    pytest.mark.timeout(600),
]
"""Of every module with tests of faults."""


def seeds(nightly: int = 5) -> pytest.MarkDecorator:
    """Repeat a test with other moments and orders: one in every run, ``nightly`` more at night."""
    more = [pytest.param(seed, marks=pytest.mark.nightly) for seed in range(2, 2 + nightly)]
    return pytest.mark.parametrize("seed", [1, *more])

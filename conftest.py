"""Every test may use the chassis' fixtures (servers, issuer, deploy, bus); faults are accounted for at the end."""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

pytest_plugins = ["cordboard_chassis.testing.plugin", "tests.faults.report"]

TOGETHER = ("tests/faults/", "services/telephony-gateway/tests/live/")
"""Tests that share something which is there once: one process runs them, one after the other."""


class _Scheduling(LoadScopeScheduling):
    # xdist's own groups (3.8) are marked in node ids in a way that pytest 9.2 does not read.
    def _split_scope(self, nodeid: str) -> str:
        return next((folder for folder in TOGETHER if nodeid.startswith(folder)), nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Each test goes to whichever process is free."""
    return _Scheduling(config, log)

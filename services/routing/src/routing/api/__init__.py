"""HTTP: one module per resource."""

from routing.api import (
    agents,
    assignments,
    calendars,
    config,
    intervals,
    queues,
    rules,
    wallboard,
    work_items,
    workspaces,
)

ROUTERS = (
    workspaces.router,
    queues.router,
    calendars.router,
    rules.router,
    agents.router,
    config.router,
    work_items.router,
    assignments.router,
    wallboard.router,
    intervals.router,
)

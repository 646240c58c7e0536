"""HTTP: one module per resource."""

from routing.api import agents, assignments, calendars, queues, rules, wallboard, work_items, workspaces

ROUTERS = (
    workspaces.router,
    queues.router,
    calendars.router,
    rules.router,
    agents.router,
    work_items.router,
    assignments.router,
    wallboard.router,
)

"""HTTP: one module per resource."""

from routing.api import agents, assignments, queues, rules, wallboard, work_items, workspaces

ROUTERS = (
    workspaces.router,
    queues.router,
    rules.router,
    agents.router,
    work_items.router,
    assignments.router,
    wallboard.router,
)

"""``python -m routing``: api, worker, all, migrate, openapi, parked; simulate and staff."""

from cordboard_chassis.service import run

from routing.app import build
from routing.settings import RoutingSettings
from routing.simulation.command import simulate, staff

if __name__ == "__main__":
    run(build, RoutingSettings, extra=[simulate, staff])

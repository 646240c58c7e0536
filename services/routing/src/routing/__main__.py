"""``python -m routing``: api, worker, all, migrate, openapi, parked; config; simulate and staff."""

from cordboard_chassis.service import run

from routing.app import build
from routing.config_command import config
from routing.settings import RoutingSettings
from routing.simulation.command import simulate, staff

if __name__ == "__main__":
    run(build, RoutingSettings, extra=[config, simulate, staff])

"""``python -m routing``: api, worker, all, migrate, openapi, parked."""

from cordboard_chassis.service import run

from routing.app import build
from routing.settings import RoutingSettings

if __name__ == "__main__":
    run(build, RoutingSettings)

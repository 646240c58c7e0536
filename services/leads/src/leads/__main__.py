"""``python -m leads``."""

from cordboard_chassis.service import run

from leads.app import build
from leads.settings import LeadsSettings

if __name__ == "__main__":
    run(build, LeadsSettings)

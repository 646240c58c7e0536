"""``python -m notifications api | worker | all | migrate | openapi | parked``."""

from cordboard_chassis.service import run

from notifications.app import build
from notifications.settings import NotificationsSettings

if __name__ == "__main__":
    run(build, NotificationsSettings)

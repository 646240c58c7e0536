"""``python -m accounts api|worker|all|migrate|openapi|parked``."""

from cordboard_chassis.service import run

from accounts.app import build
from accounts.settings import AccountsSettings

if __name__ == "__main__":
    run(build, AccountsSettings)

"""The services, composed as their processes compose them, but leading nowhere."""

import importlib
from functools import cache
from typing import Any, get_type_hints

from cordboard_chassis.service import Service

PACKAGES = ("accounts", "leads", "notifications", "routing", "telephony_gateway")


@cache
def composed() -> tuple[Service, ...]:
    """Every service, from its ``app.build``."""
    return tuple(_compose(package) for package in PACKAGES)


def _compose(package: str) -> Service:
    build: Any = importlib.import_module(f"{package}.app").build
    settings = next(iter(get_type_hints(build).values()))
    service = build(settings.detached())
    assert isinstance(service, Service)
    return service

"""The guide for operators says what is in the code."""

import importlib
import re

import pytest
from cordboard_chassis.settings import ServiceSettings
from pydantic.fields import FieldInfo

from dev.places import ROOT

GUIDE = ROOT / "docs" / "guides" / "running.md"
SETTINGS = {
    "every service": ("cordboard_chassis.settings", "ServiceSettings"),
    "accounts": ("accounts.settings", "AccountsSettings"),
    "leads": ("leads.settings", "LeadsSettings"),
    "notifications": ("notifications.settings", "NotificationsSettings"),
    "routing": ("routing.settings", "RoutingSettings"),
    "telephony-gateway": ("telephony_gateway.settings", "GatewaySettings"),
}
CALCULATED = {"CORDBOARD_INSTANCE": "host and process id"}


def told(section: str) -> dict[str, str]:
    """Variables and their defaults, as a section of the guide has them."""
    found = re.search(rf"^### {re.escape(section)}\n(.*?)(?=^##)", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    return dict(re.findall(r"^\| `(CORDBOARD_\w+)` \| `?([^`|]+?)`? \|", found[1], re.MULTILINE)) if found else {}


def default_of(variable: str, field: FieldInfo) -> str:
    """As the guide writes it."""
    if field.is_required():
        return "required"
    if variable in CALCULATED:
        return CALCULATED[variable]
    if isinstance(field.default, bool):
        return str(field.default).lower()
    if isinstance(field.default, float):
        return f"{field.default:.10g}"
    return str(field.default or "none") if not isinstance(field.default, int) else str(field.default)


@pytest.mark.parametrize("section", SETTINGS)
def test_every_setting_is_in_the_guide_with_its_default(section: str) -> None:
    module, name = SETTINGS[section]
    settings: type[ServiceSettings] = getattr(importlib.import_module(module), name)
    inherited = ServiceSettings.model_fields if settings is not ServiceSettings else {}
    wanted = {
        f"CORDBOARD_{name.upper()}": default_of(f"CORDBOARD_{name.upper()}", field)
        for name, field in settings.model_fields.items()
        if name not in inherited
    }
    assert told(section) == wanted


def test_every_metric_of_the_guide_is_counted_somewhere() -> None:
    sources = "".join(
        path.read_text() for folder in ("chassis", "services") for path in (ROOT / folder).rglob("src/**/*.py")
    )
    table = GUIDE.read_text().partition("## Metrics")[2].partition("## ")[0]
    for written in re.findall(r"`((?:cordboard|telephony)_[\w{},]+)`", table):
        head, _, rest = written.partition("{")
        inner, _, tail = rest.partition("}")
        for metric in [f"{head}{each}{tail}" for each in inner.split(",")]:
            assert f'"{metric}"' in sources, metric

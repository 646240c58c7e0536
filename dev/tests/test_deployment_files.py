"""The compose file and the image run the same system as the launcher."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from cordboard_chassis.settings import ServiceSettings

from dev.constraints import constraints
from dev.places import ROOT
from dev.system import SERVICES


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The compose file."""
    return dict(yaml.safe_load((ROOT / "docker-compose.yml").read_text()))


def test_every_service_has_a_container_per_role(compose: dict[str, Any]) -> None:
    for service in SERVICES:
        for role in ("migrate", "api", "worker"):
            container = compose["services"][f"{service.name}-{role}"]
            assert container["command"] == ["python", "-m", service.package, role]
            assert f"/cordboard_{service.name}" in container["environment"]["CORDBOARD_DATABASE_URL"]
    assert compose["services"]["databases"]["environment"]["SERVICES"].split() == [name.name for name in SERVICES]


def test_every_variable_of_a_container_is_a_setting_of_its_service(compose: dict[str, Any]) -> None:
    for service in SERVICES:
        (settings,) = (
            found
            for found in vars(importlib.import_module(f"{service.package}.settings")).values()
            if isinstance(found, type) and issubclass(found, ServiceSettings) and found is not ServiceSettings
        )
        known = {f"CORDBOARD_{name.upper()}" for name in settings.model_fields}
        for role in ("migrate", "api", "worker"):
            given = compose["services"][f"{service.name}-{role}"]["environment"]
            assert given.keys() <= known
            assert "CORDBOARD_ENCRYPTION_KEYS" not in known or "CORDBOARD_ENCRYPTION_KEYS" in given


def test_prometheus_scrapes_every_process_and_alerts_on_metrics_that_there_are(compose: dict[str, Any]) -> None:
    folder = ROOT / "deploy" / "prometheus"
    jobs = {job["job_name"]: job for job in yaml.safe_load((folder / "prometheus.yml").read_text())["scrape_configs"]}
    serving = {name for name in compose["services"] if name.endswith(("-api", "-worker"))}
    assert set(jobs["cordboard"]["dns_sd_configs"][0]["names"]) == serving
    alerts = (folder / "alerts.yml").read_text()
    sources = "".join(path.read_text() for path in (ROOT / "chassis" / "src").rglob("*.py"))
    for metric in set(re.findall(r"\bcordboard_\w+", alerts)):
        assert f'"{metric}"' in sources, metric
    for page in re.findall(r"runbook: ([\w/.-]+)", alerts):
        assert (ROOT / page).exists(), page


def test_ports_are_published_on_loopback_only(compose: dict[str, Any]) -> None:
    published = [port for service in compose["services"].values() for port in service.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_whoever_is_waited_for_has_a_health_check(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for name, need in service.get("depends_on", {}).items():
            if need["condition"] == "service_healthy":
                assert "start_period" in compose["services"][name]["healthcheck"]


@pytest.mark.parametrize("name", ["docker-compose.yml", "deploy/Dockerfile"])
def test_nothing_has_to_be_fetched_to_read_the_files_and_no_secret_is_in_them(name: str) -> None:
    text = (ROOT / name).read_text()
    assert not re.search(r"^#\s*syntax\s*=", text, re.MULTILINE)
    assert not re.search(r"(?i)(password|passwd|secret|token)\w*[ \t]*[=:][ \t]*['\"]?(?!\$\{)[A-Za-z0-9]", text)


def test_constraints_for_pip_are_the_locked_versions(tmp_path: Path) -> None:
    lock = tmp_path / "uv.lock"
    lock.write_text(
        """
        [[package]]
        name = "once"
        version = "1.2"
        source = { registry = "https://example.org/simple" }
        [[package]]
        name = "twice"
        version = "1"
        source = { registry = "https://example.org/simple" }
        [[package]]
        name = "twice"
        version = "2"
        source = { registry = "https://example.org/simple" }
        [[package]]
        name = "ours"
        version = "0.1.0"
        source = { editable = "ours" }
        """
    )
    assert constraints(lock) == ["once==1.2"]
    assert len(constraints(ROOT / "uv.lock")) > 50

"""What became of the traffic: counted at the PBX, in the services, and at the partner, and compared."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import psycopg
from telephony_gateway.virtual_pbx.control import ControlClient

from dev.demo.api import Api
from dev.demo.centre import SUBSCRIBED
from dev.demo.partner import Partner
from dev.demo.running import Running
from dev.demo.traffic import Day
from dev.system import SERVICES

LEVEL_S = 20.0

_TWO_AT_ONCE = """
    SELECT count(*) FROM assignments a JOIN assignments b ON a.assignment_id < b.assignment_id
    WHERE a.accepted_at IS NOT NULL AND b.accepted_at IS NOT NULL AND a.{same} = b.{same}
      AND a.accepted_at < coalesce(b.ended_at, 'infinity') AND b.accepted_at < coalesce(a.ended_at, 'infinity')
      {more}
"""


@dataclass
class Report:
    """See the README for what each figure means."""

    values: dict[str, Any]
    problems: list[str] = field(default_factory=list)
    """Why the run was not as it must be; empty when it was."""


async def make_report(
    system: Running, api: Api, pbx: ControlClient, partner: Partner, day: Day, speed: float, others: Counter[str]
) -> Report:
    """Ask everybody."""
    stats = await pbx.stats()
    counts = stats["counts"]
    records = await pbx.records()
    interactions = await api.every("accounts", "/v1/interactions")
    written = {row["interaction_id"]: row for row in interactions}
    calls = await api.every("telephony", "/v1/calls")
    known = {row["pbx_call_id"]: row for row in calls}
    inbound = [record for record in records if record["direction"] == "inbound"]
    lost = [record["call"] for record in inbound if not _concluded(record, known, written)]
    waits = [_wait_s(record) * speed for record in inbound if record["answered_us"]]
    doubles = counts["double_connects"] + counts["double_answers"] + _doubles(system)
    latency = stats["latency_ms"]["assignment"]
    cleared = partner.subjects("telephony.call.cleared.v1")
    recorded = partner.subjects("accounts.interaction.recorded.v1")
    missing = [known[record["call"]]["call_id"] for record in inbound if record["call"] in known]
    unheard = [call_id for call_id in missing if call_id not in cleared or call_id not in recorded]
    received = {event_type: partner.count(event_type) for event_type in SUBSCRIBED}
    values: dict[str, Any] = {
        "day": day.name,
        "source": day.source,
        "speed": speed,
        "agents": len(day.seats),
        "offered": counts["offered"],
        "answered": sum(1 for record in inbound if record["answered_us"]),
        "abandoned": counts["abandoned"],
        "lost": len(lost),
        "duplicate_assignments": doubles,
        "service_level_20s": round(sum(wait <= LEVEL_S for wait in waits) / max(1, len(inbound)), 4),
        "wait_mean_s": round(sum(waits) / max(1, len(waits)), 2),
        "assign_latency_ms": {name: latency.get(name) for name in ("p50", "p95", "p99")},
        "assign_latency_samples": latency["n"],
        "interactions_written": len(written),
        "webhooks_delivered": len(partner.verified),
        "webhooks": {
            "by_type": received,
            "deliveries": partner.deliveries,
            "repeated": partner.deliveries - len(partner.verified) - partner.refused,
            "refused": partner.refused,
            "missing": len(unheard),
        },
        "transfers": counts["transfers"],
        "holds": counts["holds"],
        "not_taken": counts["legs_failed"],
        "others": dict(others),
        "messages": {service.name: await api.metrics(service.name) for service in SERVICES},
        "recorded": day.recorded,
    }
    return Report(values, _problems(values, len(inbound)))


def _concluded(record: dict[str, Any], known: dict[str, Any], written: dict[str, Any]) -> bool:
    """Whether gateway and history say of a call what the PBX says."""
    call = known.get(record["call"])
    if call is None or call["state"] != "cleared":
        return False
    interaction = written.get(call["call_id"])
    wanted = "answered" if record["answered_us"] else "abandoned"
    return interaction is not None and interaction["ended_at"] is not None and interaction["outcome"] == wanted


def _wait_s(record: dict[str, Any]) -> float:
    return float(record["answered_us"] - record["offered_us"]) / 1e6


def _doubles(system: Running) -> int:
    """Work items with two agents at once, and agents with two calls at once, in routing's books."""
    with psycopg.connect(system.owner_url("routing").replace("+psycopg", "")) as connection:
        connection.execute("SELECT set_config('cordboard.org_path', '/', false)")
        found = 0
        for same in ("work_item_id", "agent_id"):
            row = connection.execute(
                _TWO_AT_ONCE.format(same=same, more=_CALLS if same == "agent_id" else "")
            ).fetchone()
            found += row[0] if row else 0
        return found


_CALLS = """
      AND EXISTS (SELECT FROM work_items w WHERE w.work_item_id = a.work_item_id AND w.kind = 'call')
      AND EXISTS (SELECT FROM work_items w WHERE w.work_item_id = b.work_item_id AND w.kind = 'call')
"""


def _problems(values: dict[str, Any], inbound: int) -> list[str]:
    problems = []
    if values["lost"]:
        problems.append(f"{values['lost']} calls are not concluded as the PBX says")
    if values["duplicate_assignments"]:
        problems.append(f"{values['duplicate_assignments']} double assignments")
    if values["interactions_written"] < inbound:
        problems.append(f"{inbound - values['interactions_written']} calls without an interaction")
    if values["webhooks"]["missing"]:
        problems.append(f"{values['webhooks']['missing']} calls whose end the partner did not hear of")
    if values["webhooks"]["refused"]:
        problems.append(f"{values['webhooks']['refused']} webhooks with a bad signature")
    return problems


def lines(values: dict[str, Any]) -> list[str]:
    """The report for people."""
    latency = values["assign_latency_ms"]
    rows = [
        ("calls offered", values["offered"]),
        ("answered", values["answered"]),
        ("abandoned", values["abandoned"]),
        ("lost", values["lost"]),
        ("double assignments", values["duplicate_assignments"]),
        ("answered within 20 s", f"{values['service_level_20s']:.1%}"),
        ("mean wait of the answered", f"{values['wait_mean_s']} s"),
        (
            "PBX's event to connect command",
            f"p50 {latency['p50']} ms, p95 {latency['p95']} ms, p99 {latency['p99']} ms",
        ),
        ("interactions written", values["interactions_written"]),
        ("webhooks received and verified", values["webhooks_delivered"]),
        ("transfers, holds", f"{values['transfers']}, {values['holds']}"),
        *((name, count) for name, count in sorted(values["others"].items())),
    ]
    if values["recorded"]:
        rows.append(("what really happened", values["recorded"]))
    return [f"  {name:<32} {value}" for name, value in rows]

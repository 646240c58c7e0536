"""What differs between two versions of a lead, for the audit."""

from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from leads.domain.leads import Lead

_NOT_TOLD = frozenset({"lead_id", "version", "item_version", "created_at"})


def between(before: Lead | None, after: Lead) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields that differ, as JSON values: before (empty for a new lead) and after."""
    old = {} if before is None else _told(before)
    new = _told(after)
    differing = [name for name, value in new.items() if old.get(name) != value]
    return ({} if before is None else {name: old[name] for name in differing}, {name: new[name] for name in differing})


def _told(lead: Lead) -> dict[str, Any]:
    values = {**asdict(lead), **asdict(lead.profile)}
    del values["profile"]
    return {name: _json_value(value) for name, value in values.items() if name not in _NOT_TOLD}


def _json_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value

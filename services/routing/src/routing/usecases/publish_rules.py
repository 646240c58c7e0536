"""A new version of the rules of a workspace."""

from typing import Any

from cordboard_chassis.refusals import Invalid

from routing.domain import rules
from routing.live import LiveWorkspace
from routing.usecases.require_match import require_match


def publish_rules(live: LiveWorkspace, payload: dict[str, Any], caller: dict[str, Any]) -> dict[str, Any]:
    """Holds for what arrives from now on.

    Raises:
        Refused: a rule is wrong (the field says which), or the caller has not seen the present version.
    """
    present = None if live.rule_set is None else live.rule_set.version
    require_match(payload["if_match"], present)
    document = {"rules": payload["rules"]}
    wanted = rules.read((present or 0) + 1, document)
    fault = rules.first_fault(wanted.rules, live.queues, live.calendars)
    if fault is not None:
        field, reason = fault
        raise Invalid(reason, field)
    live.rule_set = wanted
    live.changes.rule_sets.append((wanted.version, document, caller["subject"]))
    return {"version": wanted.version}

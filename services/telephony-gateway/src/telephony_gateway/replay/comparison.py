"""Conclusions held against what really happened (``expected.json``)."""

from collections.abc import Iterable, Sequence
from typing import Any

TOLERANCE_S = 0.25
LOOSE_S = 1e9

Conclusion = dict[str, Any]
CROSSED = {"answered", "abandoned"}
"""Answer and hang-up crossed: either may be reported."""


def differences(
    found: Sequence[Conclusion], expected: Sequence[Conclusion], tolerance_s: float = TOLERANCE_S
) -> list[str]:
    """What is wrong, in words; nothing when all is as it should be."""
    wrong = []
    left = list(found)
    for wanted in expected:
        label = f"call {wanted.get('call', '?')}"
        likeness = [(_unlikeness(candidate, wanted), number) for number, candidate in enumerate(left)]
        if not likeness:
            wrong.append(f"{label}: not seen")
            continue
        nearest = left.pop(min(likeness)[1])
        wrong += [f"{label}: {difference}" for difference in _of_a_call(nearest, wanted, tolerance_s)]
    wrong += [f"there was no such call: {_brief(extra)}" for extra in left]
    return wrong


def _unlikeness(found: Conclusion, wanted: Conclusion) -> float:
    apart = sum(100.0 for key in ("direction", "customer", "did") if found.get(key) != wanted.get(key))
    if wanted.get("offered_at") is not None and found.get("offered_at") is not None:
        apart += abs(found["offered_at"] - wanted["offered_at"])
    return apart


def _of_a_call(found: Conclusion, wanted: Conclusion, tolerance_s: float) -> Iterable[str]:
    for key in ("direction", "customer", "did", "agent", "customer_name"):
        if key in wanted and found.get(key) != wanted[key]:
            yield f"{key} is {found.get(key)!r}, not {wanted[key]!r}"
    for key in ("offered_at", "ended_at", "customer_ringing_at", "customer_answered_at"):
        if key in wanted:
            yield from _time(key, found.get(key), wanted[key], tolerance_s)
    if wanted.get("either_outcome_acceptable"):
        if found["outcome"] not in CROSSED:
            yield f"outcome is {found['outcome']!r}, neither answered nor abandoned"
        return
    for key in ("outcome", "ended_by"):
        if key in wanted and found.get(key) != wanted[key]:
            yield f"{key} is {found.get(key)!r}, not {wanted[key]!r}"
    if "agents" in wanted:
        yield from _agents(found["agents"], wanted, tolerance_s)
    if "talk" in wanted:
        yield from _spans("talk", _conversations(found["talk"]), _conversations(wanted["talk"]), tolerance_s)
    yield from _spans("holds", _holds(found["holds"]), _holds(wanted.get("holds", [])), tolerance_s)
    yield from _transfers(found["transfers"], wanted.get("transfers", []), tolerance_s)
    if wanted.get("keys"):
        pressed = [key["key"] for key in wanted["keys"] if key["by"] == "customer"]
        heard = [key["key"] for key in found["keys"]]
        if pressed != heard:
            yield f"keys are {heard}, not {pressed}"


def _time(what: str, found: float | None, wanted: float | None, tolerance_s: float) -> Iterable[str]:
    if wanted is None:
        if found is not None:
            yield f"{what} is {found}, but it never happened"
    elif found is None:
        yield f"{what} is unknown, not {wanted}"
    elif abs(found - wanted) > tolerance_s:
        yield f"{what} is {found}, not {wanted}"


def _agents(found: Sequence[Conclusion], wanted_call: Conclusion, tolerance_s: float) -> Iterable[str]:
    wanted = wanted_call["agents"]
    as_found = [(agent["agent"], agent["result"]) for agent in found]
    as_wanted = [(agent["agent"], agent["result"]) for agent in wanted]
    # Who rings at the same moment is in no order.
    if sorted(as_found) != sorted(as_wanted):
        yield f"agents are {as_found}, not {as_wanted}"
        return
    left = list(found)
    for agent in wanted:
        same = next(a for a in left if (a["agent"], a["result"]) == (agent["agent"], agent["result"]))
        left.remove(same)
        for key in ("ringing_at", "answered_at", "stopped_at", "left_at"):
            if key not in agent:
                continue
            if key == "left_at" and _gave_away(same, agent, wanted_call, tolerance_s):
                continue
            yield from (f"{agent['agent']}: {text}" for text in _time(key, same.get(key), agent[key], tolerance_s))


def _gave_away(found: Conclusion, wanted: Conclusion, call: Conclusion, tolerance_s: float) -> bool:
    """The leg of whoever transfers a call is over for the PBX between the transfer and the phone's own hang-up."""
    left_at = found.get("left_at")
    for transfer in call.get("transfers", []):
        if left_at is not None and str(transfer["by"]).startswith(wanted["agent"]):
            return bool(transfer["at"] - tolerance_s <= left_at <= wanted["left_at"] + tolerance_s)
    return False


_Span = tuple[str, float, float]


def _conversations(talk: Iterable[Conclusion]) -> list[_Span]:
    """Who talked with whom; what was interrupted for a moment only is one conversation, a moment alone is none."""
    merged: list[_Span] = []
    spans = sorted((" ".join(sorted(s["parties"])), s["from"], LOOSE_S if s["to"] is None else s["to"]) for s in talk)
    for parties, since, until in spans:
        if merged and merged[-1][0] == parties and since - merged[-1][2] <= TOLERANCE_S:
            merged[-1] = (parties, merged[-1][1], max(until, merged[-1][2]))
        else:
            merged.append((parties, since, until))
    return sorted((s for s in merged if s[2] - s[1] > TOLERANCE_S), key=lambda s: (s[0], s[1]))


def _holds(holds: Iterable[Conclusion]) -> list[_Span]:
    """Who held does not matter where the gateway did it for an agent."""
    return sorted(("hold", h["from"], LOOSE_S if h["to"] is None else h["to"]) for h in holds)


def _spans(what: str, found: list[_Span], wanted: list[_Span], tolerance_s: float) -> Iterable[str]:
    if [s[0] for s in found] != [s[0] for s in wanted]:
        yield f"{what} is {found}, not {wanted}"
        return
    for (who, *seen), (_, *told) in zip(found, wanted, strict=True):
        if any(abs(a - b) > tolerance_s for a, b in zip(seen, told, strict=True)):
            yield f"{what} of {who} is {seen}, not {told}"


def _transfers(found: Sequence[Conclusion], wanted: Sequence[Conclusion], tolerance_s: float) -> Iterable[str]:
    wanted = [transfer for transfer in wanted if not transfer.get("result")]
    as_found = [(t["kind"], t["by"], t["to"]) for t in found]
    as_wanted = [(t["kind"], t["by"].split(" ")[0], t["to"]) for t in wanted]
    on_behalf = [(t["kind"], "gateway", t["to"]) if "gateway" in t["by"] else None for t in wanted]
    if len(found) != len(wanted) or any(
        seen not in (told, other) for seen, told, other in zip(as_found, as_wanted, on_behalf, strict=True)
    ):
        yield f"transfers are {as_found}, not {as_wanted}"
        return
    for seen, told in zip(found, wanted, strict=True):
        yield from _time(f"transfer to {told['to']}", seen["at"], told["at"], tolerance_s)


def _brief(call: Conclusion) -> str:
    keys = ("direction", "customer", "did", "offered_at", "outcome", "ended_at")
    return ", ".join(f"{key} {call.get(key)}" for key in keys)

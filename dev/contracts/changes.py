"""What changed between two JSON Schemas of one message type, and whom that breaks.

A change is breaking when a message that fitted the old schema does not fit the new one (it may still be in a queue, a
parking place or an archive), or when a field goes or means something else, on which readers rely. The other direction,
a schema that accepts more than before, is safe only in one order: whoever reads such messages must be deployed before
whoever writes them. Such changes are told, too.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]

_ANNOTATIONS = frozenset(
    {"$schema", "$id", "$defs", "$comment", "title", "description", "examples", "deprecated", "readOnly", "writeOnly"}
)
_JUDGED = (
    frozenset({"$ref", "anyOf", "oneOf", "type", "enum", "const", "default", "pattern", "format", "multipleOf"})
    | {"properties", "required", "additionalProperties", "patternProperties", "propertyNames"}
    | {"items", "prefixItems", "uniqueItems", "minLength", "maxLength", "minItems", "maxItems"}
    | {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minProperties", "maxProperties"}
)
_LOWER = ("minLength", "minItems", "minProperties")
_UPPER = ("maxLength", "maxItems", "maxProperties")
_EXACT = ("pattern", "format", "multipleOf", "uniqueItems")


@dataclass(frozen=True)
class Change:
    """One difference. ``field`` is a path such as ``data.call.connections[].state``."""

    field: str
    reason: str
    breaking: bool
    """If not: safe as long as readers are deployed before writers."""


def compare(old: Schema, new: Schema) -> list[Change]:
    """Every difference that matters, in the order of the old schema's fields; no difference twice."""
    comparison = _Comparison(old, new)
    return list(dict.fromkeys(comparison.schemas("", old, new)))


class _Comparison:
    """Two documents, so that references can be followed in each."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self._old = old
        self._new = new
        self._within: set[tuple[str, str]] = set()

    def schemas(self, field: str, old: Schema, new: Schema) -> list[Change]:
        return [*self._defaults(field, old, new), *self._accepted(field, old, new)]

    def _defaults(self, field: str, old: Schema, new: Schema) -> list[Change]:
        if "default" in old and "default" in new and old["default"] != new["default"]:
            before, after = _brief(old["default"]), _brief(new["default"])
            return [Change(field, f"its default was {before} and is {after}", breaking=True)]
        return []

    def _accepted(self, field: str, old: Schema, new: Schema) -> list[Change]:
        before, after = _alternatives(old, self._old), _alternatives(new, self._new)
        changes: list[Change] = []
        taken: set[int] = set()
        for alternative in before:
            fitting = [
                (index, self._alternative(field, alternative, candidate))
                for index, candidate in enumerate(after)
                if _kinds(alternative) <= _kinds(candidate)
            ]
            if not fitting:
                reason = f"no longer accepts {_word(alternative)}, only {_words(after)}"
                changes.append(Change(field, reason, breaking=True))
                continue
            index, found = min(fitting, key=lambda fit: (sum(change.breaking for change in fit[1]), len(fit[1])))
            taken.add(index)
            changes += found
            if _kinds(alternative) < _kinds(after[index]):
                changes.append(Change(field, f"accepts {_word(after[index])}", breaking=False))
        for index, alternative in enumerate(after):
            if index not in taken:
                changes.append(Change(field, f"accepts {_word(alternative)}, too", breaking=False))
        return changes

    def _alternative(self, field: str, old: Schema, new: Schema) -> list[Change]:
        pair = (_text(old), _text(new))
        if pair in self._within:
            return []  # a model within itself: being compared further up
        self._within.add(pair)
        try:
            return self._one(field, old, new)
        finally:
            self._within.discard(pair)

    def _one(self, field: str, old: Schema, new: Schema) -> list[Change]:
        changes = [*_values(field, old, new), *_limits(field, old, new)]
        for keyword in _EXACT:
            changes += _exact(field, keyword, old.get(keyword), new.get(keyword))
        if "object" in _kinds(old) | _kinds(new):
            changes += self._properties(field, old, new)
            changes += self._keys(field, old, new)
        if "array" in _kinds(old) | _kinds(new):
            changes += self._items(field, old, new)
        for keyword in sorted((old.keys() | new.keys()) - _ANNOTATIONS - _JUDGED):
            if old.get(keyword) != new.get(keyword):
                changes.append(Change(field, f"{keyword} changed, which cannot be judged", breaking=True))
        return changes

    def _properties(self, field: str, old: Schema, new: Schema) -> list[Change]:
        before, after = old.get("properties", {}), new.get("properties", {})
        needed_before, needed = set(old.get("required", ())), set(new.get("required", ()))
        added = [name for name in after if name not in before]
        changes: list[Change] = []
        for name, schema in before.items():
            path = f"{field}.{name}" if field else name
            if name not in after:
                heirs = [other for other in added if self._same(schema, after[other])]
                renamed = f" (renamed to {' or '.join(heirs)}?)" if heirs else ""
                changes.append(Change(path, f"was removed{renamed}", breaking=True))
                continue
            changes += self.schemas(path, schema, after[name])
            if name in needed - needed_before:
                changes.append(Change(path, "was optional and is required", breaking=True))
            elif name in needed_before - needed:
                changes.append(Change(path, "was required and may be missing", breaking=False))
        for name in sorted(needed - needed_before - before.keys()):
            path = f"{field}.{name}" if field else name
            changes.append(Change(path, "is new and required", breaking=True))
        return changes

    def _same(self, old: Schema, new: Schema) -> bool:
        return not self._accepted("", old, new)

    def _keys(self, field: str, old: Schema, new: Schema) -> list[Change]:
        """Objects that are maps: what keys they may have, and what values."""
        values = f"{field}.*"
        changes = self._optional(field, "propertyNames", old.get("propertyNames"), new.get("propertyNames"))
        before, after = old.get("patternProperties", {}), new.get("patternProperties", {})
        for pattern in before.keys() & after.keys():
            changes += self.schemas(values, before[pattern], after[pattern])
        if gone := sorted(before.keys() - after.keys()):
            changes.append(Change(values, f"keys like {gone[0]} are no longer described", breaking=True))
        elif more := sorted(after.keys() - before.keys()):
            changes.append(Change(values, f"keys like {more[0]} must be as described", breaking=True))
        rest_before, rest = old.get("additionalProperties", True), new.get("additionalProperties", True)
        if rest is False and rest_before is not False:
            changes.append(Change(field, "no longer accepts further fields", breaking=True))
        elif rest_before is False and rest is not False:
            changes.append(Change(field, "accepts further fields", breaking=False))
        elif isinstance(rest_before, dict) or isinstance(rest, dict):
            unrestricted: Schema = {}
            changes += self.schemas(
                values,
                rest_before if isinstance(rest_before, dict) else unrestricted,
                rest if isinstance(rest, dict) else unrestricted,
            )
        return changes

    def _items(self, field: str, old: Schema, new: Schema) -> list[Change]:
        changes = self._optional(f"{field}[]", "items", old.get("items"), new.get("items"))
        before, after = old.get("prefixItems", []), new.get("prefixItems", [])
        for index, (first, second) in enumerate(zip(before, after, strict=False)):
            changes += self.schemas(f"{field}[{index}]", first, second)
        if len(before) != len(after):
            changes.append(Change(field, f"had {len(before)} described items and has {len(after)}", breaking=True))
        return changes

    def _optional(self, field: str, what: str, old: Any, new: Any) -> list[Change]:
        if isinstance(old, bool) or isinstance(new, bool):
            return [] if old == new else [Change(field, f"{what} was {old} and is {new}", breaking=True)]
        if old is None and new is None:
            return []
        return self.schemas(field, old or {}, new or {})


_ANY = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})


def _kinds(alternative: Schema) -> frozenset[str]:
    """The JSON types that an alternative accepts."""
    kind = alternative.get("type")
    if kind is None:
        values = alternative.get("enum") or ([alternative["const"]] if "const" in alternative else None)
        return frozenset(_kind_of(value) for value in values) if values else _ANY
    kinds = frozenset([kind] if isinstance(kind, str) else kind)
    return kinds | {"integer"} if "number" in kinds else kinds


def _kind_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    for python, kind in ((str, "string"), (int, "integer"), (float, "number"), (list, "array"), (dict, "object")):
        if isinstance(value, python):
            return kind
    return "null"


def _alternatives(schema: Schema, root: Schema) -> list[Schema]:
    """The schemas of which a value must fit one; references followed."""
    seen: set[str] = set()
    while "$ref" in schema:
        reference = str(schema["$ref"])
        if reference in seen:
            raise ValueError(f"{reference} refers to itself")
        seen.add(reference)
        target: Any = root
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]
        schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            beside = {key: value for key, value in schema.items() if key != keyword and key not in _ANNOTATIONS}
            return [
                {**beside, **alternative} for nested in schema[keyword] for alternative in _alternatives(nested, root)
            ]
    return [schema]


def _values(field: str, old: Schema, new: Schema) -> list[Change]:
    before, after = _enumerated(old), _enumerated(new)
    if after is not None and before is None:
        return [Change(field, f"accepts only {_list(after)} now", breaking=True)]
    if before is None:
        return []
    if after is None:
        return [Change(field, "accepts other values than those listed before", breaking=False)]
    changes = []
    if gone := [value for value in before if value not in after]:
        changes.append(Change(field, f"no longer accepts {_list(gone)}", breaking=True))
    if more := [value for value in after if value not in before]:
        changes.append(Change(field, f"accepts {_list(more)}, too", breaking=False))
    return changes


def _enumerated(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    values = schema.get("enum")
    return list(values) if values is not None else None


def _limits(field: str, old: Schema, new: Schema) -> list[Change]:
    changes: list[Change] = []
    for keyword in (*_LOWER, *_UPPER):
        before, after = old.get(keyword), new.get(keyword)
        if before == after:
            continue
        if keyword in _LOWER:
            narrower = (after or 0) > (before or 0)
        else:
            narrower = after is not None and (before is None or after < before)
        words = f"{keyword} was {_limit(before)} and is {_limit(after)}"
        changes.append(Change(field, words, breaking=narrower))
    # A bound is its value and whether the value itself is outside.
    lower_before, lower = _bound(old, "minimum", "exclusiveMinimum", 1), _bound(new, "minimum", "exclusiveMinimum", 1)
    upper_before, upper = _bound(old, "maximum", "exclusiveMaximum", -1), _bound(new, "maximum", "exclusiveMaximum", -1)
    if lower_before != lower:
        narrower = lower is not None and (lower_before is None or lower > lower_before)
        words = f"its least value was {_bound_word(lower_before)} and is {_bound_word(lower)}"
        changes.append(Change(field, words, breaking=narrower))
    if upper_before != upper:
        narrower = upper is not None and (upper_before is None or upper < upper_before)
        words = f"its greatest value was {_bound_word(upper_before)} and is {_bound_word(upper)}"
        changes.append(Change(field, words, breaking=narrower))
    return changes


def _bound(schema: Schema, inclusive: str, exclusive: str, sign: int) -> tuple[float, int] | None:
    bounds = [(schema[inclusive], 0)] if inclusive in schema else []
    bounds += [(schema[exclusive], sign)] if exclusive in schema else []
    if not bounds:
        return None
    return max(bounds) if sign > 0 else min(bounds)


def _exact(field: str, keyword: str, old: Any, new: Any) -> list[Change]:
    if old == new:
        return []
    if old is None:
        return [Change(field, f"must now fit {keyword} {new}", breaking=True)]
    if new is None:
        return [Change(field, f"need not fit {keyword} {old} any more", breaking=False)]
    return [Change(field, f"{keyword} was {old} and is {new}", breaking=True)]


def _article(kind: str) -> str:
    if kind == "null":
        return "null"
    return f"an {kind}" if kind[0] in "aio" else f"a {kind}"


def _word(alternative: Schema) -> str:
    kinds = _kinds(alternative) - ({"integer"} if "number" in _kinds(alternative) else set())
    if kinds >= _ANY - {"integer"}:
        return "anything"
    return " or ".join(_article(kind) for kind in sorted(kinds))


def _words(alternatives: Iterable[Schema]) -> str:
    return " or ".join(dict.fromkeys(_word(alternative) for alternative in alternatives))


def _list(values: Iterable[Any]) -> str:
    return ", ".join(_brief(value) for value in values)


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:59] + "…"


def _text(schema: Schema) -> str:
    return json.dumps({keyword: value for keyword, value in schema.items() if keyword not in _ANNOTATIONS})


def _limit(value: Any) -> str:
    return "unlimited" if value is None else str(value)


def _bound_word(bound: tuple[float, int] | None) -> str:
    if bound is None:
        return "unlimited"
    value, exclusive = bound
    return f"{'more than ' if exclusive > 0 else 'less than ' if exclusive < 0 else ''}{value}"

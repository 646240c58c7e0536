"""Golden examples: messages written by hand, one or more of every type. They never change and must parse for ever."""

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

from cordboard_contracts import MalformedMessage, UnknownType, parse

from dev.contracts.schemas import Schema

FILL_IN = "01-fill-in.json"
"""A skeleton has this name until somebody has written a real example of it."""

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")
_PLACEHOLDERS = {
    "uuid": "01993b5c-0000-7000-8000-000000000001",
    "date-time": "2026-11-25T01:02:03Z",
    "date": "1990-05-17",
}


def problems(folder: Path, types: list[str]) -> list[str]:
    """What is wrong with the examples of these types: missing, not filled in, not parsed, not kept whole."""
    found: list[str] = []
    for message_type in types:
        files = sorted((folder / message_type).glob("*.json"))
        if not files:
            found.append(f"{message_type}: has no example; run script/contracts generate")
        found += [
            f"{message_type}/{file.name}: {problem}" for file in files if (problem := _problem(message_type, file))
        ]
    strangers = {path.name for path in folder.iterdir()} - set(types) if folder.is_dir() else set()
    found += [f"{name}: examples of a type that there is not" for name in sorted(strangers)]
    return found


def _problem(message_type: str, file: Path) -> str | None:
    if file.name == FILL_IN:
        return "is a skeleton; write a real message and call the file 01-<words>.json"
    body = file.read_bytes()
    try:
        envelope = parse(message_type, body)
    except (UnknownType, MalformedMessage) as error:
        return f"does not parse: {error}"
    written = envelope.to_json()
    if parse(message_type, written) != envelope:
        return "is another message after a round trip"
    lost = _lost(json.loads(body), json.loads(written), "")
    return f"{lost} is lost or changed in a round trip: is the field misspelt?" if lost else None


def _lost(before: Any, after: Any, field: str) -> str | None:
    """The first field of ``before`` that is not the same in ``after``, which may have more fields."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name, value in before.items():
            path = f"{field}.{name}" if field else name
            if name not in after:
                return path
            if lost := _lost(value, after[name], path):
                return lost
        return None
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = zip(before, after, strict=True)
        return next((lost for index, pair in enumerate(pairs) if (lost := _lost(*pair, f"{field}[{index}]"))), None)
    return None if before == after or _same_moment(before, after) else field or "the whole"


def _same_moment(before: Any, after: Any) -> bool:
    """Whether both are the same time, however many digits its seconds have."""
    if not (isinstance(before, str) and isinstance(after, str) and _TIME.match(before) and _TIME.match(after)):
        return False
    return datetime.fromisoformat(before) == datetime.fromisoformat(after)


def skeleton(schema: Schema) -> str:
    """A message with every required field, to be replaced by a real one."""
    message = _Filler(schema).value(schema, "")
    return json.dumps(message, indent=2, ensure_ascii=False) + "\n"


class _Filler:
    def __init__(self, root: Schema) -> None:
        self._root = root

    def value(self, schema: Schema, field: str) -> Any:
        """Something that fits."""
        while "$ref" in schema or "anyOf" in schema:
            target = schema.get("$ref", "").removeprefix("#/$defs/")
            schema = self._root["$defs"][target] if target else schema["anyOf"][0]
        if "const" in schema or "enum" in schema:
            return schema["const"] if "const" in schema else schema["enum"][0]
        kind = schema["type"]
        if kind == "string":
            return _text(schema, field)
        least = max(schema.get("minimum", 0), schema.get("exclusiveMinimum", -1) + 1)
        simple = {"integer": least, "number": least, "boolean": False, "null": None}
        return simple[kind] if kind in simple else self._compound(schema, field)

    def _compound(self, schema: Schema, field: str) -> Any:
        if schema["type"] == "array":
            return [self.value(schema["items"], field) for _ in range(schema.get("minItems", 0))]
        needed = schema.get("required", ())
        return {name: self.value(part, name) for name, part in schema.get("properties", {}).items() if name in needed}


def _text(schema: Schema, field: str) -> str:
    """Text that fits: by format, else whatever simple word the pattern allows."""
    if "format" in schema:
        return _PLACEHOLDERS[schema["format"]]
    for word in (f"fill-in-{field}".replace("_", "-"), "main", "/example", "+8613800138000", "zh-CN", "CN-31", "x"):
        fits = re.search(schema.get("pattern", ""), word) and len(word) >= schema.get("minLength", 0)
        if fits and len(word) <= schema.get("maxLength", len(word)):
            return word
    raise ValueError(f"{field}: no word for {schema}; teach it to dev/contracts/examples.py")

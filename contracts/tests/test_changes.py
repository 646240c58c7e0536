"""The detector of breaking changes: finds each kind, lets compatible changes pass, and says which field and why."""

import copy
from typing import Any

import jsonschema_rs
import pytest
from cordboard_contracts.leads import LeadSubmitted
from cordboard_contracts.telephony import CallOffered
from hypothesis import given, settings
from hypothesis import strategies as st

from dev.contracts.changes import compare
from dev.contracts.schemas import message_schema

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}


def thing(required: tuple[str, ...] = ("a",), **properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required)}


def or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def breaking(old: Schema, new: Schema) -> list[str]:
    return [f"{change.field}: {change.reason}" for change in compare(old, new) if change.breaking]


def readers_first(old: Schema, new: Schema) -> list[str]:
    return [f"{change.field}: {change.reason}" for change in compare(old, new) if not change.breaking]


BREAKS = {
    "field removed": (thing(a=STRING, b=STRING), thing(a=STRING), "b: was removed"),
    "field renamed": (
        thing(a={"type": "string", "maxLength": 9}),
        thing((), first={"type": "string", "maxLength": 9}, other=INTEGER),
        "a: was removed (renamed to first?)",
    ),
    "new required field": (thing(a=STRING), thing(("a", "b"), a=STRING, b=STRING), "b: is new and required"),
    "optional became required": (
        thing((), a=STRING),
        thing(("a",), a=STRING),
        "a: was optional and is required",
    ),
    "another type": (thing(a=STRING), thing(a=INTEGER), "a: no longer accepts a string, only an integer"),
    "number to integer": (
        thing(a={"type": "number"}),
        thing(a=INTEGER),
        "a: no longer accepts a number, only an integer",
    ),
    "null no longer": (thing(a=or_null(STRING)), thing(a=STRING), "a: no longer accepts null, only a string"),
    "anything no longer": (thing(a={}), thing(a=STRING), "a: no longer accepts anything, only a string"),
    "enum narrowed": (thing(a={"enum": ["x", "y"]}), thing(a={"enum": ["x"]}), 'a: no longer accepts "y"'),
    "enum appears": (thing(a=STRING), thing(a={"type": "string", "enum": ["x"]}), 'a: accepts only "x" now'),
    "const changed": (thing(a={"const": "x"}), thing(a={"const": "y"}), 'a: no longer accepts "x"'),
    "shorter": (
        thing(a={"type": "string", "maxLength": 20}),
        thing(a={"type": "string", "maxLength": 10}),
        "a: maxLength was 20 and is 10",
    ),
    "limit appears": (thing(a=STRING), thing(a={**STRING, "maxLength": 9}), "a: maxLength was unlimited and is 9"),
    "longer at least": (thing(a=STRING), thing(a={**STRING, "minLength": 1}), "a: minLength was unlimited and is 1"),
    "fewer items": (
        thing(a={"type": "array", "items": STRING, "maxItems": 20}),
        thing(a={"type": "array", "items": STRING, "maxItems": 19}),
        "a: maxItems was 20 and is 19",
    ),
    "greatest value": (
        thing(a={**INTEGER, "maximum": 1000}),
        thing(a={**INTEGER, "exclusiveMaximum": 1000}),
        "a: its greatest value was 1000 and is less than 1000",
    ),
    "least value": (
        thing(a={**INTEGER, "minimum": 0}),
        thing(a={**INTEGER, "minimum": 1}),
        "a: its least value was 0 and is 1",
    ),
    "pattern": (
        thing(a={**STRING, "pattern": "^a"}),
        thing(a={**STRING, "pattern": "^b"}),
        "a: pattern was ^a and is ^b",
    ),
    "format appears": (thing(a=STRING), thing(a={**STRING, "format": "uuid"}), "a: must now fit format uuid"),
    "items": (
        thing(a={"type": "array", "items": STRING}),
        thing(a={"type": "array", "items": INTEGER}),
        "a[]: no longer accepts a string, only an integer",
    ),
    "values of a map": (
        thing(a={"type": "object", "additionalProperties": STRING}),
        thing(a={"type": "object", "additionalProperties": {**STRING, "maxLength": 3}}),
        "a.*: maxLength was unlimited and is 3",
    ),
    "keys of a map": (
        thing(a={"type": "object", "patternProperties": {"^a": STRING}, "additionalProperties": False}),
        thing(a={"type": "object", "patternProperties": {"^b": STRING}, "additionalProperties": False}),
        "a.*: keys like ^a are no longer described",
    ),
    "closed": (thing(a=STRING), {**thing(a=STRING), "additionalProperties": False}, "no longer accepts further fields"),
    "another default": (
        thing((), a={**INTEGER, "default": 0}),
        thing((), a={**INTEGER, "default": 5}),
        "a: its default was 0 and is 5",
    ),
    "unjudged keyword": (thing(a=STRING), thing(a={**STRING, "contentEncoding": "base64"}), "which cannot be judged"),
    "deep inside": (
        {
            **thing(a={"$ref": "#/$defs/A"}),
            "$defs": {"A": thing(("b",), b={"type": "array", "items": thing(c=STRING)})},
        },
        {
            **thing(a={"$ref": "#/$defs/B"}),
            "$defs": {"B": thing(("b",), b={"type": "array", "items": thing((), d=INTEGER)})},
        },
        "a.b[].c: was removed",
    ),
}

COMPATIBLE = {
    "new optional field": (thing(a=STRING), thing(a=STRING, b=STRING)),
    "new optional field in a part": (
        {**thing(a={"$ref": "#/$defs/A"}), "$defs": {"A": thing(a=STRING)}},
        {**thing(a={"$ref": "#/$defs/A"}), "$defs": {"A": thing(a=STRING, b=or_null(INTEGER))}},
    ),
    "words": (thing(a=STRING), {**thing(a={**STRING, "description": "Longer."}), "title": "T", "description": "D"}),
    "another order": (thing(("a", "b"), a=STRING, b=INTEGER), thing(("b", "a"), b=INTEGER, a=STRING)),
    "model extracted": (thing(a=thing(c=STRING)), {**thing(a={"$ref": "#/$defs/A"}), "$defs": {"A": thing(c=STRING)}}),
    "const as enum": (thing(a={"const": "x", "type": "string"}), thing(a={"enum": ["x"]})),
}

WIDER = {
    "enum": (thing(a={"enum": ["x"]}), thing(a={"enum": ["x", "y"]}), 'a: accepts "y", too'),
    "null": (thing(a=STRING), thing(a=or_null(STRING)), "a: accepts null, too"),
    "integer to number": (thing(a=INTEGER), thing(a={"type": "number"}), "a: accepts a number"),
    "longer": (thing(a={**STRING, "maxLength": 9}), thing(a=STRING), "a: maxLength was 9 and is unlimited"),
    "inclusive": (
        thing(a={**INTEGER, "exclusiveMinimum": 0}),
        thing(a={**INTEGER, "minimum": 0}),
        "a: its least value was more than 0 and is 0",
    ),
    "pattern gone": (thing(a={**STRING, "pattern": "^a"}), thing(a=STRING), "a: need not fit pattern ^a any more"),
    "may be missing": (thing(("a",), a=STRING), thing((), a=STRING), "a: was required and may be missing"),
}


@pytest.mark.parametrize(("old", "new", "words"), BREAKS.values(), ids=BREAKS)
def test_a_breaking_change_is_found(old: Schema, new: Schema, words: str) -> None:
    found = breaking(old, new)
    assert [line for line in found if words in line], found


@pytest.mark.parametrize(("old", "new"), COMPATIBLE.values(), ids=COMPATIBLE)
def test_a_compatible_change_passes_in_silence(old: Schema, new: Schema) -> None:
    assert compare(old, new) == []


@pytest.mark.parametrize(("old", "new", "words"), WIDER.values(), ids=WIDER)
def test_a_wider_schema_passes_with_a_word_about_deployment(old: Schema, new: Schema, words: str) -> None:
    assert breaking(old, new) == []
    assert readers_first(old, new) == [words]
    assert breaking(new, old)


def test_a_real_message_names_the_whole_path() -> None:
    old = message_schema(CallOffered)
    new = copy.deepcopy(old)
    del new["$defs"]["Call"]["properties"]["from_number"]
    new["$defs"]["ConnectionState"]["enum"].remove("held")
    new["required"].append("workspace")
    assert sorted(breaking(old, new)) == [
        'data.call.connections[].state: no longer accepts "held"',
        "data.call.from_number: was removed",
        "workspace: was optional and is required",
    ]


def test_a_real_message_is_compatible_with_itself() -> None:
    for data in (CallOffered, LeadSubmitted):
        assert compare(message_schema(data), message_schema(data)) == []


def test_a_model_within_itself_is_compared_once() -> None:
    tree = {"$ref": "#/$defs/T", "$defs": {"T": thing(a=STRING, child=or_null({"$ref": "#/$defs/T"}))}}
    other = copy.deepcopy(tree)
    other["$defs"]["T"]["properties"]["a"] = INTEGER
    assert compare(tree, copy.deepcopy(tree)) == []
    assert breaking(tree, other) == ["a: no longer accepts a string, only an integer"]


# Soundness: where nothing breaks, every message that fitted before fits after.

bounds = st.none() | st.integers(0, 4)


@st.composite
def texts(draw: st.DrawFn) -> Schema:
    if draw(st.booleans()):
        return {"type": "string", "enum": draw(st.lists(st.sampled_from(["", "x", "yy"]), min_size=1, unique=True))}
    return {"type": "string", **_limits(draw, "minLength", "maxLength")}


@st.composite
def numbers(draw: st.DrawFn) -> Schema:
    kind = draw(st.sampled_from(["integer", "number"]))
    lower = draw(st.sampled_from(["minimum", "exclusiveMinimum"]))
    upper = draw(st.sampled_from(["maximum", "exclusiveMaximum"]))
    return {"type": kind, **_limits(draw, lower, upper)}


def _limits(draw: st.DrawFn, lower: str, upper: str) -> Schema:
    return {name: value for name in (lower, upper) if (value := draw(bounds)) is not None}


def objects(parts: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    return st.builds(
        lambda properties, required: {"type": "object", "properties": properties, "required": sorted(required)},
        st.dictionaries(st.sampled_from("ab"), parts, max_size=2),
        st.sets(st.sampled_from("ab"), max_size=2),
    )


schemas = st.recursive(
    texts() | numbers() | st.just({"type": "null"}) | st.just({"type": "boolean"}),
    lambda parts: st.one_of(
        objects(parts),
        st.builds(lambda items: {"type": "array", "items": items, "maxItems": 2}, parts),
        st.builds(lambda some: {"anyOf": some}, st.lists(parts, min_size=1, max_size=3)),
    ),
    max_leaves=5,
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 5)
    | st.sampled_from([0.5, 3.5])
    | st.sampled_from(["", "x", "yy", "zzz"]),
    lambda parts: st.lists(parts, max_size=2) | st.dictionaries(st.sampled_from("abc"), parts, max_size=2),
    max_leaves=4,
)


def as_sent(schema: Any) -> Any:
    """Publishers send the fields of their schema and no others."""
    if isinstance(schema, list):
        return [as_sent(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    parts = {keyword: as_sent(part) for keyword, part in schema.items()}
    return {**parts, "additionalProperties": False} if schema.get("type") == "object" else parts


@settings(max_examples=300, deadline=None)
@given(schemas, schemas, st.lists(values, max_size=20))
def test_where_nothing_breaks_every_old_message_still_fits(old: Schema, new: Schema, messages: list[Any]) -> None:
    if breaking(old, new):
        return
    before, after = jsonschema_rs.validator_for(as_sent(old)), jsonschema_rs.validator_for(new)
    assert all(after.is_valid(message) for message in messages if before.is_valid(message))


@settings(max_examples=100, deadline=None)
@given(schemas)
def test_a_schema_is_compatible_with_itself(schema: Schema) -> None:
    assert breaking(schema, schema) == []

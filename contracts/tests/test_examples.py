"""Golden examples: what was once on the bus can be read for ever."""

from pathlib import Path

import jsonschema_rs
import pytest
from cordboard_contracts import COMMANDS, EVENTS, parse

from dev.contracts import examples
from dev.contracts.schemas import message_schema, message_types

FOLDER = Path(__file__).parents[1] / "examples"
FILES = sorted(FOLDER.glob("*/*.json"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_an_example_parses_round_trips_and_fits_its_schema(file: Path) -> None:
    message_type = file.parent.name
    envelope = parse(message_type, file.read_bytes())
    assert parse(message_type, envelope.to_json()) == envelope
    schema = message_schema(message_types()[message_type])
    jsonschema_rs.validator_for(schema, validate_formats=True).validate(envelope.model_dump(mode="json"))


def test_every_type_has_an_example_and_none_has_a_problem() -> None:
    assert examples.problems(FOLDER, [*EVENTS, *COMMANDS]) == []


@pytest.mark.parametrize("message_type", message_types())
def test_a_skeleton_fits_its_type(message_type: str) -> None:
    skeleton = examples.skeleton(message_schema(message_types()[message_type]))
    assert parse(message_type, skeleton.encode()).type == message_type

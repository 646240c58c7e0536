"""What request bodies accept and refuse, wherever in them it stands."""

from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import pytest
from cordboard_chassis.http.app import Body
from pydantic import AwareDatetime, ValidationError


class Colour(StrEnum):
    RED = "red"


class Inner(Body):
    count: int
    on: date | None = None


class Outer(Body):
    at: AwareDatetime
    id: UUID
    colour: Colour
    inner: list[Inner]


GOOD: dict[str, Any] = {
    "at": "2026-11-25T08:00:00+08:00",
    "id": "01a21100-0000-7000-8000-000000000000",
    "colour": "red",
    "inner": [{"count": 1, "on": "1984-02-29"}],
}


def test_what_json_writes_as_text_is_read() -> None:
    body = Outer.model_validate(GOOD)
    assert body.at.astimezone(UTC) == datetime(2026, 11, 25, tzinfo=UTC)
    assert (body.id, body.colour, body.inner[0].on) == (UUID(GOOD["id"]), Colour.RED, date(1984, 2, 29))
    assert Outer.model_validate_json(Outer.model_validate(GOOD).model_dump_json()) == body


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"at": "2026-11-25T08:00:00"}, ("at",)),
        ({"at": 5}, ("at",)),
        ({"id": "x"}, ("id",)),
        ({"colour": "blue"}, ("colour",)),
        ({"inner": [{"count": "1"}]}, ("inner", 0, "count")),
        ({"inner": [{"count": 1.5}]}, ("inner", 0, "count")),
        ({"inner": [{"count": True}]}, ("inner", 0, "count")),
        ({"inner": [{"count": 1, "on": "1984-02-30"}]}, ("inner", 0, "on")),
        ({"inner": [{"count": 1, "more": 1}]}, ("inner", 0, "more")),
        ({"more": 1}, ("more",)),
    ],
)
def test_another_type_and_unknown_fields_are_refused_where_they_stand(change: dict[str, Any], where: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        Outer.model_validate({**GOOD, **change})
    assert [error["loc"] for error in refused.value.errors()] == [where]

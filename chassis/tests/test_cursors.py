"""Cursors: what a list gives out it understands, and nothing else."""

from datetime import datetime
from typing import Any
from uuid import UUID

from cordboard_chassis.http.paging import decode_cursor, encode_cursor
from cordboard_chassis.refusals import Invalid
from hypothesis import given
from hypothesis import strategies as st

SORT_VALUES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    st.integers(-(2**63), 2**63 - 1),
    st.uuids(),
    st.datetimes(timezones=st.timezones()),
    st.none(),
)


@given(st.lists(SORT_VALUES, min_size=1, max_size=4))
def test_a_cursor_gives_back_the_sort_key(values: list[Any]) -> None:
    types = [type(value) if value is not None else None for value in values]
    assert decode_cursor(encode_cursor(values), *types) == tuple(values)


@given(st.text(max_size=60))
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    try:
        when, which = decode_cursor(text, datetime, UUID)
    except Invalid as refused:
        assert (refused.code, refused.field) == ("invalid-cursor", "cursor")
    else:
        assert isinstance(when, datetime) and isinstance(which, UUID)

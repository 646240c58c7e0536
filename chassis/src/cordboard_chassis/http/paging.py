"""Lists come in pages. A cursor is opaque to the caller: the sort key of the last item seen."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from fastapi import Depends, Query
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from cordboard_chassis.refusals import Invalid

MAX_LIMIT = 200
MAX_CURSOR_LENGTH = 2000

Item = TypeVar("Item")
Row = TypeVar("Row")

SortValue = str | int | datetime | UUID | None


class Page(BaseModel, Generic[Item]):
    """A part of a list."""

    items: list[Item]
    next_cursor: str | None = Field(
        default=None, description="Send it as `cursor` to get the next page; null on the last one."
    )


@dataclass(frozen=True)
class PageRequest:
    """Which part of a list the caller wants. Query ``fetch`` rows and hand them to `page`."""

    limit: int
    cursor: str | None

    @property
    def fetch(self) -> int:
        """One row more than asked for tells whether there is a next page."""
        return self.limit + 1

    def after(self, *types: Any) -> tuple[Any, ...] | None:
        """The sort key after which the page begins, or None for the first page.

        ``types`` are those of the sort key's values: ``created_at, id = paging.after(datetime, UUID) or (None, None)``.

        Raises:
            Invalid: the cursor is not one of this list.
        """
        return None if self.cursor is None else decode_cursor(self.cursor, *types)

    def page(
        self, rows: Sequence[Row], sort_key: Callable[[Row], Sequence[SortValue]], view: Callable[[Row], Item]
    ) -> Page[Item]:
        """The page of at most ``limit`` of the ``fetch`` rows that were found."""
        shown = rows[: self.limit]
        more = len(rows) > self.limit
        return Page(
            items=[view(row) for row in shown],
            next_cursor=encode_cursor(sort_key(shown[-1])) if more else None,
        )


def encode_cursor(sort_key: Sequence[SortValue]) -> str:
    """The sort key of a row as an opaque word."""
    plain = [_plain(value) for value in sort_key]
    document = json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(document).rstrip(b"=").decode()


def _plain(value: SortValue) -> str | int | None:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return str(value) if isinstance(value, UUID) else value


def decode_cursor(cursor: str, *types: Any) -> tuple[Any, ...]:
    """Back from `encode_cursor`; each value must be of its type.

    Raises:
        Invalid: somebody made this cursor up, or it belongs to another list.
    """
    try:
        if len(cursor) > MAX_CURSOR_LENGTH:
            raise ValueError
        padded = cursor + "=" * (-len(cursor) % 4)
        document = base64.b64decode(padded, altchars=b"-_", validate=True)
        return _sort_key(types).validate_json(document, strict=True)
    except (ValueError, ValidationError, binascii.Error, RecursionError) as error:
        raise Invalid("is not a cursor of this list", "cursor", code="invalid-cursor") from error


def _sort_key(types: tuple[Any, ...]) -> TypeAdapter[tuple[Any, ...]]:
    return TypeAdapter(tuple[types])  # type: ignore[valid-type]


def _page_request(
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many items at most.")] = 50,
    cursor: Annotated[
        str | None,
        Query(max_length=MAX_CURSOR_LENGTH, description="`next_cursor` of the page before."),
    ] = None,
) -> PageRequest:
    return PageRequest(limit, cursor)


Paging = Annotated[PageRequest, Depends(_page_request)]
"""Parameter of a route that lists: ``paging: Paging``."""

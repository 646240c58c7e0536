"""Updates say which version they change, so that nobody overwrites what they have not seen."""

import re
from typing import Annotated

from fastapi import Header, Response

from cordboard_chassis.refusals import Invalid, Refused

_TAG = r'(?:W/)?"[\x21\x23-\x7e]*"'
_TAGS = re.compile(rf"^\s*{_TAG}(?:\s*,\s*{_TAG})*\s*$")

IfMatch = Annotated[
    str | None,
    Header(alias="If-Match", max_length=500, description='The `ETag` of the version that is changed: `"3"`.'),
]
"""Parameter of a route that updates: ``if_match: IfMatch = None``."""


def etag(version: int) -> str:
    """The entity tag of a version: ``"3"``."""
    return f'"{version}"'


def set_etag(response: Response, version: int) -> None:
    """Tell the caller which version this is."""
    response.headers["ETag"] = etag(version)


def require_match(header: str | None, version: int) -> None:
    """Go on only if the caller has seen the present version (RFC 9110, section 13.1.1).

    Raises:
        Refused: 428 without the header, 412 when the thing has changed since.
        Invalid: the header holds no entity tags.
    """
    if header is None:
        raise Refused("precondition-required", "send the ETag of what you saw as If-Match", "If-Match", status=428)
    if header.strip() == "*":
        return
    if not _TAGS.match(header):
        raise Invalid('must be entity tags such as "3", or *', "If-Match")
    # A weak tag never matches: the comparison for updates is the strong one.
    if etag(version) not in re.findall(_TAG, header):
        raise Refused("version-changed", f"the version is now {version}", "If-Match", status=412)

"""Phone numbers as people write them, turned into E.164. Needs ``cordboard-chassis[phones]``.

Once for all services: what one stores and another looks up must have been read in the same way.
"""

import re
from typing import Annotated

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat
from pydantic import Field, StringConstraints

from cordboard_chassis.refusals import Invalid

_E164 = re.compile(r"\+[1-9][0-9]{3,14}")

Region = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
"""ISO 3166-1 alpha-2 country whose national numbers are meant."""

PhoneText = Annotated[
    str,
    StringConstraints(min_length=1, max_length=40),
    Field(
        description="A phone number: international (`+8613800138000`), or national (`138 0013 8000`) with a `region`.",
        examples=["+8613800138000"],
    ),
]
"""A number as somebody typed it."""


def normalise(text: str, region: str | None, field: str) -> str:
    """``("138 0013 8000", "CN")`` -> ``"+8613800138000"``. There is no default region: the request or the file says it.

    Numbers that are possible are taken, valid or not: new ranges are dialled before any library knows them.

    Raises:
        Invalid: it is no number, it is a national one and ``region`` is missing, or the region is unknown.
    """
    if region is not None and region not in phonenumbers.SUPPORTED_REGIONS:
        raise Invalid(f"{region} is not a country with phone numbers", "region")
    try:
        parsed = phonenumbers.parse(text, region)
    except NumberParseException as error:
        # What a national number without a region and nonsense have in common; the remedy is the same.
        if region is None and error.error_type == NumberParseException.INVALID_COUNTRY_CODE:
            detail = "is not an international number: begin with + and the country code, or give the region"
        else:
            detail = "is not a phone number"
        raise Invalid(detail, field) from error
    if parsed.extension:
        raise Invalid("has an extension; leave it out", field)
    number = phonenumbers.format_number(parsed, PhoneNumberFormat.E164)
    if not phonenumbers.is_possible_number(parsed) or not _E164.fullmatch(number):
        raise Invalid("is too short or too long for a number of its country", field)
    return number


def normalise_all(texts: list[str], region: str | None, field: str) -> list[str]:
    """Each of a list, in its order; see `normalise`."""
    return [normalise(text, region, f"{field}.{position}") for position, text in enumerate(texts)]

"""Phone numbers as they come from the wire, in E.164."""

import re
import unicodedata

import phonenumbers

_E164 = re.compile(r"^\+[1-9][0-9]{3,14}$")
_WITHHELD = frozenset(
    {"", "anonymous", "unknown", "<unknown>", "withheld", "restricted", "private", "unavailable", "none", "null"}
)
_INTERNATIONAL = (
    phonenumbers.CountryCodeSource.FROM_NUMBER_WITH_PLUS_SIGN,
    phonenumbers.CountryCodeSource.FROM_NUMBER_WITH_IDD,
)
_SCHEME = re.compile(r"^(?:sips?|tel):", re.IGNORECASE)


def to_e164(raw: str | None, region: str) -> str | None:
    """The number in E.164, national ones read as of ``region``; None when withheld or not a phone number.

    ``13800138000``, ``021 5555 1234``, ``+86 138 0013 8000``, ``sip:+8613800138000@carrier;user=phone`` and
    ``"Li" <sip:138...@x>`` are understood; ``anonymous``, extensions and short codes have no E.164 form.
    """
    text = _user_part(raw or "")
    if text.lower() in _WITHHELD or not any(c.isdecimal() for c in text):
        return None
    if any(c.isalpha() for c in text):
        # phonenumbers would read a SIP user called "x2call4me" as keys of a telephone.
        return None
    try:
        number = phonenumbers.parse(text, region, keep_raw_input=True)
    except phonenumbers.NumberParseException:
        return None
    if number.country_code_source in _INTERNATIONAL:
        # Numbering plans change; of a full number the length is enough.
        fits = phonenumbers.is_possible_number_with_reason(number) == phonenumbers.ValidationResult.IS_POSSIBLE
    else:
        # A local number without its area code would become somebody else's.
        fits = phonenumbers.is_valid_number(number)
    if not fits:
        return None
    formatted = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return formatted if _E164.match(formatted) else None


def is_region(region: str) -> bool:
    """Whether it is the ISO 3166 code of a country that has phone numbers."""
    return region in phonenumbers.SUPPORTED_REGIONS


def _user_part(raw: str) -> str:
    text = unicodedata.normalize("NFKC", raw[:200]).strip()
    if "<" in text and text.endswith(">") and text.lower() not in _WITHHELD:
        text = text.rsplit("<", 1)[1][:-1].strip()
    text = _SCHEME.sub("", text)
    return text.split("@", 1)[0].split(";", 1)[0].strip()

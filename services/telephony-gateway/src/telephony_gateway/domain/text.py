"""Strangers' text, made fit to be stored and published."""

import re

MAX_NAME = 200
MAX_ADDRESS = 80
MAX_CAUSE = 100
MAX_VALUE = 1000

_IDENTIFIER = re.compile(r"^[a-zA-Z0-9][a-zA-Z0-9._:@-]{0,99}$")
_ATTRIBUTE = re.compile(r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$")


def clean(text: str, limit: int) -> str:
    """Text without control characters and lone surrogates, trimmed and cut to ``limit`` characters."""
    kept = "".join(c for c in text[: limit * 4] if c.isprintable() or c == "\N{IDEOGRAPHIC SPACE}")
    return kept.strip()[:limit]


def is_name(text: str) -> bool:
    """Whether it can be a PBX's name of a call or leg."""
    return 0 < len(text) <= MAX_NAME and text.isprintable()


def is_identifier(text: str) -> bool:
    """Whether it can be the id of a device, agent or trunk."""
    return _IDENTIFIER.match(text) is not None


def is_attribute_name(text: str) -> bool:
    """Whether it can name an attribute."""
    return _ATTRIBUTE.match(text) is not None


def identifier(text: str) -> str:
    """An id made of whatever the PBX uses: ``PJSIP/1001`` becomes ``PJSIP-1001``."""
    if is_identifier(text):
        return text
    made = re.sub(r"[^a-zA-Z0-9._:@-]", "-", text)[:100].lstrip("._:@-")
    return made or "unknown"

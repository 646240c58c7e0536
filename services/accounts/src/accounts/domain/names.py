"""Names as they are compared. What is stored and shown stays as its bearer writes it."""

import unicodedata

MAX_KEY_LENGTH = 200
"""Characters. Some expand when normalised; the key must still fit into an index."""
AFTER_EVERY_CHARACTER = chr(0x10FFFF)
"""Sorts after whatever may follow a prefix."""


def name_key(name: str) -> str:
    """The matching key: ``"ＡＣＭＥ  Ltd"`` -> ``"acme ltd"``."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return " ".join(folded.split())[:MAX_KEY_LENGTH]

"""How the engine's values are made."""

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

ClassT = TypeVar("ClassT")


@dataclass_transform(frozen_default=True)
def value(cls: type[ClassT]) -> type[ClassT]:
    """A frozen dataclass with slots.

    The type checker is what forbids assignment: enforced at run time it would make a value five times as slow
    to create, and the engine creates a dozen per decision.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)

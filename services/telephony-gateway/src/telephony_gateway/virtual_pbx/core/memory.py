"""A bounded memory of names."""

from typing import Generic, TypeVar

ValueT = TypeVar("ValueT")


class Memory(Generic[ValueT]):
    """A mapping that forgets its oldest entries beyond ``limit``."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: dict[str, ValueT] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def __getitem__(self, name: str) -> ValueT:
        return self._entries[name]

    def get(self, name: str) -> ValueT | None:
        """What was put under ``name``, if it is remembered."""
        return self._entries.get(name)

    def put(self, name: str, value: ValueT) -> None:
        """Remember; what was known under ``name`` is replaced."""
        self._entries[name] = value
        if len(self._entries) > self._limit:
            del self._entries[next(iter(self._entries))]

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()

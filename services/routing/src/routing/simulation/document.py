"""Reads a YAML document into a pydantic model; each fault is told with its line, field and reason."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

ModelT = TypeVar("ModelT", bound=BaseModel)

Field = Sequence[str | int]
"""Where something stands: ``("types", "sales", "service_s", 3, "exponential")``."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and where."""

    line: int
    field: str
    reason: str


class BadDocument(ValueError):
    """The document cannot be used; nothing was done with it."""

    def __init__(self, path: Path, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(f"{path}:{f.line}: {f.field + ': ' if f.field else ''}{f.reason}" for f in faults))
        self.faults = tuple(faults)


class Document:
    """A YAML file whose lines are known."""

    def __init__(self, path: Path) -> None:
        """Raises: BadDocument, OSError."""
        self.path = path
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        try:
            self._root = loader.get_single_node()
            twice = list(_twice(self._root, ()))
            self._content = loader.construct_document(self._root) if self._root is not None else None
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise BadDocument(path, [Fault(line, "", error.problem or "this is not YAML")]) from error
        except yaml.YAMLError as error:
            raise BadDocument(path, [Fault(1, "", str(error))]) from error
        finally:
            loader.dispose()
        if twice:
            raise BadDocument(path, twice)

    def read(self, model: type[ModelT]) -> ModelT:
        """The content as ``model``; files that it names are looked for beside it.

        Raises:
            BadDocument: it does not fit.
        """
        try:
            return model.model_validate(self._content, context={"folder": self.path.parent})
        except ValidationError as error:
            faults = [
                self.fault(problem["loc"], problem["msg"].removeprefix("Value error, "))
                for problem in error.errors(include_url=False)
            ]
            raise BadDocument(self.path, sorted(faults, key=lambda fault: fault.line)) from error

    def fault(self, field: Field, reason: str) -> Fault:
        """Something is wrong with a field. Steps that the document does not have are left out, but a missing name."""
        node, names = self._root, []
        for step in field:
            if isinstance(node, yaml.MappingNode) and isinstance(step, str):
                found = next((value for key, value in node.value if key.value == step), None)
                names.append(step)
                if found is None:
                    break
                node = found
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                names.append(str(step))
                node = node.value[step]
        return Fault(node.start_mark.line + 1 if node is not None else 1, ".".join(names), reason)


def _twice(node: yaml.Node | None, above: tuple[str, ...]) -> Iterator[Fault]:
    """Names that stand twice in one mapping: YAML would silently take the last."""
    if isinstance(node, yaml.MappingNode):
        names = set()
        for key, value in node.value:
            here = (*above, str(key.value))
            if key.value in names:
                yield Fault(key.start_mark.line + 1, ".".join(here), "stands here twice")
            names.add(key.value)
            yield from _twice(value, here)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _twice(value, (*above, str(index)))

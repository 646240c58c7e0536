"""Reads a YAML document into a pydantic model; each fault is told with its line, field and reason."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

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


class _Loader(yaml.SafeLoader):
    """Names are text as it stands there: ``1001:`` and ``no:`` are no numbers or truths."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        self.flatten_mapping(node)
        names = [key.value if isinstance(key, yaml.ScalarNode) else "" for key, _ in node.value]
        values = [self.construct_object(value, deep=deep) for _, value in node.value]
        return dict(zip(names, values, strict=True))


class Document:
    """A YAML file whose lines are known."""

    def __init__(self, path: Path) -> None:
        """Raises: BadDocument, OSError."""
        self.path = path
        loader = _Loader(path.read_text(encoding="utf-8"))
        try:
            self._root = loader.get_single_node()
            twice = list(_twice(self._root, ()))
            self.content: Any = loader.construct_document(self._root) if self._root is not None else None
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
            return model.model_validate(self.content, context={"folder": self.path.parent})
        except ValidationError as error:
            faults = [
                self.fault(problem["loc"], problem["msg"].removeprefix("Value error, "))
                for problem in error.errors(include_url=False)
            ]
            raise BadDocument(self.path, sorted(faults, key=lambda fault: fault.line)) from error

    def fault(self, field: Field | str, reason: str) -> Fault:
        """Something is wrong with a field, ``("rules", 3, "name")`` or ``rules.3.name``. Steps that the
        document does not have are left out, but a missing name.
        """
        node, names = self._root, []
        if isinstance(field, str):
            field = _steps(self.content, field)
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


def _steps(content: Any, dotted: str) -> list[str | int]:
    """``queues.eu.sales.steps.0`` by the names that the document has, which may have dots in them."""
    if isinstance(content, dict):
        known = [name for name in content if dotted == name or dotted.startswith(f"{name}.")]
        if known:
            name = max(known, key=len)
            return [name, *_steps(content[name], dotted[len(name) + 1 :])]
    first, _, rest = dotted.partition(".")
    if isinstance(content, list) and first.isdigit() and int(first) < len(content):
        return [int(first), *_steps(content[int(first)], rest)]
    return [*dotted.split(".")] if dotted else []

"""JSON Schemas of the messages, each with its envelope, from the models of `cordboard_contracts`."""

import ast
import inspect
import sys
from functools import cache
from typing import Any

from cordboard_contracts import COMMANDS, EVENTS, CommandData, Envelope, EventData
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


def message_types() -> dict[str, type[EventData] | type[CommandData]]:
    """Every event and command by its type, sorted."""
    types: dict[str, type[EventData] | type[CommandData]] = {**EVENTS, **COMMANDS}
    return dict(sorted(types.items()))


def message_schema(data: type[EventData] | type[CommandData]) -> Schema:
    """What a whole message of this type looks like on the bus.

    It describes everything that must be accepted: also a message from before an optional field existed.
    """
    envelope: type[BaseModel] = Envelope[data]  # type: ignore[valid-type]
    generated = envelope.model_json_schema(schema_generator=_Generator)
    _describe(generated, Envelope)
    models = _models(data)
    for name, definition in generated["$defs"].items():
        if name in models:
            _describe(definition, models[name])
    generated["properties"]["type"]["const"] = data.type
    generated["title"] = data.type
    generated["description"] = inspect.getdoc(data)
    return {"$schema": DIALECT, "$id": f"urn:cordboard:schema:{data.type}", **generated}


class _Generator(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        """A title that repeats the field's name says nothing."""
        return False

    def dict_schema(self, schema: Any) -> JsonSchemaValue:
        """Pydantic refuses a key that does not fit the pattern; JSON Schema must be told to."""
        generated = super().dict_schema(schema)
        if "patternProperties" in generated:
            generated["additionalProperties"] = False
        return generated


def _describe(schema: Schema, model: type[BaseModel]) -> None:
    """Put the docstrings below a model's attributes where the reader of the schema finds them."""
    for name, words in _attribute_docstrings(model).items():
        if name in schema.get("properties", {}):
            schema["properties"][name]["description"] = words


def _models(data: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """Every model of the module of ``data`` and of the modules that this one imports from, by class name."""
    modules = [module for name, module in sys.modules.items() if name.startswith("cordboard_contracts.")]
    modules.sort(key=lambda module: module.__name__ == data.__module__)  # the own module's classes win
    return {
        found.__name__: found
        for module in modules
        for found in vars(module).values()
        if inspect.isclass(found) and issubclass(found, BaseModel) and found.__module__ == module.__name__
    }


@cache
def _attribute_docstrings(model: type[BaseModel]) -> dict[str, str]:
    words: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if base.__module__.startswith("cordboard_contracts."):
            words |= _module_docstrings(base.__module__).get(base.__name__, {})
    return words


@cache
def _module_docstrings(module: str) -> dict[str, dict[str, str]]:
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    found: dict[str, dict[str, str]] = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            found[node.name] = {
                field.target.id: inspect.cleandoc(words.value.value)
                for field, words in zip(node.body, node.body[1:], strict=False)
                if isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(words, ast.Expr)
                and isinstance(words.value, ast.Constant)
                and isinstance(words.value.value, str)
            }
    return found

"""The engine can be simulated and replayed because nothing in it knows the world."""

import ast
from pathlib import Path

import routing.engine

ALLOWED = {"collections.abc", "dataclasses", "enum", "heapq", "itertools", "typing"}


def test_the_engine_imports_only_itself_and_a_little_of_the_standard_library() -> None:
    files = sorted(Path(routing.engine.__file__).parent.glob("*.py"))
    assert len(files) > 5
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                assert name in ALLOWED or name.startswith("routing.engine"), f"{file.name} imports {name}"

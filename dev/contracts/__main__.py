"""``script/contracts generate`` and ``script/contracts check``."""

import argparse
import json
import sys
from pathlib import Path

from dev.contracts import asyncapi, check, examples, history
from dev.contracts.schemas import message_schema, message_types
from dev.contracts.services import composed

ROOT = Path(__file__).resolve().parents[2]
GENERATED = (check.SCHEMAS, "contracts/asyncapi", "contracts/openapi")


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="script/contracts", description="Look after the contracts.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("generate", help="write schemas, AsyncAPI, OpenAPI, and skeletons of missing examples")
    checking = commands.add_parser("check", help="fail if generated files are outdated or a change is breaking")
    checking.add_argument(
        "--base",
        action="append",
        metavar="REF",
        help="compare with this revision (again and again for more); by default with the last commit, and with the"
        " point where the branch left origin/main or else the state before the contracts were last touched",
    )
    given = parser.parse_args(arguments)
    return generate(ROOT) if given.command == "generate" else run_check(ROOT, given.base)


def rendered() -> dict[str, str]:
    """Every generated file by its path in the repository."""
    files = {f"{check.SCHEMAS}/{name}.json": _json(message_schema(data)) for name, data in message_types().items()}
    for service in composed():
        files[f"contracts/asyncapi/{service.name}.yaml"] = asyncapi.to_yaml(asyncapi.document(service))
        files[f"contracts/openapi/{service.name}.json"] = _json(service.api().openapi())
        for interface in service.interfaces:
            path = f"contracts/openapi/{service.name}-{interface.name}.json"
            files[path] = _json(service.interface_api(interface).openapi())
    return files


def generate(root: Path) -> int:
    """Write what is generated, remove what belongs to nothing any more."""
    files = rendered()
    changed = 0
    for path, content in files.items():
        changed += _write(root / path, content)
    for folder in GENERATED:
        for file in (root / folder).glob("*"):
            if file.relative_to(root).as_posix() not in files:
                file.unlink()
                print(f"removed {file.relative_to(root)}")
                changed += 1
    for message_type, data in message_types().items():
        written = root / check.EXAMPLES / message_type
        if not any(written.glob("*.json")):
            changed += _write(written / examples.FILL_IN, examples.skeleton(message_schema(data)))
    print(
        f"{len(files)} generated files, {changed} of them changed" if changed else f"{len(files)} files, none changed"
    )
    return 0


def run_check(root: Path, bases: list[str] | None) -> int:
    """Print everything that is wrong; 1 if anything is."""
    files = rendered()
    wrong = [*check.generated_differences(root, files, GENERATED), *check.example_problems(root)]
    notes: list[str] = []
    try:
        revisions = bases or history.default_bases(root, (check.SCHEMAS, check.EXAMPLES))
        for revision in revisions:
            breaking, readers_first = check.compared_with(root, revision, files)
            wrong += [f"breaks {revision[:12]}: {line}" for line in breaking]
            notes += readers_first
    except history.NoHistory as error:
        if bases:
            raise SystemExit(f"script/contracts: {error}") from error
        print(f"not compared with history: {error}")
    for line in dict.fromkeys(notes):
        print(f"deploy readers before writers: {line}")
    for line in wrong:
        print(line, file=sys.stderr)
    if wrong:
        print(
            f"\n{len(wrong)} problems. A breaking change is a new type, published beside the old one.", file=sys.stderr
        )
        return 1
    print(f"contracts: {len(message_types())} types, {len(files)} generated files, nothing broken")
    return 0


def _json(document: object) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _write(file: Path, content: str) -> bool:
    if file.is_file() and file.read_text(encoding="utf-8") == content:
        return False
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content, encoding="utf-8")
    print(f"wrote {file}")
    return True


if __name__ == "__main__":
    sys.exit(main())

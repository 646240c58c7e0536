"""What was committed is compared with what lies in the working tree."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from dev.contracts import history
from dev.contracts.check import EXAMPLES, SCHEMAS, compared_with, generated_differences
from dev.contracts.examples import problems, skeleton
from dev.contracts.schemas import message_schema, message_types

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="NO HISTORY: git is not installed")

TYPE = "telephony.call.hang-up.v1"
SCHEMA_PATH = f"{SCHEMAS}/{TYPE}.json"
EXAMPLE_PATH = f"{EXAMPLES}/{TYPE}/01-wrong-number.json"
FOLDERS = (SCHEMAS, EXAMPLES)


def schema() -> dict[str, object]:
    return message_schema(message_types()[TYPE])


class Repository:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
        done = subprocess.run(
            ["git", "-C", str(self.root), *identity, *arguments], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def write(self, path: str, content: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")

    def commit(self, message: str) -> str:
        self.git("add", ".")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path)
    made.write(SCHEMA_PATH, json.dumps(schema()))
    made.write(EXAMPLE_PATH, skeleton(schema()))
    made.commit("first")
    return made


def rendered(**changes: object) -> dict[str, str]:
    return {SCHEMA_PATH: json.dumps({**schema(), **changes})}


def test_nothing_changed_breaks_nothing(repository: Repository) -> None:
    assert compared_with(repository.root, "HEAD", rendered()) == ([], [])


def test_a_breaking_change_is_told_with_type_field_and_reason(repository: Repository) -> None:
    required = [*schema()["required"], "traceparent"]  # type: ignore[misc]
    breaking, _ = compared_with(repository.root, "HEAD", rendered(required=required))
    assert breaking == [f"{TYPE}: traceparent: was optional and is required"]


def test_a_removed_type_is_told(repository: Repository) -> None:
    breaking, _ = compared_with(repository.root, "HEAD", {})
    assert breaking == [f"{TYPE}: the type was removed"]


def test_examples_are_append_only(repository: Repository) -> None:
    file = repository.root / EXAMPLE_PATH
    repository.write(f"{EXAMPLES}/{TYPE}/02-another.json", skeleton(schema()))
    assert compared_with(repository.root, "HEAD", rendered()) == ([], [])
    file.write_text(file.read_text() + "\n")
    assert compared_with(repository.root, "HEAD", rendered())[0] == [
        f"{EXAMPLE_PATH}: was changed; add another example instead"
    ]
    file.unlink()
    assert compared_with(repository.root, "HEAD", rendered())[0] == [
        f"{EXAMPLE_PATH}: was removed; examples are kept for ever"
    ]


def test_on_main_the_state_before_the_last_change_of_contracts_counts(repository: Repository) -> None:
    first = repository.git("rev-parse", "HEAD")
    assert history.default_bases(repository.root, FOLDERS) == [first]
    repository.write(SCHEMA_PATH, json.dumps(schema()) + "\n")
    repository.commit("touches the contracts")
    repository.write("README.md", "words")
    head = repository.commit("touches something else")
    assert history.default_bases(repository.root, FOLDERS) == [head, first]


def test_on_a_branch_the_point_where_it_left_main_counts(repository: Repository) -> None:
    first = repository.git("rev-parse", "HEAD")
    repository.git("update-ref", "refs/remotes/origin/main", first)
    repository.git("switch", "--quiet", "-c", "branch")
    repository.write(SCHEMA_PATH, "{}")
    repository.commit("one")
    repository.write(SCHEMA_PATH, "{ }")
    head = repository.commit("two")
    assert history.default_bases(repository.root, FOLDERS) == [head, first]


def test_without_history_nothing_is_compared(tmp_path: Path) -> None:
    with pytest.raises(history.NoHistory):
        history.default_bases(tmp_path, FOLDERS)


def test_a_revision_before_there_were_contracts(repository: Repository) -> None:
    repository.git("rm", "-r", "--quiet", "contracts")
    empty = repository.commit("no contracts")
    assert history.files_at(repository.root, empty, FOLDERS) == {}
    with pytest.raises(history.NoHistory, match="nonsense"):
        history.files_at(repository.root, "nonsense", FOLDERS)


def test_generated_files_are_as_the_code_says(repository: Repository) -> None:
    root, files = repository.root, rendered()
    assert generated_differences(root, files, (SCHEMAS,)) == []
    repository.write(SCHEMA_PATH, "{}")
    repository.write(f"{SCHEMAS}/left.over.here.v1.json", "{}")
    found = generated_differences(root, {**files, f"{SCHEMAS}/new.json": "{}"}, (SCHEMAS,))
    assert [line.split(";")[0] for line in found] == [
        f"{SCHEMA_PATH}: is not what the code says",
        f"{SCHEMAS}/new.json: is missing",
        f"{SCHEMAS}/left.over.here.v1.json: belongs to nothing",
    ]


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("01-fill-in.json", {}, "is a skeleton"),
        ("01-wrong.json", {"sequence": 0}, "does not parse: telephony.call.hang-up.v1: sequence"),
        ("01-wrong.json", {"workspce": "main"}, "workspce is lost or changed"),
        (
            "01-wrong.json",
            {"data": {"call_id": "01993B5C-0000-7000-8000-000000000001"}},
            "data.call_id is lost or changed",
        ),
    ],
)
def test_an_example_that_is_wrong_is_told(tmp_path: Path, name: str, change: dict[str, object], words: str) -> None:
    file = tmp_path / TYPE / name
    file.parent.mkdir()
    file.write_text(json.dumps({**json.loads(skeleton(schema())), **change}))
    (problem,) = problems(tmp_path, [TYPE])
    assert problem.startswith(f"{TYPE}/{name}: ")
    assert words in problem


def test_a_type_without_an_example_and_an_example_without_a_type(tmp_path: Path) -> None:
    (tmp_path / "telephony.call.forgotten.v1").mkdir()
    assert [line.split(";")[0] for line in problems(tmp_path, [TYPE])] == [
        f"{TYPE}: has no example",
        "telephony.call.forgotten.v1: examples of a type that there is not",
    ]

"""``python -m routing config export|diff|apply``: a workspace's configuration as one YAML file, over the HTTP API."""

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import click
import yaml

from routing.document import BadDocument, Document

TIMEOUT_S = 60
FAILED = 2
"""Exit code: refused, unreadable or out of reach. Differences are 1, as of diff(1)."""

_MARKS = {"added": "+", "changed": "~", "removed": "-"}
Command = TypeVar("Command", bound=Callable[..., None])


class Failed(click.ClickException):
    """Says why on standard error."""

    exit_code = FAILED


class Problem(Exception):
    """The API refuses it: (field, reason) of each fault, or what is wrong as a whole."""

    def __init__(self, document: dict[str, Any]) -> None:
        super().__init__(document.get("detail", "refused"))
        self.faults = [(error["field"], error["reason"]) for error in document.get("errors", [])]


@dataclass(frozen=True, slots=True)
class Api:
    """The configuration of one workspace over HTTP."""

    url: str
    token: str

    def ask(self, method: str, path: str, body: Any = None, if_match: str | None = None) -> tuple[Any, str]:
        """(answer, its ETag)

        Raises:
            Problem: refused. Failed: nobody answers, or not as expected.
        """
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        if if_match is not None:
            headers["If-Match"] = if_match
        data = None
        if body is not None:
            # Dates and the like are no JSON; as text they are refused with their field.
            data = json.dumps(body, default=str).encode()
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310 (see _api)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310
                return json.load(response), response.headers.get("ETag", "*")
        except urllib.error.HTTPError as error:
            raise _problem(error) from error
        except (OSError, ValueError) as error:
            raise Failed(f"{self.url}: {error}") from error


def _problem(error: urllib.error.HTTPError) -> Exception:
    try:
        return Problem(json.load(error))
    except (OSError, ValueError):
        return Failed(f"{error.url}: {error.code} {error.reason}")


def _api(url: str, workspace: str) -> Api:
    token = os.environ.get("CORDBOARD_TOKEN", "")
    if not token:
        raise Failed("CORDBOARD_TOKEN is not set: the token of an administrator")
    if urlsplit(url).scheme not in ("http", "https"):
        raise Failed(f"{url} is not an http(s) URL")
    return Api(f"{url.rstrip('/')}/v1/workspaces/{quote(workspace, safe='')}/config", token)


def _options(command: Command) -> Command:
    command = click.option("--workspace", required=True, help="Id of the workspace.")(command)
    return click.option(
        "--url", envvar="CORDBOARD_ROUTING_URL", required=True, help="Of the routing API; or CORDBOARD_ROUTING_URL."
    )(command)


_FILE = click.argument("path", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))


@click.group()
def config() -> None:
    """A workspace's settings, queues, rules and agents as one YAML file.

    CORDBOARD_TOKEN is the token of an administrator. Exit codes: 0 done, or nothing is different; 1 (diff) something is
    different; 2 refused (nothing is changed), unreadable or out of reach.
    """


@config.command("export")
@_options
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to a file.")
def export(url: str, workspace: str, output: Path | None) -> None:
    """Print what is configured; what is as by default is left out."""
    try:
        document, _ = _api(url, workspace).ask("GET", "")
    except Problem as problem:
        raise Failed(str(problem)) from problem
    text = yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=120)
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")


@config.command("diff")
@_FILE
@_options
@click.option("--json", "as_json", is_flag=True, help="As the API tells it.")
def diff(path: Path, url: str, workspace: str, as_json: bool) -> None:
    """Say what applying FILE would change, or why it would be refused. Changes nothing."""
    found, _ = _asked(_api(url, workspace), path, "POST", "/diff")
    _show(found, as_json)
    sys.exit(1 if found["changes"] else 0)


@config.command("apply")
@_FILE
@_options
@click.option("--json", "as_json", is_flag=True, help="As the API tells it.")
def apply(path: Path, url: str, workspace: str, as_json: bool) -> None:
    """Make the workspace as FILE says, at once or not at all, and say what changed.

    A section that FILE does not have stays as it is; of one that it has, what it does not name is removed.
    """
    api = _api(url, workspace)
    found, tag = _asked(api, path, "POST", "/diff")
    if found["changes"]:
        found, _ = _asked(api, path, "PUT", "", tag)
    _show(found, as_json)


def _asked(api: Api, path: Path, method: str, where: str, if_match: str | None = None) -> tuple[Any, str]:
    try:
        document = Document(path)
        return api.ask(method, where, document.content, if_match)
    except (BadDocument, OSError, UnicodeDecodeError) as error:
        raise Failed(str(error)) from error
    except Problem as problem:
        faults = sorted(
            (document.fault("" if field == "body" else field, reason) for field, reason in problem.faults),
            key=lambda fault: fault.line,
        )
        raise Failed(str(BadDocument(path, faults)) if faults else str(problem)) from problem


def _show(found: Any, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    for line in _in_words(found["changes"]):
        click.echo(line)


def _in_words(changes: list[dict[str, Any]]) -> Iterator[str]:
    for change in changes:
        yield f"{_MARKS[change['change']]} {change['section']} {change['id']}".rstrip()
        for name, values in change["fields"].items():
            before, after = (json.dumps(values[side], ensure_ascii=False) for side in ("before", "after"))
            yield f"    {name}: {before} -> {after}"

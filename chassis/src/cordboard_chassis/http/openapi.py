"""The OpenAPI document: what each operation may answer besides success, said once for all of them."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import iter_route_contexts

from cordboard_chassis.http.problems import MEDIA_TYPE, Problem

_REASONS = {
    400: "The body is not JSON.",
    401: "No credential, or one that proves nothing.",
    403: "The caller may not do this.",
    404: "There is no such thing, or the caller may not see it.",
    409: "The thing is in a state in which this cannot be done.",
    412: "The thing has changed since the caller saw it.",
    413: "The body is too large.",
    415: "The body is not of an accepted media type.",
    422: "A field is missing, unknown or wrong.",
    428: "If-Match is missing.",
    429: "The caller makes too many requests; come back after `Retry-After` seconds.",
    503: "Nothing is wrong with the request; try again soon.",
}
_BODY_METHODS = frozenset({"post", "put", "patch"})
_METHODS = frozenset({"get", "head", "post", "put", "patch", "delete"})


def describe(app: FastAPI) -> dict[str, Any]:
    """The document of an app, with problem responses and without FastAPI's own form of errors."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        webhooks=app.webhooks.routes,
        separate_input_output_schemas=app.separate_input_output_schemas,
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for operation in _operations(document):
        _declare_problems(*operation)
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= problem.pop("$defs", {})
    schemas["Problem"] = problem
    document["components"]["schemas"] = dict(sorted(schemas.items()))
    return document


def query_parameters(document: dict[str, Any]) -> dict[tuple[str, str], frozenset[str]]:
    """Names of the query parameters of each (method, path) of a document."""
    return {
        (method, path): frozenset(
            parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "query"
        )
        for path, method, operation in _operations(document)
    }


def require_distinct_operations(app: FastAPI) -> None:
    """Operation ids are function names, so that generated clients read well; two routes must not share one.

    Raises:
        ValueError: they do.
    """
    seen: dict[str, str] = {}
    for route in iter_route_contexts(app.routes):
        if not getattr(route, "include_in_schema", False) or route.name is None:
            continue
        if route.name in seen:
            raise ValueError(f"two routes are called {route.name}: {seen[route.name]} and {route.path}")
        seen[route.name] = str(route.path)


def _operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, item in document.get("paths", {}).items()
        for method, operation in item.items()
        if method in _METHODS
    ]


def _declare_problems(path: str, method: str, operation: dict[str, Any]) -> None:
    parameters = operation.get("parameters", [])
    statuses = {503}
    if operation.get("security"):
        statuses |= {401, 403, 429}
    if "{" in path or any(parameter["in"] == "query" and parameter.get("required") for parameter in parameters):
        statuses |= {404, 422}
    if parameters or method == "get":
        statuses.add(422)
    if method != "get":
        statuses |= {404, 409}
    if method in _BODY_METHODS:
        statuses |= {400, 413, 415, 422}
    if any(parameter["name"].lower() == "if-match" for parameter in parameters):
        statuses |= {412, 428}
    responses = operation.setdefault("responses", {})
    for status in sorted(statuses):
        responses[str(status)] = {
            "description": responses.get(str(status), {}).get("description")
            if str(status) in responses and status != 422
            else _REASONS[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }

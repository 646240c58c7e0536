"""The HTTP application of a service: its routers, and the habits that all services share."""

from collections.abc import Callable, Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request
from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidatorFunctionWrapHandler
from pydantic_core import CoreSchema, core_schema, to_json
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from cordboard_chassis.auth.principal import Authenticator
from cordboard_chassis.database import Database
from cordboard_chassis.http import openapi
from cordboard_chassis.http.edge import Edge
from cordboard_chassis.http.problems import HANDLERS, printable
from cordboard_chassis.http.strict_json import StrictJson
from cordboard_chassis.refusals import Invalid

BODY_LIMIT = 1_048_576
"""Bytes of a request body; a router that takes files says otherwise with ``max_body_size``."""


class Body(BaseModel):
    """Base of every request body. Refuses unknown fields, and values of another JSON type (``"5"`` for 5)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """FastAPI hands over parsed JSON, which is read as the JSON text that it was.

        Pydantic's strict mode for JSON text refuses what is of another type but still reads dates, UUIDs and enums,
        which its strict mode for Python objects would not.
        """
        # The name moves outwards with the definition, so that the document refers to it instead of repeating it.
        schema = {**handler.resolve_ref_schema(handler(source))}
        name = schema.pop("ref", None)

        def as_json(value: Any, inner: ValidatorFunctionWrapHandler) -> Any:
            if isinstance(value, dict):
                return cls.__pydantic_validator__.validate_json(to_json(value), strict=True)
            return inner(value)

        return core_schema.json_or_python_schema(
            json_schema=schema,
            python_schema=core_schema.no_info_wrap_validator_function(as_json, schema),
            ref=name,
        )


class Api(FastAPI):
    """A FastAPI application that speaks in problem documents."""

    def __init__(self, *, access_log: bool = False, **options: Any) -> None:
        self._access_log = access_log
        self.edge: Edge | None = None
        super().__init__(**options)

    def build_middleware_stack(self) -> ASGIApp:
        """FastAPI's stack within our edge, so that not even FastAPI's own failures get past it."""
        self.edge = Edge(super().build_middleware_stack(), access_log=self._access_log)
        return self.edge

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document; made once."""
        if self.openapi_schema is None:
            self.openapi_schema = openapi.describe(self)
        return self.openapi_schema

    def drain(self) -> None:
        """End the event streams, and what else waits: the process is about to end."""
        self.state.draining = True
        if self.edge is not None:
            self.edge.drain()


def create_api(
    name: str,
    routers: Iterable[APIRouter] = (),
    *,
    database: Database | None = None,
    authenticator: Authenticator | None = None,
    plumbing: Iterable[BaseRoute] = (),
    webhooks: APIRouter | None = None,
    description: str = "",
    version: str = "1.0.0",
    body_limit: int = BODY_LIMIT,
    access_log: bool = False,
) -> Api:
    """The API of the service ``name``. Routers carry their ``/v1`` prefix themselves.

    ``plumbing`` are routes outside of the document, such as probes; ``webhooks`` are what the service sends. Each
    route's function name becomes its operation id.

    Raises:
        ValueError: two routes have functions of the same name.
    """
    app = Api(
        title=f"Cordboard {name}",
        description=description,
        version=version,
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers=dict(HANDLERS),
        max_body_size=body_limit,
        generate_unique_id_function=lambda route: route.name,
        routes=list(plumbing),
        webhooks=webhooks,
        telemetry={"metrics": False, "logs": False, "operation_spans": False},
        access_log=access_log,
    )
    app.state.database = database
    app.state.authenticator = authenticator
    app.state.draining = False
    app.add_middleware(StrictJson)
    known = _refuse_unknown_query_parameters()
    for router in routers:
        app.include_router(router, dependencies=[Depends(known)])
    openapi.require_distinct_operations(app)
    return app


def _refuse_unknown_query_parameters() -> Callable[[Request], None]:
    """A misspelt filter must not quietly return everything."""
    known: dict[tuple[str, str], frozenset[str]] = {}

    async def check(request: Request) -> None:
        if not request.query_params:
            return
        if not known:
            known.update(openapi.query_parameters(request.app.openapi()))
        context = request.scope["route"]
        names = known.get((request.method.lower(), context.path_format))
        unknown = sorted(set(request.query_params) - names) if names is not None else []
        if unknown:
            field = printable(unknown[0]) or "query"
            raise Invalid("is not a parameter of this request", field, code="invalid-request")

    return check  # type: ignore[return-value]


def get_database(request: Request) -> Database:
    """The database of the service that answers."""
    database: Database = request.app.state.database
    return database


Db = Annotated[Database, Depends(get_database)]
"""Parameter of a route: ``database: Db``."""

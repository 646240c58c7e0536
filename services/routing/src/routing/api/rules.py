"""Rules: which queue, requirement and priority a work item gets."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from cordboard_chassis.http.app import Body, Db
from cordboard_chassis.http.etags import IfMatch, set_etag
from cordboard_chassis.http.owner_inputs import ask_owner
from cordboard_chassis.http.paging import Page, Paging
from cordboard_chassis.refusals import Invalid, NotFound
from cordboard_contracts.vocabulary import Identifier, Language, SkillLevel, Territory
from fastapi import APIRouter, Path, Request, Response
from pydantic import AfterValidator, BaseModel, Field, StringConstraints, model_validator
from sqlalchemy import Row

from routing.api.access import Administrator, Staff, WorkspaceId, configurable_workspace, workspace_of
from routing.api.hours import Hours, Moment, TimeZone, Weekday
from routing.domain.rules import Facts
from routing.engine import WorkKind
from routing.storage import queries
from routing.usecases.check_rules import check_rules

router = APIRouter(prefix="/v1/workspaces/{workspace_id}/rules", tags=["rules"])


def _some_time(hours: str) -> str:
    begin, _, end = hours.partition("-")
    if begin == end:
        raise ValueError("begins when it ends; all day is 00:00-24:00")
    return hours


_Dialled = Annotated[str, StringConstraints(min_length=1, max_length=80)]
_Times = Annotated[Hours, AfterValidator(_some_time)]
_Text = Annotated[str, StringConstraints(max_length=1000)]
_AttributeName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$")]
_Version = Annotated[int, Path(ge=1, le=2**62, description="A version of the rules.")]


class When(Body):
    """Conditions, all of which must hold. In each, one of the values must fit; one that is empty always holds."""

    kind: list[WorkKind] = Field(default=[], max_length=3)
    dialled: list[_Dialled] = Field(
        default=[], max_length=100, description="Numbers called, or their beginnings: `+8621*`."
    )
    known: bool | None = Field(default=None, description="Whether the customer is known.")
    tier: list[Identifier] = Field(default=[], max_length=100)
    language: list[Language] = Field(default=[], max_length=100, description="`zh` also fits `zh-CN`.")
    territory: list[Territory] = Field(default=[], max_length=100, description="`CN-31` also fits `CN-31-0115`.")
    attributes: dict[_AttributeName, Annotated[list[_Text], Field(max_length=100)]] = Field(default={}, max_length=20)
    open: list[Identifier] = Field(default=[], max_length=100, description="Calendars of which one is open.")
    closed: list[Identifier] = Field(default=[], max_length=100, description="Calendars of which one is closed.")
    weekday: list[Weekday] = Field(default=[], max_length=7, description="By the clock of `time_zone`.")
    time: list[_Times] = Field(
        default=[],
        max_length=20,
        description="Times of the day by the clock of `time_zone`: `18:00-22:00`; `22:00-06:00` is over midnight.",
    )
    time_zone: TimeZone | None = Field(default=None, description="Where `weekday` and `time` are meant.")

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if bool(self.weekday or self.time) != (self.time_zone is not None):
            raise ValueError("weekday or time, and time_zone: one says nothing without the other")
        return self


class Then(Body):
    """What a work item gets for which the rule holds."""

    queue: Identifier
    requirement: dict[Identifier, SkillLevel] = Field(
        default={}, max_length=20, description="Skills with their least levels."
    )
    any_of: list[Annotated[dict[Identifier, SkillLevel], Field(min_length=1, max_length=20)]] = Field(
        default=[], max_length=5, description="Of each of these groups of skills, one with its least level is enough."
    )
    wanted: dict[Identifier, Annotated[int, Field(ge=1, le=100)]] = Field(
        default={},
        max_length=20,
        description="Skills that are nice to have, with weights: of the eligible agents, the one with the greatest sum"
        " of weight times level is first.",
    )
    priority: int | None = Field(
        default=None, ge=0, le=1000, description="Instead of the priority that the item brings along."
    )
    due_after_s: int | None = Field(
        default=None,
        ge=0,
        le=2_592_000,
        description="When it is due after its submission, if not as the queue says.",
    )
    preferred_agent: Identifier | None = Field(
        default=None, description="Gets it before all others if eligible; null: the customer's last or own agent."
    )
    last_agent_within_s: int | None = Field(
        default=None,
        ge=1,
        le=31_536_000,
        description="The agent who last accepted something of the customer comes before the customer's own, if that is"
        " no longer ago and they are signed in; null: the last agent does not matter.",
    )
    patience_s: int = Field(
        default=0,
        ge=0,
        le=86_400,
        description="So long it waits for the preferred agent alone, unless they are offline, cannot do it, or do not"
        " take it.",
    )
    territory: Territory | Literal["own"] | None = Field(
        default=None, description="Agents must cover it; `own` is that of the item. Null: any agent will do."
    )
    language: Language | Literal["own"] | None = Field(
        default=None, description="Agents must have the skill `language:<tag>`; `own` is the language of the item."
    )


class Rule(Body):
    """One rule."""

    name: Identifier
    when: When = Field(default_factory=When.model_construct)
    then: Then


class RulesBody(Body):
    """All rules of a workspace, in order: the first that holds decides."""

    rules: list[Rule] = Field(min_length=1, max_length=500, description="The last one must have no condition.")


class RulesView(BaseModel):
    """A version of the rules."""

    workspace_id: str
    version: int
    rules: list[Rule]
    written_by: str
    written_at: datetime


class RulesSummary(BaseModel):
    """A version of the rules, in short."""

    version: int
    size: int = Field(description="How many rules it has.")
    written_by: str
    written_at: datetime


class Sample(Body):
    """A work item as rules look at it."""

    kind: WorkKind
    dialled: _Dialled | None = None
    known: bool = False
    tier: Identifier | None = None
    language: Language | None = None
    territory: Territory | None = None
    attributes: dict[_AttributeName, _Text] = Field(default={}, max_length=50)
    at: Moment | None = Field(default=None, description="When it arrives; null: now.")


class CheckBody(Body):
    """Rules to be tried on samples."""

    rules: list[Rule] | None = Field(default=None, min_length=1, max_length=500, description="Null: the present ones.")
    items: list[Sample] = Field(default=[], max_length=100)


class ChoiceView(BaseModel):
    """What a sample would get."""

    rule: str | None = Field(description="Null: there are no rules.")
    queue: str
    requirement: dict[str, int]
    any_of: list[dict[str, int]]
    wanted: dict[str, int]
    priority: int
    due_after_s: int | None
    preferred_agent: str | None
    last_agent_within_s: int | None
    patience_s: int
    territory: str | None
    outcome: str | None = Field(description="With what a call ends at once, since its queue is closed.")


class FindingView(BaseModel):
    """Something that somebody should look at, though it is not refused."""

    code: str = Field(description="`nobody`, `only-later`, `unused-queue`, `starved`, `never-open`")
    field: str
    detail: str


class CheckView(BaseModel):
    """What came of it."""

    findings: list[FindingView]
    choices: list[ChoiceView] = Field(description="For each sample, in their order.")


def _view(row: Row[Any]) -> RulesView:
    return RulesView(
        workspace_id=row.workspace_id,
        version=row.version,
        rules=row.rules["rules"],
        written_by=row.written_by,
        written_at=row.written_at,
    )


@router.put("")
async def put_rules(
    request: Request,
    response: Response,
    caller: Administrator,
    database: Db,
    workspace_id: WorkspaceId,
    body: RulesBody,
    if_match: IfMatch = None,
) -> RulesView:
    """A new version of the rules, which holds for what arrives from now on.

    Send the ETag of the present version as `If-Match`, unless there is none yet.
    """
    async with database.transaction(caller.org_path) as uow:
        await configurable_workspace(uow, workspace_id)
    done = await ask_owner(
        request,
        caller,
        database,
        kind="workspace",
        owner_id=workspace_id,
        name="publish_rules",
        payload={**body.model_dump(mode="json"), "if_match": if_match},
        key=None,
    )
    return await get_rules_version(response, caller, database, workspace_id, done["version"])


@router.get("")
async def get_rules(response: Response, caller: Staff, database: Db, workspace_id: WorkspaceId) -> RulesView:
    """The present rules."""
    async with database.transaction(caller.org_path) as uow:
        await workspace_of(uow, workspace_id)
        row = await queries.find_rules(uow, workspace_id)
    if row is None:
        raise NotFound("this workspace has no rules yet; its work goes to the queue default", "workspace_id")
    set_etag(response, row.version)
    return _view(row)


@router.post("/check")
async def check(caller: Administrator, database: Db, workspace_id: WorkspaceId, body: CheckBody) -> CheckView:
    """Try rules without publishing them: what samples would get, and what is suspicious with the present roster.

    Rules that would be refused are refused here in the same way.
    """
    document = None if body.rules is None else body.model_dump(mode="json", include={"rules"})
    samples = [(Facts(**sample.model_dump(mode="json", exclude={"at"})), sample.at) for sample in body.items]
    async with database.transaction(caller.org_path) as uow:
        await configurable_workspace(uow, workspace_id)
        fault, findings, choices = await check_rules(uow, workspace_id, document, samples)
    if fault is not None:
        field, reason = fault
        raise Invalid(reason, field)
    return CheckView(
        findings=[FindingView.model_validate(found, from_attributes=True) for found in findings],
        choices=[ChoiceView.model_validate(choice, from_attributes=True) for choice in choices],
    )


@router.get("/versions")
async def list_rules_versions(
    caller: Staff, database: Db, workspace_id: WorkspaceId, paging: Paging
) -> Page[RulesSummary]:
    """All versions, the newest first."""
    (before,) = paging.after(int) or (None,)
    async with database.transaction(caller.org_path) as uow:
        await workspace_of(uow, workspace_id)
        rows = await queries.list_rules(uow, workspace_id, before, paging.fetch)
    return paging.page(
        rows, lambda row: (row.version,), lambda row: RulesSummary.model_validate(row, from_attributes=True)
    )


@router.get("/versions/{version}")
async def get_rules_version(
    response: Response, caller: Staff, database: Db, workspace_id: WorkspaceId, version: _Version
) -> RulesView:
    """One version, such as the one that an assignment names."""
    async with database.transaction(caller.org_path) as uow:
        await workspace_of(uow, workspace_id)
        row = await queries.find_rules(uow, workspace_id, version)
    if row is None:
        raise NotFound(f"there is no version {version} of these rules", "version")
    set_etag(response, row.version)
    return _view(row)

"""What whoever plays the world may ask for on the control link, checked. See PROTOCOL.md, part two.

Durations are seconds of the PBX's clock, except those of accidents on the line, which are the world's.
"""

import base64
import binascii
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, TypeAdapter
from pydantic import ValidationError as ValidationFailed

from telephony_gateway.virtual_pbx.core import scripts
from telephony_gateway.virtual_pbx.core.model import Refused

MAX_CONTROL_LINE = 8 * 1024 * 1024
MAX_BATCH = 10_000
MAX_PAGE = 10_000

Seconds = Annotated[float, Field(ge=0, le=10_000_000, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Number = Annotated[str, StringConstraints(min_length=1, max_length=80)]
Digits = Annotated[str, StringConstraints(pattern=r"^[0-9*#A-D]{1,100}$")]
Attributes = Annotated[
    dict[
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$")],
        Annotated[str, StringConstraints(max_length=1000)],
    ],
    Field(max_length=50),
]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Fixed(_Part):
    """A number of seconds; a bare number means the same."""

    seconds: Seconds

    def value(self) -> scripts.Duration:
        """For the core."""
        return scripts.Fixed(self.seconds)


class Uniform(_Part):
    """Evenly between two bounds."""

    low_s: Seconds
    high_s: Seconds

    def value(self) -> scripts.Duration:
        """For the core."""
        return scripts.Uniform(self.low_s, self.high_s)


class Exponential(_Part):
    """Memoryless."""

    mean_s: Seconds

    def value(self) -> scripts.Duration:
        """For the core."""
        return scripts.Exponential(self.mean_s)


def _bare_number(value: Any) -> Any:
    return {"seconds": value} if isinstance(value, int | float) else value


Duration = Annotated[Fixed | Uniform | Exponential, BeforeValidator(_bare_number)]


def _value(duration: Fixed | Uniform | Exponential | None) -> scripts.Duration | None:
    return None if duration is None else duration.value()


class Keys(_Part):
    """DTMF."""

    after_s: Seconds
    digits: Digits


class Caller(_Part):
    """See `scripts.CallerScript`; ``after_s``: when they call, from now."""

    after_s: Seconds = 0.0
    did: Number
    number: Annotated[str, StringConstraints(max_length=80)] | None = None
    name: Annotated[str, StringConstraints(max_length=200)] = ""
    name_encoding: scripts.NameEncoding = scripts.NameEncoding.UTF8
    diverted_from: Number | None = None
    attributes: Attributes = Field(default_factory=dict)
    keys: Annotated[tuple[Keys, ...], Field(max_length=20)] = ()
    patience: Duration | None = None
    talk: Duration | None = None
    hang_up: scripts.Side = scripts.Side.CUSTOMER
    retries: Annotated[int, Field(ge=0, le=100)] = 0
    retry_after_s: Annotated[float, Field(gt=0, le=1_000_000)] = 30.0
    tag: Annotated[str, StringConstraints(max_length=200)] = ""

    def script(self) -> scripts.CallerScript:
        """For the core."""
        return scripts.CallerScript(
            did=self.did,
            number=self.number,
            name=self.name,
            name_encoding=self.name_encoding,
            diverted_from=self.diverted_from,
            attributes=self.attributes,
            keys=tuple(scripts.Keys(keys.after_s, keys.digits) for keys in self.keys),
            patience=_value(self.patience),
            talk=_value(self.talk),
            hang_up=self.hang_up,
            retries=self.retries,
            retry_after_s=self.retry_after_s,
            tag=self.tag,
        )


class HoldHabit(_Part):
    """See `scripts.HoldHabit`."""

    chance: Share
    after: Duration
    duration: Duration

    def habit(self) -> scripts.HoldHabit:
        """For the core."""
        return scripts.HoldHabit(self.chance, self.after.value(), self.duration.value())


class MoveHabit(_Part):
    """See `scripts.MoveHabit`."""

    chance: Share
    kind: scripts.MoveKind
    after: Duration
    to: Annotated[tuple[Name, ...], Field(min_length=1, max_length=1000)]
    consult: Duration = Fixed(seconds=5.0)
    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 20.0

    def habit(self) -> scripts.MoveHabit:
        """For the core."""
        return scripts.MoveHabit(
            self.chance, self.kind, self.after.value(), self.to, self.consult.value(), self.timeout_s
        )


class Behaviour(_Part):
    """See `scripts.Behaviour`."""

    answer_after: Duration | None = Fixed(seconds=2.0)
    ignore_chance: Share = 0.0
    decline_chance: Share = 0.0
    ring_after_s: Annotated[float, Field(ge=0, le=60)] = 0.02
    talk: Duration | None = None
    talk_factor: Annotated[float, Field(gt=0, le=100)] = 1.0
    hold: HoldHabit | None = None
    move: MoveHabit | None = None

    def behaviour(self) -> scripts.Behaviour:
        """For the core."""
        hold, move = self.hold, self.move
        return scripts.Behaviour(
            answer_after=_value(self.answer_after),
            ignore_chance=self.ignore_chance,
            decline_chance=self.decline_chance,
            ring_after_s=self.ring_after_s,
            talk=_value(self.talk),
            talk_factor=self.talk_factor,
            hold=None if hold is None else hold.habit(),
            move=None if move is None else move.habit(),
        )


class Party(_Part):
    """See `scripts.PartyScript`; number ``*`` is everybody else."""

    number: Number
    ring_after_s: Seconds = 0.5
    answer_after: Duration | None = Fixed(seconds=3.0)
    busy: bool = False
    talk: Duration | None = Fixed(seconds=60.0)
    hang_up: scripts.Side = scripts.Side.CUSTOMER
    patience: Duration | None = Fixed(seconds=60.0)

    def script(self) -> scripts.PartyScript:
        """For the core."""
        return scripts.PartyScript(
            ring_after_s=self.ring_after_s,
            answer_after=_value(self.answer_after),
            busy=self.busy,
            talk=_value(self.talk),
            hang_up=self.hang_up,
            patience=_value(self.patience),
        )


class Trunk(_Part):
    """A trunk."""

    trunk: Name
    dids: Annotated[tuple[Number, ...], Field(max_length=10_000)]
    channels: Annotated[int, Field(ge=1, le=100_000)] = 10_000


class Device(_Part):
    """A device; what is left out stays as it is."""

    device: Name
    registered: bool | None = None
    powered: bool | None = None
    behaviour: Behaviour | None = None


class _Request(_Part):
    id: int


class SetTrunks(_Request):
    """Add or change trunks."""

    op: Literal["set_trunks"]
    trunks: Annotated[tuple[Trunk, ...], Field(max_length=1000)]


class SetDevices(_Request):
    """Add or change devices."""

    op: Literal["set_devices"]
    devices: Annotated[tuple[Device, ...], Field(max_length=MAX_BATCH)]


class SetParties(_Request):
    """Say who answers at numbers that are called from here."""

    op: Literal["set_parties"]
    parties: Annotated[tuple[Party, ...], Field(max_length=MAX_BATCH)]


class PlaceCalls(_Request):
    """Have people call."""

    op: Literal["place_calls"]
    calls: Annotated[tuple[Caller, ...], Field(max_length=MAX_BATCH)]


class AgentActs(_Request):
    """Have the agent at a device do something now, whatever their behaviour."""

    op: Literal["agent"]
    device: Name
    do: Literal["answer", "decline", "hang_up", "hold", "retrieve", "press", "use_privately", "dial", "transfer"]
    digits: Digits | None = None
    """For ``press``."""
    number: Number | None = None
    """For ``dial``."""
    to: Name | None = None
    """For ``transfer`` (blind)."""
    for_s: Seconds = 10.0
    """For ``use_privately``."""


class CustomerActs(_Request):
    """Have the customer of a live call do something now."""

    op: Literal["customer"]
    call: Annotated[str, StringConstraints(max_length=200)]
    do: Literal["hang_up", "press"]
    digits: Digits | None = None


class DropClients(_Request):
    """Cut all connections of the switch link, and refuse new ones for a while (seconds of the world)."""

    op: Literal["drop_clients"]
    refuse_s: Annotated[float, Field(ge=0, le=3600)] = 0.0


class Stall(_Request):
    """Freeze the switch link for a while (seconds of the world): open, and silent."""

    op: Literal["stall"]
    for_s: Annotated[float, Field(gt=0, le=3600)]


class Crash(_Request):
    """Lose all calls and connections; come up again after ``down_s`` (seconds of the world)."""

    op: Literal["crash"]
    down_s: Annotated[float, Field(ge=0, le=3600)] = 0.5


class Inject(_Request):
    """Write bytes to every client of the switch link."""

    op: Literal["inject"]
    base64: Annotated[str, StringConstraints(max_length=2 * 1024 * 1024)]

    def data(self) -> bytes:
        """The bytes."""
        try:
            return base64.b64decode(self.base64, validate=True)
        except binascii.Error as error:
            raise Refused("malformed", f"base64: {error}") from error


class Stats(_Request):
    """Counts, live figures, percentiles."""

    op: Literal["stats"]


class Samples(_Request):
    """Raw latency samples from number ``after`` on."""

    op: Literal["samples"]
    kind: Literal["assignment", "freed"]
    after: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = MAX_PAGE


class Records(_Request):
    """Calls that are over, from number ``after`` on."""

    op: Literal["records"]
    after: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = MAX_PAGE


class Live(_Request):
    """Calls that are up."""

    op: Literal["live"]
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = MAX_PAGE


class Offences(_Request):
    """Double connects and double answers, the newest 1,000."""

    op: Literal["offences"]


Request = (
    SetTrunks
    | SetDevices
    | SetParties
    | PlaceCalls
    | AgentActs
    | CustomerActs
    | DropClients
    | Stall
    | Crash
    | Inject
    | Stats
    | Samples
    | Records
    | Live
    | Offences
)

_REQUESTS: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="op")])


def read(line: bytes) -> Request:
    """Understand one line.

    Raises:
        Refused: with ``malformed`` and what is wrong where.
    """
    try:
        return _REQUESTS.validate_json(line)
    except ValidationFailed as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "line"
        raise Refused("malformed", f"{where}: {first['msg']}"[:500]) from error

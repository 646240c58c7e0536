"""The envelope around every event and command: CloudEvents 1.0, structured JSON mode."""

import os
import time as clock
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Generic, Literal, Self, TypeVar
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

OrgPath = Annotated[str, StringConstraints(pattern=r"^/$|^(/[a-z0-9]+(-[a-z0-9]+)*)+$", min_length=1, max_length=200)]
"""Where in the organisation a thing belongs: ``/cn/east/shanghai``; ``/`` is the whole organisation."""

OwnerId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
"""Name of a workspace or a PBX; it becomes part of a queue's name."""


def new_id() -> UUID:
    """A UUID version 7 (RFC 9562, section 5.7): unique, and ordered by the millisecond of its making."""
    milliseconds = clock.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & ((1 << 48) - 1)) << 80
    value |= 0x7 << 76
    value |= ((random >> 62) & 0xFFF) << 64
    value |= 0b10 << 62
    value |= random & ((1 << 62) - 1)
    return UUID(int=value)


class Value(BaseModel):
    """A part of an event. Frozen. Unknown fields are ignored: a newer publisher may add some."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class EventData(Value):
    """Body of an event: something happened. Subclasses are registered under their ``type``."""

    type: ClassVar[str]


class CommandData(Value):
    """Body of a command: somebody shall do something. Subclasses are registered under their ``type``."""

    type: ClassVar[str]


DataT = TypeVar("DataT", bound=EventData | CommandData)


class Envelope(BaseModel, Generic[DataT]):
    """One event or command on the bus.

    The attributes are those of CloudEvents 1.0 and, below them, Cordboard's extension attributes.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: Literal["1.0"]
    id: UUID
    source: Annotated[str, StringConstraints(pattern=r"^/[a-z]", max_length=200)]
    """The service that speaks: ``/routing``."""
    type: str
    subject: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    """Id of the entity that it is about."""
    time: AwareDatetime
    datacontenttype: Literal["application/json"] = "application/json"
    data: DataT

    orgpath: OrgPath
    sequence: Annotated[int, Field(ge=1)]
    """Version of the entity. A consumer ignores what is not newer than what it has."""
    partitionkey: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    """Messages of one partition key are published in order."""
    correlationid: UUID
    """Id of the case that this belongs to, whoever says it and over however many days: usually of a call, a lead, a
    service request or a customer."""
    causationid: UUID | None = None
    """Id of the message that made this one happen."""
    traceparent: Annotated[str, StringConstraints(max_length=55)] | None = None
    """W3C Trace Context."""
    workspace: OwnerId | None = None
    """The workspace whose routing owner shall receive this; also sent as a header of this name."""
    pbx: OwnerId | None = None
    """The PBX whose gateway owner shall receive this; also sent as a header of this name."""

    @classmethod
    def of(
        cls,
        data: DataT,
        *,
        source: str,
        subject: str | UUID,
        sequence: int,
        orgpath: str,
        cause: "Envelope[Any] | None" = None,
        correlation: UUID | None = None,
        time: datetime | None = None,
        workspace: str | None = None,
        pbx: str | None = None,
        partitionkey: str | None = None,
        id: UUID | None = None,
    ) -> Self:
        """Wrap ``data``. The case (correlation) is the one that is given, else that of ``cause``, else the subject.

        ``partitionkey`` is the subject unless told otherwise, ``time`` is now.
        """
        event_id = id or new_id()
        return cls(
            specversion="1.0",
            id=event_id,
            source=source,
            type=data.type,
            subject=str(subject),
            time=time or datetime.now(UTC),
            data=data,
            orgpath=orgpath,
            sequence=sequence,
            partitionkey=partitionkey or str(subject),
            correlationid=correlation or (cause.correlationid if cause else _case(subject) or event_id),
            causationid=cause.id if cause else None,
            workspace=workspace,
            pbx=pbx,
        )

    def to_json(self) -> bytes:
        """The body as it travels: UTF-8 JSON."""
        return self.model_dump_json().encode()


def _case(subject: str | UUID) -> UUID | None:
    """A subject with an id of ours is a case of its own; agents and devices have the names that users gave them."""
    try:
        return UUID(str(subject))
    except ValueError:
        return None

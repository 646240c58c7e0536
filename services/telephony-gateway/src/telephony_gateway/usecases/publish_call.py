"""Say on the bus what happened to a call or device."""

from dataclasses import replace
from datetime import datetime

from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts import EventData, telephony

from telephony_gateway.domain.announcements import Announcement, Kind
from telephony_gateway.domain.call import Call, Connection, Span
from telephony_gateway.domain.devices import Device
from telephony_gateway.domain.words import FailureReason

_WHOLE: dict[Kind, type[telephony.CallEvent]] = {
    Kind.OFFERED: telephony.CallOffered,
    Kind.ATTRIBUTES_CHANGED: telephony.CallAttributesChanged,
    Kind.CLEARED: telephony.CallCleared,
}
_OF_A_LEG: dict[Kind, type[telephony.ConnectionEvent]] = {
    Kind.ALERTING: telephony.CallAlerting,
    Kind.ORIGINATED: telephony.CallOriginated,
    Kind.ANSWERED: telephony.CallAnswered,
    Kind.TRANSFERRED: telephony.CallTransferred,
    Kind.CONFERENCED: telephony.CallConferenced,
    Kind.HELD: telephony.CallHeld,
    Kind.RETRIEVED: telephony.CallRetrieved,
    Kind.CONNECTION_FAILED: telephony.ConnectionFailed,
    Kind.CONNECTION_CLEARED: telephony.ConnectionCleared,
}


def publish_call(uow: UnitOfWork, call: Call, announcements: tuple[Announcement, ...], at: datetime) -> Call:
    """Emit the events that lead to ``call``; returns it with its new version. ``at`` is when it happened."""
    snapshot = to_contract(call) if announcements else None
    version = call.version
    for announcement in announcements:
        assert snapshot is not None
        version += 1
        data: EventData
        if announcement.connection_id is None:
            data = _WHOLE[announcement.kind](call=snapshot)
        else:
            data = _OF_A_LEG[announcement.kind](call=snapshot, connection_id=announcement.connection_id)
        uow.emit(
            data,
            subject=call.call_id,
            sequence=version,
            orgpath=call.org_path,
            workspace=call.workspace,
            time=at,
            correlation=call.call_id,
        )
    # What is not announced is written all the same, and a row is only replaced by a newer version.
    return replace(call, version=max(version, call.version + 1))


def publish_device(uow: UnitOfWork, device: Device) -> None:
    """Emit that a device's state changed."""
    data = telephony.DeviceChanged(
        device=telephony.Device(
            device_id=device.device_id,
            pbx_id=device.pbx_id,
            workspace=device.workspace,
            org_path=device.org_path,
            state=telephony.DeviceState(device.told.value),
            changed_at=device.changed_at,
        )
    )
    uow.emit(
        data,
        subject=device.device_id,
        sequence=device.version,
        orgpath=device.org_path,
        workspace=device.workspace,
        partitionkey=f"{device.pbx_id}/{device.device_id}",
        time=device.changed_at,
    )


def to_contract(call: Call) -> telephony.Call:
    """The call in the words of the contract."""
    return telephony.Call(
        call_id=call.call_id,
        pbx_id=call.pbx_id,
        pbx_call_id=call.pbx_call,
        workspace=call.workspace,
        org_path=call.org_path,
        direction=telephony.Direction(call.direction.value),
        state=telephony.CallState(call.state.value),
        from_number=call.from_number,
        from_raw=call.from_raw,
        from_name=call.from_name,
        dialled=call.dialled,
        diverted_from=call.diverted_from,
        trunk=call.trunk,
        territory=call.territory,
        attributes=call.attributes,
        connections=tuple(_connection(call, connection) for connection in call.connections),
        offered_at=call.offered_at,
        answered_at=call.answered_at,
        cleared_at=call.cleared_at,
        cleared_by=telephony.Party(call.cleared_by.value) if call.is_cleared and call.cleared_by else None,
        cause=call.cause if call.is_cleared else None,
    )


def span(span: Span) -> telephony.Span:
    """A span in the words of the contract."""
    return telephony.Span(started_at=span.started_at, ended_at=span.ended_at)


def _failure(connection: Connection) -> telephony.FailureReason | None:
    if connection.failure is FailureReason.DIVERTED:
        # The contract has no word of its own for it: to whoever chose this agent, the device said no.
        return telephony.FailureReason.DECLINED
    return telephony.FailureReason(connection.failure.value) if connection.failure else None


def _connection(call: Call, connection: Connection) -> telephony.AgentConnection:
    return telephony.AgentConnection(
        connection_id=connection.connection_id,
        agent_id=connection.agent_id,
        device_id=connection.device_id,
        assignment_id=connection.assignment_id,
        token=connection.token,
        state=telephony.ConnectionState(connection.state.value),
        failure=_failure(connection),
        initiated_at=connection.initiated_at,
        alerting_at=connection.alerting_at,
        answered_at=connection.answered_at,
        joined_at=call.joined_at(connection),
        consultation=connection.is_consultation,
        ended_at=connection.ended_at,
        holds=tuple(span(hold) for hold in connection.holds),
    )

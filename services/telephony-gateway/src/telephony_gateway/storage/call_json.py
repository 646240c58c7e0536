"""A call as JSON and back, exactly."""

import dataclasses
import json
from typing import Any

from pydantic import TypeAdapter

from telephony_gateway.domain import pbx_commands
from telephony_gateway.domain.call import Call, Order

_COMMANDS: dict[str, type[pbx_commands.Command]] = {
    command.__name__: command
    for command in vars(pbx_commands).values()
    if isinstance(command, type) and issubclass(command, pbx_commands.Command)
}
_COMMAND = {name: TypeAdapter(command) for name, command in _COMMANDS.items()}
_CALL = TypeAdapter(Call)
_ORDER = TypeAdapter(Order)


def to_json(call: Call) -> str:
    """The call as JSON text."""
    plain = _CALL.dump_python(dataclasses.replace(call, orders=()), mode="json")
    plain["orders"] = [_order_to_plain(order) for order in call.orders]
    return json.dumps(plain, ensure_ascii=False)


def from_plain(plain: dict[str, Any]) -> Call:
    """The call that `to_json` wrote, parsed."""
    orders = tuple(_order_from_plain(order) for order in plain["orders"])
    call = _CALL.validate_python({**plain, "orders": ()})
    return dataclasses.replace(call, orders=orders)


def _order_to_plain(order: Order) -> dict[str, Any]:
    name = type(order.command).__name__
    plain: dict[str, Any] = _ORDER.dump_python(order, mode="json", exclude={"command"})
    plain["command"] = {"name": name, **_COMMAND[name].dump_python(order.command, mode="json")}
    return plain


def _order_from_plain(plain: dict[str, Any]) -> Order:
    fields = dict(plain["command"])
    command = _COMMAND[fields.pop("name")].validate_python(fields)
    order = _ORDER.validate_python({**plain, "command": {"command_id": command.command_id, "call": command.call}})
    return dataclasses.replace(order, command=command)

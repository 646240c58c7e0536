"""``python -m telephony_gateway``: the service, the virtual PBX, and tools for traces of real ones."""

from cordboard_chassis.service import run

from telephony_gateway.app import build
from telephony_gateway.probe_command import command as probe
from telephony_gateway.replay.command import command as replay
from telephony_gateway.replay.record_command import command as record
from telephony_gateway.settings import GatewaySettings
from telephony_gateway.virtual_pbx.command import command as virtual_pbx

if __name__ == "__main__":
    run(build, GatewaySettings, extra=[virtual_pbx, replay, record, probe])

"""``python -m telephony_gateway``: the service, and the virtual PBX."""

from cordboard_chassis.service import run

from telephony_gateway.app import build
from telephony_gateway.settings import GatewaySettings
from telephony_gateway.virtual_pbx.command import command

if __name__ == "__main__":
    run(build, GatewaySettings, extra=[command])

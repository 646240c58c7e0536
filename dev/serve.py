"""``script/serve``: the whole system, until Ctrl-C."""

import argparse
import contextlib
import sys
import time

from dev.ledger import AlreadyRunning
from dev.places import STATE, shown
from dev.processes import StartFailed
from dev.servers import CannotProvide
from dev.stopping import exit_on_signals
from dev.system import SERVICES, System

LOOK_S = 0.5


def main() -> int:
    """See ``--help``."""
    parser = argparse.ArgumentParser(
        prog="script/serve",
        description="Start the whole system (servers, services, a virtual PBX) and keep it running until Ctrl-C."
        " What ends by itself is started again. Data are kept in .dev/serve from one start to the next.",
    )
    parser.add_argument("--replicas", type=int, default=1, metavar="N", help="processes of each service (1)")
    parser.add_argument("--fresh", action="store_true", help="begin without the data of earlier starts")
    options = parser.parse_args()
    if not 1 <= options.replicas <= 8:
        parser.error("--replicas: 1 to 8")
    exit_on_signals()
    began = time.monotonic()
    try:
        with System("serve", replicas=options.replicas, fresh=options.fresh, announced=True) as system:
            show(system, time.monotonic() - began)
            with contextlib.suppress(KeyboardInterrupt):
                while True:
                    for name in system.processes.watch():
                        print(f"{name} started again", flush=True)
                    time.sleep(LOOK_S)
    except (CannotProvide, StartFailed, AlreadyRunning) as error:
        print(f"script/serve: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def show(system: System, took_s: float) -> None:
    """Say where everything is."""
    print(f"\nCordboard runs; started in {took_s:.0f} s.\n")
    for service in SERVICES:
        print(f"  {service.name:<14} {'  '.join(system.urls(service.name))}")
    print(f"  {'virtual PBX':<14} 127.0.0.1:{system.pbx_port}, control link on {system.pbx_control_port}")
    print(f"  {'RabbitMQ':<14} {system.servers.rabbitmq.management_url}")
    print(f"  {'logs':<14} {shown(system.processes.logs)}/")
    print(f"  {'all of it':<14} {shown(STATE / 'system.json')}, with database URLs and a token for each role\n")
    print('Try:  token=$(sed -n \'s/.*"administrator": "\\(.*\\)".*/\\1/p\' .dev/system.json)')
    print(f'      curl -H "Authorization: Bearer $token" {system.urls("accounts")[0]}/v1/customers')
    print("\nCtrl-C stops it.", flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""The clock of a PBX that may run faster than the world."""

import time

from telephony_gateway.virtual_pbx.core.scripts import SECOND_US


def monotonic_us() -> int:
    """Microseconds that never go back; only differences mean anything."""
    return time.monotonic_ns() // 1000


class PbxClock:
    """Starts at the wall's time and runs ``speed`` times as fast. Steps of the wall's clock do not reach it."""

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self._wall_us = time.time_ns() // 1000
        self._monotonic_us = monotonic_us()

    def now_us(self) -> int:
        """The PBX's time, in microseconds since the epoch."""
        return self._wall_us + int((monotonic_us() - self._monotonic_us) * self.speed)

    def wall_us(self, pbx_us: int) -> int:
        """When a moment of the PBX's time was, in the world."""
        return self._wall_us + int((pbx_us - self._wall_us) / self.speed)

    def seconds_until(self, pbx_us: int) -> float:
        """How long the world has to wait for a moment of the PBX's time; 0 when it is over."""
        return max(0.0, (pbx_us - self.now_us()) / (self.speed * SECOND_US))

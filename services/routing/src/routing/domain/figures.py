"""Shares and means of what was counted, as everybody is told them."""


def wait_mean_s(answered: int, waited_ms: int) -> float | None:
    """Mean time to acceptance; None when nothing was accepted."""
    return round(waited_ms / answered / 1000, 3) if answered else None


def service_level(answered: int, in_time: int, gone: int) -> float | None:
    """Share accepted in time. Those that went away count as not in time; None when nothing was decided."""
    decided = answered + gone
    return round(in_time / decided, 4) if decided else None

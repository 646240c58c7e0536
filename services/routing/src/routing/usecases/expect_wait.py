"""Say where a waiting item stands, and how long it will still wait."""

from typing import Any

from routing.live import LiveWorkspace
from routing.usecases.cancel_work_item import find_open_work


def expect_wait(live: LiveWorkspace, payload: dict[str, Any], caller: dict[str, Any]) -> dict[str, Any]:
    """Its place in its line, and the expectation; see `domain.waits`. Looks at that line only, and changes nothing.

    Raises:
        Refused: it is over, or not the caller's business.
    """
    work = find_open_work(live, payload["work_item_id"], caller)
    ahead = live.engine.ahead(work.item_id)
    line = live.engine.line_of(work.item_id)
    expected_ms = None if ahead is None else live.waits.expected_ms(line, ahead)
    error_ms = live.waits.error_ms(line)
    return {
        "position": None if ahead is None else ahead + 1,
        "expected_s": None if expected_ms is None else expected_ms / 1000,
        "error_s": None if expected_ms is None or error_ms is None else error_ms / 1000,
    }

"""Nobody overwrites a configuration that they have not seen."""

from cordboard_chassis.http import etags
from cordboard_chassis.refusals import Refused


def require_match(if_match: str | None, version: int | None) -> None:
    """Go on only if ``if_match`` fits: the present version, or no header for what does not exist (None).

    Raises:
        Refused: 428 or 412; see `etags.require_match`.
    """
    if version is not None:
        etags.require_match(if_match, version)
    elif if_match is not None and if_match.strip() != "*":
        raise Refused("version-changed", "there is no such thing any more", "If-Match", status=412)

"""Ask the domain, and let its no reach the caller."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from cordboard_chassis.refusals import Conflict, Forbidden, Invalid

from leads.domain.rules import NotYours, RuleBroken, Wrong

Given = ParamSpec("Given")
Decided = TypeVar("Decided")


def decide(decision: Callable[Given, Decided], *args: Given.args, **kwargs: Given.kwargs) -> Decided:
    """What the domain decides.

    Raises:
        Refused: the domain's no, as HTTP and the bus understand it.
    """
    try:
        return decision(*args, **kwargs)
    except NotYours as broken:
        raise Forbidden(broken.detail, code=broken.code) from broken
    except Wrong as broken:
        assert broken.field is not None
        raise Invalid(broken.detail, broken.field) from broken
    except RuleBroken as broken:
        raise Conflict(broken.detail, broken.field, broken.code) from broken

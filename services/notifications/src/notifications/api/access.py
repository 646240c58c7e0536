"""Who may manage what: partners their own, administrators everything within their part of the organisation."""

from typing import Annotated

from cordboard_chassis.auth.principal import Principal, Role, principal
from cordboard_chassis.refusals import Forbidden
from fastapi import Depends

Manager = Annotated[Principal, Depends(principal(Role.ADMINISTRATOR, Role.PARTNER))]
Administrator = Annotated[Principal, Depends(principal(Role.ADMINISTRATOR))]


def partner_of(caller: Principal) -> str | None:
    """The partner to whom the caller is limited; None for an administrator.

    Raises:
        Forbidden: a partner's token that does not say whose it is.
    """
    if caller.is_any(Role.ADMINISTRATOR):
        return None
    if caller.partner_id is None:
        raise Forbidden("the token names no partner", code="partner-missing")
    return caller.partner_id

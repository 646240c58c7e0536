"""Who may do what with leads."""

from typing import Annotated

from cordboard_chassis.auth.principal import Principal, Role, principal
from cordboard_chassis.refusals import Forbidden
from fastapi import Depends

from leads.domain.leads import Actor

SUPERVISING = (Role.SUPERVISOR, Role.BRANCH_MANAGER, Role.ADMINISTRATOR, Role.SERVICE)
"""May act on anybody's lead within their part of the organisation."""

Anybody = Annotated[Principal, Depends(principal(Role.AGENT, *SUPERVISING, Role.PARTNER))]
Staff = Annotated[Principal, Depends(principal(Role.AGENT, *SUPERVISING))]
Supervising = Annotated[Principal, Depends(principal(*SUPERVISING))]
Submitter = Annotated[Principal, Depends(principal(*SUPERVISING, Role.PARTNER))]
Administrator = Annotated[Principal, Depends(principal(Role.ADMINISTRATOR))]


def actor(caller: Principal) -> Actor:
    """The caller, as the domain sees them."""
    return Actor(caller.subject, caller.agent_id, supervises=caller.is_any(*SUPERVISING))


def partner_of(caller: Principal) -> str | None:
    """The partner to whose own leads the caller is limited; None for our own people.

    Raises:
        Forbidden: a partner's token that does not say whose it is.
    """
    if caller.is_any(Role.AGENT, *SUPERVISING):
        return None
    if caller.partner_id is None:
        raise Forbidden("the token does not name the partner", code="partner-missing")
    return caller.partner_id

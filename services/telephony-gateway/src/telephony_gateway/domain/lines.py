"""Which workspace a call belongs to, and how its numbers are read: by the number called, and by the trunk."""

from collections.abc import Iterable
from dataclasses import dataclass

from telephony_gateway.domain.dialling import DialLimit


@dataclass(frozen=True)
class Trunk:
    """A line to the public network, and the numbers (DIDs) that are reached over it.

    ``region`` is the ISO 3166 country whose national numbers callers send; ``workspace`` and ``org_path``
    replace those of the PBX.
    """

    trunk_id: str
    region: str
    territory: str | None = None
    dids: tuple[str, ...] = ()
    workspace: str | None = None
    org_path: str | None = None


@dataclass(frozen=True)
class Pbx:
    """A PBX as it is configured."""

    pbx_id: str
    driver: str
    host: str
    port: int
    workspace: str
    org_path: str
    trunks: tuple[Trunk, ...]
    enabled: bool = True
    outbound_prefixes: tuple[str, ...] = ()
    """Beginnings of E.164 numbers that may be dialled (``+86``); none: nobody dials out."""
    outbound_limits: tuple[DialLimit, ...] = ()
    version: int = 0

    def may_dial(self, number: str) -> bool:
        """Whether a number in E.164 may be dialled."""
        return any(number.startswith(prefix) for prefix in self.outbound_prefixes)


@dataclass(frozen=True)
class Line:
    """What is known of a call by where it came in."""

    workspace: str
    org_path: str
    trunk: str
    region: str
    territory: str | None


def line_of(pbx: Pbx, trunk: str | None, dialled: str) -> Line:
    """The line of a call: by the number called, else by the PBX's name of the trunk, else the PBX's first."""
    found = _by_did(pbx.trunks, dialled) or _by_name(pbx.trunks, trunk) or pbx.trunks[0]
    return Line(
        workspace=found.workspace or pbx.workspace,
        org_path=found.org_path or pbx.org_path,
        trunk=found.trunk_id,
        region=found.region,
        territory=found.territory,
    )


def _by_did(trunks: Iterable[Trunk], dialled: str) -> Trunk | None:
    wanted = digits_of(dialled)
    if not wanted:
        return None
    return next((trunk for trunk in trunks if any(digits_of(did) == wanted for did in trunk.dids)), None)


def _by_name(trunks: Iterable[Trunk], name: str | None) -> Trunk | None:
    return next((trunk for trunk in trunks if trunk.trunk_id == name), None)


def digits_of(number: str) -> str:
    """``sip:4008-100@pbx`` and ``4008100`` are the same number."""
    user = number.split("@", 1)[0].rsplit(":", 1)[-1].split(";", 1)[0]
    return "".join(c for c in user if c.isdecimal())

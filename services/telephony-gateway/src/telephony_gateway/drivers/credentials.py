"""How the gateway logs in at a PBX: from the environment, never from the database, never in a log.

``CORDBOARD_PBX_<ID>_USER``, ``_SECRET``, ``_TLS`` (``on``: encrypted, the certificate is checked) and ``_TLS_CA`` (a
file with the authority's certificate, if it is no public one); ``<ID>`` is the PBX's id in capitals, what is no letter
or digit as ``_``. Without the id (``CORDBOARD_PBX_USER``) for all PBXs that have none of their own.
"""

import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Credentials:
    """What a PBX wants to see."""

    user: str = ""
    secret: str = field(default="", repr=False)
    tls: bool = False
    tls_ca: str | None = None

    def ssl_context(self) -> ssl.SSLContext | None:
        """For the connection; None where it is plain.

        Raises:
            OSError: the authority's file cannot be read.
        """
        return ssl.create_default_context(cafile=self.tls_ca) if self.tls else None


def credentials_of(pbx_id: str, environment: Mapping[str, str] = os.environ) -> Credentials:
    """The credentials for a PBX; empty ones where nothing is set."""

    def value(name: str) -> str:
        return setting_of(pbx_id, name, "", environment)

    return Credentials(
        user=value("USER"),
        secret=value("SECRET"),
        tls=value("TLS").lower() in {"on", "1", "true", "yes"},
        tls_ca=value("TLS_CA") or None,
    )


def setting_of(pbx_id: str, name: str, default: str, environment: Mapping[str, str] = os.environ) -> str:
    """Something else that a driver wants to know: ``CORDBOARD_PBX_<ID>_<NAME>``, or the same without the id."""
    own = f"CORDBOARD_PBX_{variable_part(pbx_id)}_{name}"
    return environment.get(own) or environment.get(f"CORDBOARD_PBX_{name}") or default


def variable_part(pbx_id: str) -> str:
    """A PBX's id as part of a variable's name: ``site-1.main`` is ``SITE_1_MAIN``."""
    return re.sub(r"[^A-Z0-9]", "_", pbx_id.upper())


def own_secrets_of(pbx_id: str, environment: Mapping[str, str] = os.environ) -> list[str]:
    """The secrets of this PBX alone, two while one is replaced: with one for all PBXs each could speak for any."""
    return environment.get(f"CORDBOARD_PBX_{variable_part(pbx_id)}_SECRET", "").split()

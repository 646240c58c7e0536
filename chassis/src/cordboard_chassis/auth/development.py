"""An issuer of tokens for demo and tests: a key pair in a directory, and the tokens signed with it."""

import contextlib
import json
import os
import secrets
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from cordboard_chassis.auth.principal import Role

ISSUER = "https://development.cordboard.invalid"
AUDIENCE = "cordboard"


class DevelopmentIssuer:
    """Issues tokens like an OIDC provider would. For development: who reads the directory can be anybody.

    The key pair is made once and kept, so tokens outlive the process that issued them.
    """

    def __init__(self, directory: Path | str) -> None:
        self._directory = Path(directory)
        self._directory.mkdir(parents=True, exist_ok=True)
        self._key = self._own_key()
        self.issuer = ISSUER
        self.audience = AUDIENCE
        self.jwks = str(self._directory / "jwks.json")
        """Path of the public keys, fit for the setting ``jwks``."""
        public: dict[str, Any] = ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        self._key_id = "development-" + str(public["x"])[:8]
        key_set = {"keys": [{**public, "kid": self._key_id, "use": "sig", "alg": "ES256"}]}
        _write(Path(self.jwks), json.dumps(key_set, indent=2).encode(), mode=0o644)

    def token(
        self,
        role: Role | str | Iterable[Role | str],
        org_path: str = "/",
        *,
        subject: str | None = None,
        agent_id: str | None = None,
        partner_id: str | None = None,
        lifetime_s: float = 3600,
        **claims: Any,
    ) -> str:
        """A signed token; ``claims`` are added or replace what it would otherwise say."""
        roles = [role] if isinstance(role, str) else list(role)
        now = time.time()
        payload: dict[str, Any] = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": subject or agent_id or partner_id or str(roles[0] if roles else "nobody"),
            "iat": int(now),
            "exp": int(now + lifetime_s),
            "roles": [str(name) for name in roles],
            "org_path": org_path,
        }
        payload |= {"agent_id": agent_id} if agent_id else {}
        payload |= {"partner_id": partner_id} if partner_id else {}
        return jwt.encode({**payload, **claims}, self._key, algorithm="ES256", headers={"kid": self._key_id})

    def _own_key(self) -> ec.EllipticCurvePrivateKey:
        path = self._directory / "private.pem"
        if not path.exists():
            pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            _write(path, pem, mode=0o600, replace=False)
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key


def _write(path: Path, content: bytes, *, mode: int, replace: bool = True) -> None:
    """Whole or not at all; of two processes that make the key at once, one wins and both use its key."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    if replace:
        draft.replace(path)
        return
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()

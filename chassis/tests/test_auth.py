"""Who is let in, as what, and what they see: tokens, API keys, roles, places."""

import base64
import hashlib
import hmac
import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest
from cordboard_chassis.auth import tokens
from cordboard_chassis.auth.api_keys import ApiKeyAuthenticator, StoredApiKey, new_api_key
from cordboard_chassis.auth.development import DevelopmentIssuer
from cordboard_chassis.auth.principal import KeysUnavailable, Role, Unauthenticated
from cordboard_chassis.auth.tokens import TokenVerifier
from cordboard_chassis.service import Service
from cordboard_chassis.settings import ServiceSettings
from cordboard_chassis.testing.deployment import Deployed, Deployment
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from sample.app import build

pytestmark = pytest.mark.asyncio(loop_scope="module")

Make = Callable[[DevelopmentIssuer, Path], str]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_the_caller_is_who_the_token_says(api: Deployed) -> None:
    client = api.client(["agent", "astronaut"], "/cn/east", subject="a7", agent_id="1001", extra="ignored")
    answer = await client.get("/v1/me")
    assert (answer.status_code, answer.json()) == (
        200,
        {"subject": "a7", "roles": ["agent"], "org_path": "/cn/east", "agent_id": "1001", "partner_id": None},
    )


@pytest.mark.parametrize("header", [None, "", "Basic YTpi", "Bearer", "Token abc"])
async def test_without_a_credential_the_answer_says_what_to_send(api: Deployed, header: str | None) -> None:
    answer = await api.bare_client({"Authorization": header} if header is not None else {}).get("/v1/me")
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["errors"][0]["field"]) == (
        401,
        "unauthenticated",
        "Authorization",
    )
    # RFC 6750, section 3.1: no error code for a request that presents nothing.
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="cordboard"'


def _signed_by(key: Any, algorithm: str, key_id: str, **claims: Any) -> str:
    now = int(time.time())
    good = {"iss": "https://development.cordboard.invalid", "aud": "cordboard", "sub": "x", "exp": now + 60}
    payload = {**good, "roles": ["administrator"], "org_path": "/", **claims}
    return jwt.encode(payload, key, algorithm=algorithm, headers={"kid": key_id})


def _key_id(issuer: DevelopmentIssuer) -> str:
    return str(json.loads(Path(issuer.jwks).read_text())["keys"][0]["kid"])


def _forged(issuer: DevelopmentIssuer, _: Path) -> str:
    return _signed_by(ec.generate_private_key(ec.SECP256R1()), "ES256", _key_id(issuer))


def _unsigned(issuer: DevelopmentIssuer, _: Path) -> str:
    return _signed_by(None, "none", _key_id(issuer))


def _stripped(issuer: DevelopmentIssuer, _: Path) -> str:
    return issuer.token("administrator").rpartition(".")[0] + "."


def _other_algorithm(issuer: DevelopmentIssuer, _: Path) -> str:
    return _signed_by(rsa.generate_private_key(65537, 2048), "RS256", _key_id(issuer))


def _public_key_as_secret(issuer: DevelopmentIssuer, _: Path) -> str:
    """HMAC with what everybody can read: the classic confusion of algorithms."""
    public = jwt.PyJWK(json.loads(Path(issuer.jwks).read_text())["keys"][0]).key
    secret = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    claims = issuer.token("administrator").split(".")[1]
    header = _base64url(json.dumps({"alg": "HS256", "typ": "JWT", "kid": _key_id(issuer)}).encode())
    return f"{header}.{claims}." + _base64url(hmac.digest(secret, f"{header}.{claims}".encode(), hashlib.sha256))


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _changed(issuer: DevelopmentIssuer, _: Path) -> str:
    header, claims, signature = issuer.token("agent", "/cn").split(".")
    payload = json.loads(base64.urlsafe_b64decode(claims + "==")) | {"org_path": "/"}
    return f"{header}.{_base64url(json.dumps(payload).encode())}.{signature}"


def _unknown_key(issuer: DevelopmentIssuer, path: Path) -> str:
    return DevelopmentIssuer(path / "stranger").token("administrator")


def _claims(**claims: Any) -> Make:
    return lambda issuer, _: issuer.token("agent", **claims)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        pytest.param(lambda *_: "abc", "not a token", id="nonsense"),
        pytest.param(lambda *_: "a.b.c", "not a token", id="three words"),
        pytest.param(lambda *_: "x" * 8193, "too long", id="too long"),
        pytest.param(_forged, "does not hold", id="forged"),
        pytest.param(_changed, "does not hold", id="changed"),
        pytest.param(_stripped, "does not hold", id="signature stripped"),
        pytest.param(_unsigned, "must be signed", id="alg none"),
        pytest.param(_public_key_as_secret, "must be signed", id="HMAC with the public key"),
        pytest.param(_other_algorithm, "does not fit", id="another algorithm"),
        pytest.param(_unknown_key, "unknown key", id="unknown key"),
        pytest.param(_claims(lifetime_s=-60), "expired", id="expired"),
        pytest.param(_claims(exp="soon"), "", id="exp is no number"),
        pytest.param(_claims(exp=float("inf")), "", id="exp is endless"),
        pytest.param(_claims(exp=None), "", id="no exp"),
        pytest.param(_claims(nbf=int(time.time()) + 3600), "does not hold", id="not valid yet"),
        pytest.param(_claims(iss="https://elsewhere.example"), "does not hold", id="another issuer"),
        pytest.param(_claims(aud="another-api"), "does not hold", id="another audience"),
        pytest.param(_claims(aud=None), "", id="no audience"),
        pytest.param(_claims(sub="a b"), "sub", id="subject with a blank"),
        pytest.param(_claims(sub=5), "", id="subject is a number"),
        pytest.param(_claims(org_path="cn"), "org_path", id="no place"),
        pytest.param(_claims(org_path=None), "org_path", id="nowhere"),
        pytest.param(_claims(roles="administrator"), "roles", id="roles are no list"),
        pytest.param(_claims(subject="x", agent_id="a b"), "agent_id", id="agent id with a blank"),
    ],
)
async def test_a_token_that_does_not_hold_proves_nothing(
    api: Deployed, issuer: DevelopmentIssuer, tmp_path: Path, make: Make, why: str
) -> None:
    answer = await api.bare_client(bearer(make(issuer, tmp_path))).get("/v1/me")
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (401, "invalid-token"), answer.text
    assert why in problem["detail"]
    assert problem["errors"] == [{"field": "Authorization", "reason": problem["detail"]}]
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


async def test_clocks_may_differ_a_little(api: Deployed, issuer: DevelopmentIssuer) -> None:
    answer = await api.bare_client(bearer(issuer.token("agent", lifetime_s=-10))).get("/v1/me")
    assert answer.status_code == 200


class KeyServer:
    """An issuer's JWKS on a real HTTP server. ``document`` None answers 500."""

    def __init__(self) -> None:
        self.document: dict[str, Any] | None = {"keys": []}
        self.asked = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                body = json.dumps(outer.document).encode()
                self.send_response(500 if outer.document is None else 200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/jwks.json"

    def publish(self, **keys: Any) -> None:
        """The key set has these private keys' public halves, by key id."""
        made = []
        for key_id, key in keys.items():
            algorithm: Any = ECAlgorithm if isinstance(key, ec.EllipticCurvePrivateKey) else RSAAlgorithm
            name = "ES256" if algorithm is ECAlgorithm else "RS256"
            made.append({**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": key_id, "alg": name})
        self.document = {"keys": made}


@pytest.fixture
def key_server() -> Iterator[KeyServer]:
    found = KeyServer()
    thread = threading.Thread(target=found.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join()


def verifier(key_server: KeyServer) -> TokenVerifier:
    return TokenVerifier(key_server.url, "https://development.cordboard.invalid", "cordboard")


OLD, NEW = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)


async def test_keys_are_rotated_without_a_restart(key_server: KeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "REFRESH_PAUSE_S", 0.0)
    checks = verifier(key_server)
    key_server.publish(old=OLD)
    assert (await checks.authenticate(_signed_by(OLD, "ES256", "old"))).is_any(Role.ADMINISTRATOR)
    key_server.publish(old=OLD, new=NEW)
    for key, algorithm, key_id in ((NEW, "RS256", "new"), (OLD, "ES256", "old")):
        await checks.authenticate(_signed_by(key, algorithm, key_id))
    assert key_server.asked == 2
    key_server.publish(new=NEW)
    monkeypatch.setattr(tokens, "KEYS_LIVE_S", 0.0)
    with pytest.raises(Unauthenticated, match="unknown key"):
        await checks.authenticate(_signed_by(OLD, "ES256", "old"))


async def test_made_up_key_ids_do_not_make_us_ask_the_issuer_each_time(key_server: KeyServer) -> None:
    checks = verifier(key_server)
    key_server.publish(old=OLD)
    for number in range(20):
        with pytest.raises(Unauthenticated, match="unknown key"):
            await checks.authenticate(_signed_by(NEW, "RS256", f"made-up-{number}"))
    assert key_server.asked == 1


async def test_an_issuer_that_is_away_stops_nobody_who_is_known(
    key_server: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "REFRESH_PAUSE_S", 0.0)
    checks, token = verifier(key_server), _signed_by(OLD, "ES256", "old")
    key_server.document = None
    with pytest.raises(KeysUnavailable):
        await checks.authenticate(token)
    key_server.publish(old=OLD)
    await checks.authenticate(token)
    key_server.document = None
    monkeypatch.setattr(tokens, "KEYS_LIVE_S", 0.0)
    await checks.authenticate(token)
    assert key_server.asked == 3


@pytest.mark.parametrize(
    "document", [[], {}, {"keys": 5}, {"keys": []}, {"keys": [5, {"kty": "oct", "k": "c2VjcmV0"}]}, {"keys": [{}]}]
)
async def test_what_is_no_key_set_is_as_none(key_server: KeyServer, document: Any) -> None:
    key_server.document = document
    with pytest.raises(KeysUnavailable):
        await verifier(key_server).authenticate(_signed_by(OLD, "ES256", "old"))


@pytest.mark.asyncio(loop_scope="function")
async def test_without_keys_the_answer_is_to_come_back(deploy: Deployment, tmp_path: Path) -> None:
    sample = await deploy(build, ServiceSettings, "api", jwks=str(tmp_path / "none.json"))
    answer = await sample.client().get("/v1/me")
    assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (503, "unavailable", "1")


@pytest.mark.asyncio(loop_scope="function")
async def test_api_keys_are_checked_and_other_credentials_are_tokens(deploy: Deployment) -> None:
    good, revoked, stranger = new_api_key(), new_api_key(), new_api_key()
    stored = {good.id: StoredApiKey(good.digest, "acme", "/cn/east")}

    async def look_up(key_id: str) -> StoredApiKey | None:
        return stored.get(key_id)

    def build_with_keys(settings: ServiceSettings) -> Service:
        token_check = TokenVerifier(settings.jwks, settings.jwt_issuer, settings.jwt_audience)
        return replace(build(settings), authenticator=ApiKeyAuthenticator(look_up, token_check))

    build_with_keys.__module__ = build.__module__
    sample = await deploy(build_with_keys, ServiceSettings, "api")
    me = await sample.bare_client(bearer(good.text)).get("/v1/me")
    assert me.json() == {
        "subject": f"api-key:{good.id}",
        "roles": ["partner"],
        "org_path": "/cn/east",
        "agent_id": None,
        "partner_id": "acme",
    }
    assert (await sample.client("agent").get("/v1/me")).json()["roles"] == ["agent"]
    other_secret = good.text[:-1] + ("0" if good.text[-1] != "0" else "1")
    mixed = f"cbk_{good.id}_{stranger.text.rpartition('_')[2]}"
    for wrong in (stranger.text, revoked.text, other_secret, mixed, "cbk_", good.text + "0", good.text.upper()):
        refused = await sample.bare_client(bearer(wrong)).get("/v1/me")
        assert (refused.status_code, refused.json()["code"]) == (401, "invalid-token"), wrong
        assert good.digest not in refused.text


async def test_roles_open_what_they_are_for(api: Deployed) -> None:
    for roles, status in (("agent", 201), (["partner", "supervisor"], 201), ("partner", 403), ([], 403)):
        answer = await api.client(roles).post("/v1/notes", json={"text": "x"})
        assert answer.status_code == status, roles
        if status == 403:
            assert answer.json()["code"] == "role-missing"
            assert "agent, supervisor" in answer.json()["detail"]


async def test_a_token_sees_and_writes_its_own_subtree_only(api: Deployed) -> None:
    written = {}
    for place in ("/cn", "/cn/east", "/cn/east/shanghai", "/cn/eastern", "/cn/west"):
        answer = await api.client("agent").post("/v1/notes", json={"text": f"note of {place}", "org_path": place})
        written[place] = answer.json()["id"]
    east = api.client("agent", "/cn/east")
    own = {"/cn/east", "/cn/east/shanghai"}
    # Once by the query's filter, once by row-level security alone.
    listed = (await east.get("/v1/notes")).json()["items"]
    unfiltered = (await east.get("/v1/forgetful/notes")).json()
    assert {note["org_path"] for note in listed} == {note["org_path"] for note in unfiltered} == own
    for place, note_id in written.items():
        seen = await east.get(f"/v1/notes/{note_id}")
        changed = await east.patch(f"/v1/notes/{note_id}", json={"text": "y"}, headers={"If-Match": "*"})
        assert (seen.status_code, changed.status_code) == ((200, 200) if place in own else (404, 404)), place
        if place not in own:
            # As if it did not exist.
            stranger = await east.get("/v1/notes/01a21100-0000-7000-8000-000000000000")
            assert stranger.json().keys() == seen.json().keys()
            assert stranger.json()["code"] == seen.json()["code"] == "not-found"
    for path in ("/v1/notes", "/v1/forgetful/notes"):
        for place in ("/", "/cn", "/cn/eastern", "/cn/west"):
            refused = await east.post(path, json={"text": "x", "org_path": place})
            assert (refused.status_code, refused.json()["code"]) == (403, "forbidden"), (path, place)
        assert (await east.post(path, json={"text": "x", "org_path": "/cn/east/suzhou"})).status_code == 201
    field = (await east.post("/v1/notes", json={"text": "x", "org_path": "/cn"})).json()["errors"][0]["field"]
    assert field == "org_path"

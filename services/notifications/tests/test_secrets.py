"""Partners' secrets: who reads the database does not have them, and the keys they lie under can be replaced."""

import base64
import json
import os
import subprocess
import sys

import pytest
from cordboard_chassis.keyring import Keyring
from cordboard_chassis.settings import ServiceSettings
from cordboard_chassis.testing.deployment import eventually, rows
from notifications.settings import NotificationsSettings
from notifications.usecases.reseal_secrets import reseal_secrets
from pydantic import ValidationError

OLD, NEW = (f"{name}:{base64.b64encode(name[:1].encode() * 32).decode()}" for name in ("old", "new"))


async def everything(database):
    """All that is in the database, as text."""
    tables = await rows(database, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    found = [await rows(database, f"SELECT * FROM {table['tablename']}") for table in tables]
    return json.dumps(found, default=str, ensure_ascii=False)


async def test_no_secret_can_be_read_in_the_database(make):
    here = await make("api")

    async def ask(path, body, field):
        """The secret of the answer; a client that lost it gets the same when it asks again."""
        first = await here.admin.post(path, json=body, headers={"Idempotency-Key": path})
        again = await here.admin.post(path, json=body, headers={"Idempotency-Key": path})
        assert first.is_success, first.text
        assert (again.status_code, again.content) == (first.status_code, first.content)
        return first.json()[field]

    endpoint = await here.endpoint()
    secrets = [
        endpoint["secret"],
        await ask("/v1/endpoints", {"url": here.url(), "event_types": ["telephony.call.*"]}, "secret"),
        await ask(f"/v1/endpoints/{endpoint['id']}/rotate-secret", {}, "secret"),
        await ask("/v1/api-keys", {"partner_id": "acme"}, "key"),
    ]
    text = await everything(here.database)
    for secret in secrets:
        assert secret.rpartition("_")[2] not in text
    assert text.count("sealed.development.") == 6  # three signing secrets, three answers


async def test_keys_are_replaced_while_webhooks_are_sent(make):
    here = await make(encryption_keys=OLD)
    endpoint = await here.endpoint()
    await here.deployed.stop()
    both = await here.replica(encryption_keys=f"{NEW},{OLD}")
    await here.offered()
    (received,) = await here.expect()
    received.verify(endpoint["secret"])

    async def sealed_anew():
        (row,) = await rows(both.database, "SELECT sealed FROM signing_secrets")
        assert row["sealed"].startswith("sealed.new.")
        return True

    await eventually(sealed_anew)
    await both.stop()
    await here.replica(encryption_keys=NEW)
    await here.offered()
    (await here.expect(2))[1].verify(endpoint["secret"])


async def test_without_the_key_the_worker_is_not_ready_and_nothing_is_lost(make):
    here = await make(encryption_keys=OLD)
    endpoint = await here.endpoint()
    await here.deployed.stop()
    wrong = await here.replica(encryption_keys=NEW, wait_ready=False)

    async def told():
        problems = await wrong.process.readiness.problems()
        assert problems.keys() == {"signing secrets"}, problems
        return problems["signing secrets"]

    assert await eventually(told) == "secrets are sealed with keys that are not given: old"
    async with wrong.database.transaction() as uow:
        assert await reseal_secrets(uow, Keyring.parse(NEW)) == 0
    await here.offered()
    await eventually(lambda: rows(wrong.database, "SELECT 1 FROM attempts WHERE ended_at IS NOT NULL"))
    assert here.received() == []
    await wrong.stop()
    await here.replica(encryption_keys=OLD)
    (received,) = await here.expect()
    received.verify(endpoint["secret"])


def test_a_missing_key_is_said_before_anything_starts():
    detached = NotificationsSettings.detached().model_dump() | {"encryption_keys": ""}
    assert NotificationsSettings(**detached).keyring.current == "development"
    with pytest.raises(ValidationError, match="is missing"):
        NotificationsSettings(**detached | {"jwt_issuer": "https://login.example"})
    with pytest.raises(ValidationError, match="key 1 must be"):
        NotificationsSettings(**detached | {"encryption_keys": "nonsense"})
    environment = {
        f"CORDBOARD_{name.upper()}": str(value)
        for name, value in ServiceSettings.detached().model_dump(exclude_none=True).items()
    }
    started = subprocess.run(
        [sys.executable, "-m", "notifications", "all"],
        env={**os.environ, **environment, "CORDBOARD_JWT_ISSUER": "https://login.example"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (started.returncode, started.stdout) == (2, "")
    assert "CORDBOARD_ENCRYPTION_KEYS: Value error, is missing" in started.stderr

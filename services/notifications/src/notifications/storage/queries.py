"""Every statement of the service. The clock of leases and due times is the database's, never a process's."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from cordboard_chassis.auth.org_paths import within
from sqlalchemy import ColumnElement, Executable, and_, func, select, text

from notifications.domain.deliveries import DeliveryState
from notifications.storage.tables import api_keys, attempts, deliveries, endpoint_health, endpoints, events

DELIVERIES_CHANNEL = "deliveries"
"""Dispatchers are woken here: something may be due."""
STREAM_CHANNEL = "stream"
"""Streams are woken here: there are new events."""

# --- who gets what ---------------------------------------------------------------------------------------------------

SUBSCRIPTIONS = text(
    """
    SELECT (SELECT version FROM subscription_version) AS version, id, org_path, event_types
    FROM endpoints WHERE enabled AND deleted_at IS NULL
    """
)
SUBSCRIPTION_VERSION = text("SELECT version FROM subscription_version")
SUBSCRIPTIONS_CHANGED = text("UPDATE subscription_version SET version = version + 1")

# Positions are handed out under a lock that is held until the commit, so that they become visible in their order and
# "everything after position n" never overlooks an event whose transaction was slower than that of its successor.
# What runs in one statement here runs for each event of the whole system.
RECORD = text(
    """
    WITH gate AS MATERIALIZED (
        SELECT pg_advisory_xact_lock(hashtextextended('notifications.stream', 0))
    ), written AS (
        INSERT INTO events (id, position, type, org_path, agents, occurred_at, delete_after, body)
        SELECT e.id, nextval('events_position'), e.type, e.org_path, string_to_array(e.agents, ','), e.occurred_at,
            statement_timestamp() + make_interval(secs => e.keep_s), e.body
        FROM gate, (
            SELECT * FROM ROWS FROM (json_to_recordset(CAST(:events AS json)) AS (
                id uuid, type text, org_path text, agents text, occurred_at timestamptz, keep_s float8, body text
            )) WITH ORDINALITY AS given (id, type, org_path, agents, occurred_at, keep_s, body, number)
            ORDER BY number
        ) AS e
        ON CONFLICT (id) DO NOTHING
        RETURNING id, type
    ), added AS (
        INSERT INTO deliveries (id, event_id, endpoint_id, org_path, event_type, state, next_attempt_at)
        SELECT m.id, m.event_id, m.endpoint_id, endpoints.org_path, written.type, 'pending', statement_timestamp()
        FROM unnest(CAST(:delivery_ids AS uuid[]), CAST(:event_ids AS uuid[]), CAST(:endpoint_ids AS uuid[]))
            AS m (id, event_id, endpoint_id)
        JOIN written ON written.id = m.event_id
        JOIN endpoints ON endpoints.id = m.endpoint_id AND endpoints.enabled AND endpoints.deleted_at IS NULL
        ON CONFLICT ON CONSTRAINT deliveries_once DO NOTHING
        RETURNING 1
    )
    SELECT
        (SELECT version FROM subscription_version) AS version,
        (SELECT count(*) FROM written) AS written,
        pg_notify(:stream, ''),
        CASE WHEN EXISTS (SELECT 1 FROM added) THEN pg_notify(:deliveries, '') END
    """
)
FORGET_MATCHES = text("DELETE FROM deliveries WHERE event_id = ANY(CAST(:event_ids AS uuid[]))")
ADD_DELIVERIES = text(
    """
    INSERT INTO deliveries (id, event_id, endpoint_id, org_path, event_type, state, next_attempt_at)
    SELECT m.id, m.event_id, m.endpoint_id, endpoints.org_path, events.type, 'pending', statement_timestamp()
    FROM unnest(CAST(:delivery_ids AS uuid[]), CAST(:event_ids AS uuid[]), CAST(:endpoint_ids AS uuid[]))
        AS m (id, event_id, endpoint_id)
    JOIN events ON events.id = m.event_id
    JOIN endpoints ON endpoints.id = m.endpoint_id AND endpoints.deleted_at IS NULL
    ON CONFLICT ON CONSTRAINT deliveries_once DO NOTHING
    """
)
KEEP_EVENTS = text(
    """
    UPDATE events SET delete_after = greatest(delete_after, statement_timestamp() + make_interval(secs => :keep_s))
    WHERE id = ANY(CAST(:ids AS uuid[]))
    """
)
WAKE = text("SELECT pg_notify(:channel, '')")

# --- the ledger ------------------------------------------------------------------------------------------------------

# `waiting` leaps from endpoint to endpoint in the index, so that the backlog of one costs the others nothing. A lease
# is a due time in the future: a dispatcher that dies leaves behind something that becomes due by itself.
CLAIM = text(
    """
    WITH RECURSIVE waiting (endpoint_id) AS (
        (SELECT endpoint_id FROM deliveries WHERE state = 'pending' ORDER BY endpoint_id LIMIT 1)
        UNION ALL
        SELECT (
            SELECT d.endpoint_id FROM deliveries d
            WHERE d.state = 'pending' AND d.endpoint_id > waiting.endpoint_id
            ORDER BY d.endpoint_id LIMIT 1
        )
        FROM waiting WHERE waiting.endpoint_id IS NOT NULL
    ), able AS MATERIALIZED (
        SELECT e.id, e.url,
            CASE WHEN h.consecutive_failures >= :open_after THEN 1 ELSE :endpoint_limit END
                - coalesce(busy.number, 0) AS room
        FROM waiting
        JOIN endpoints e ON e.id = waiting.endpoint_id AND e.enabled AND e.deleted_at IS NULL
        JOIN endpoint_health h ON h.endpoint_id = e.id
        LEFT JOIN unnest(CAST(:busy_ids AS uuid[]), CAST(:busy_numbers AS int[])) AS busy (id, number)
            ON busy.id = e.id
        WHERE h.blocked_until IS NULL OR h.blocked_until <= statement_timestamp()
        ORDER BY random()
    ), picked AS MATERIALIZED (
        SELECT due.id, able.url, able.room
        FROM able CROSS JOIN LATERAL (
            SELECT d.id FROM deliveries d
            WHERE d.endpoint_id = able.id AND d.state = 'pending' AND d.next_attempt_at <= statement_timestamp()
            ORDER BY d.next_attempt_at LIMIT greatest(able.room, 0)
            FOR UPDATE SKIP LOCKED
        ) AS due
        LIMIT :free
    ), claimed AS (
        UPDATE deliveries d
        SET attempts = d.attempts + 1,
            next_attempt_at = clock_timestamp() + make_interval(secs => :lease_s),
            lease_until = clock_timestamp() + make_interval(secs => :lease_s)
        FROM picked WHERE d.id = picked.id
        RETURNING d.id, d.event_id, d.endpoint_id, d.org_path, d.attempts, d.round_began, picked.url, picked.room
    ), unknown AS (
        UPDATE attempts a SET ended_at = clock_timestamp(), error = 'unknown: the sender ended before the answer came'
        FROM claimed WHERE a.delivery_id = claimed.id AND a.number = claimed.attempts - 1 AND a.ended_at IS NULL
    ), begun AS (
        INSERT INTO attempts (delivery_id, number, org_path, started_at)
        SELECT id, attempts, org_path, clock_timestamp() FROM claimed
    )
    SELECT claimed.*, events.body, events.received_at, ARRAY(
        SELECT s.sealed FROM signing_secrets s
        WHERE s.endpoint_id = claimed.endpoint_id
            AND (s.expires_at IS NULL OR s.expires_at > statement_timestamp())
        ORDER BY s.created_at DESC, s.id DESC
    ) AS sealed_secrets
    FROM claimed JOIN events ON events.id = claimed.event_id
    """
)

# A result counts only for the attempt that is the newest: whoever held the lease too long has lost the say.
SETTLE = text(
    """
    WITH given AS (
        SELECT * FROM unnest(
            CAST(:ids AS uuid[]), CAST(:numbers AS int[]), CAST(:statuses AS int[]), CAST(:errors AS text[]),
            CAST(:excerpts AS text[]), CAST(:durations_ms AS int[]), CAST(:states AS text[]),
            CAST(:delays_s AS float8[])
        ) AS given (id, number, status, error, excerpt, duration_ms, state, delay_s)
    ), closed AS (
        UPDATE attempts a
        SET ended_at = clock_timestamp(), status = given.status, error = given.error, excerpt = given.excerpt,
            duration_ms = given.duration_ms
        FROM given WHERE a.delivery_id = given.id AND a.number = given.number
    )
    UPDATE deliveries d
    SET state = given.state,
        next_attempt_at = CASE WHEN given.state = 'pending'
            THEN clock_timestamp() + make_interval(secs => given.delay_s) END,
        lease_until = NULL,
        last_status = given.status,
        last_error = given.error,
        ended_at = CASE WHEN given.state <> 'pending' THEN clock_timestamp() END
    FROM given
    WHERE d.id = given.id AND d.attempts = given.number AND d.state = 'pending' AND d.lease_until IS NOT NULL
    RETURNING d.id, d.endpoint_id, d.org_path, d.event_id, d.event_type, d.state, d.attempts, d.last_status, d.ended_at
    """
)
TROUBLED_HEALTH = text(
    """
    SELECT endpoint_id, consecutive_failures, pauses, failing_since, blocked_until, clock_timestamp() AS now
    FROM endpoint_health
    WHERE endpoint_id = ANY(CAST(:ids AS uuid[]))
        AND (consecutive_failures > 0 OR endpoint_id = ANY(CAST(:failed_ids AS uuid[])))
    ORDER BY endpoint_id FOR UPDATE
    """
)
SAVE_HEALTH = text(
    """
    UPDATE endpoint_health
    SET consecutive_failures = :consecutive_failures, pauses = :pauses, failing_since = :failing_since,
        blocked_until = :blocked_until
    WHERE endpoint_id = :endpoint_id
    """
)

REDELIVER = text(
    """
    UPDATE deliveries
    SET state = 'pending', round_began = attempts, next_attempt_at = clock_timestamp(), lease_until = NULL,
        ended_at = NULL
    WHERE id = :id
    RETURNING *
    """
)


def delivery_for_update(delivery_id: UUID) -> Executable:
    """A delivery that nobody else changes until the commit, and whether it is being sent."""
    sending = deliveries.c.lease_until > func.statement_timestamp()
    return (
        select(deliveries, func.coalesce(sending, False).label("sending"))
        .where(deliveries.c.id == delivery_id)
        .with_for_update()
    )


def delivery(delivery_id: UUID) -> Executable:
    """A delivery with the body that is sent."""
    return (
        select(deliveries, events.c.body)
        .join(events, events.c.id == deliveries.c.event_id)
        .where(deliveries.c.id == delivery_id)
    )


def attempts_of(delivery_id: UUID, limit: int) -> Executable:
    """The newest attempts of a delivery, newest first."""
    return select(attempts).where(attempts.c.delivery_id == delivery_id).order_by(attempts.c.number.desc()).limit(limit)


def deliveries_page(
    scope: str,
    *,
    partner_id: str | None,
    endpoint_id: UUID | None,
    state: DeliveryState | None,
    event_type: str | None,
    after: UUID | None,
    limit: int,
) -> Executable:
    """Deliveries within ``scope``, newest first; with ``partner_id`` those of this partner's endpoints."""
    conditions: list[ColumnElement[bool]] = [within(deliveries.c.org_path, scope)]
    if partner_id is not None:
        own = select(endpoints.c.id).where(endpoints.c.partner_id == partner_id, endpoints.c.deleted_at.is_(None))
        conditions.append(deliveries.c.endpoint_id.in_(own))
    if endpoint_id is not None:
        conditions.append(deliveries.c.endpoint_id == endpoint_id)
    if state is not None:
        conditions.append(deliveries.c.state == state.value)
    if event_type is not None:
        conditions.append(deliveries.c.event_type == event_type)
    if after is not None:
        conditions.append(deliveries.c.id < after)
    return select(deliveries).where(and_(*conditions)).order_by(deliveries.c.id.desc()).limit(limit)


# --- endpoints -------------------------------------------------------------------------------------------------------

LOCK_PARTNER = text("SELECT pg_advisory_xact_lock(hashtextextended('notifications.endpoints.' || :partner_id, 0))")
COUNT_OF_PARTNER = text(
    """
    SELECT count(*) FROM endpoints
    WHERE coalesce(partner_id, '') = :partner_id AND deleted_at IS NULL
    """
)
INSERT_ENDPOINT = text(
    """
    WITH made AS (
        INSERT INTO endpoints (id, org_path, partner_id, url, description, event_types)
        VALUES (:id, :org_path, :partner_id, :url, :description, CAST(:event_types AS text[]))
        RETURNING *
    ), health AS (
        INSERT INTO endpoint_health (endpoint_id, org_path) SELECT id, org_path FROM made
    )
    SELECT * FROM made
    """
)
UPDATE_ENDPOINT = text(
    """
    UPDATE endpoints
    SET url = :url, description = :description, event_types = CAST(:event_types AS text[]),
        version = version + 1, updated_at = now()
    WHERE id = :id RETURNING *
    """
)
DELETE_ENDPOINT = text(
    """
    UPDATE endpoints SET deleted_at = now(), enabled = false, version = version + 1, updated_at = now() WHERE id = :id
    """
)
ENABLE_ENDPOINT = text(
    """
    UPDATE endpoints SET enabled = true, disabled_reason = NULL, version = version + 1, updated_at = now()
    WHERE id = :id RETURNING *
    """
)
DISABLE_ENDPOINT = text(
    """
    UPDATE endpoints SET enabled = false, disabled_reason = :reason, version = version + 1, updated_at = now()
    WHERE id = :id AND enabled RETURNING *
    """
)
FORGET_HEALTH = text(
    """
    UPDATE endpoint_health SET consecutive_failures = 0, pauses = 0, failing_since = NULL, blocked_until = NULL
    WHERE endpoint_id = :id
    """
)
INSERT_SECRET = text(
    """
    INSERT INTO signing_secrets (id, endpoint_id, org_path, sealed, created_at)
    VALUES (:id, :endpoint_id, :org_path, :sealed, clock_timestamp())
    """
)
SEALED_OTHERWISE = text(
    """
    SELECT id, endpoint_id, sealed FROM signing_secrets
    WHERE split_part(sealed, '.', 2) <> :key_id ORDER BY id LIMIT :batch FOR UPDATE SKIP LOCKED
    """
)
SEAL_ANEW = text("UPDATE signing_secrets SET sealed = :sealed WHERE id = :id")
SEALING_KEYS = text("SELECT DISTINCT split_part(sealed, '.', 2) AS key_id FROM signing_secrets")
FORGET_EXPIRED_SECRETS = text(
    "DELETE FROM signing_secrets WHERE endpoint_id = :endpoint_id AND expires_at <= statement_timestamp()"
)
EXPIRE_SECRETS = text(
    """
    UPDATE signing_secrets
    SET expires_at = least(expires_at, statement_timestamp() + make_interval(secs => :overlap_s))
    WHERE endpoint_id = :endpoint_id
    RETURNING expires_at
    """
)
INSERT_PING = text(
    """
    INSERT INTO events (id, type, org_path, agents, occurred_at, delete_after, body)
    VALUES (:id, :type, :org_path, '{}', :now, statement_timestamp() + make_interval(secs => :keep_s), :body)
    """
)
INSERT_DELIVERY = text(
    """
    INSERT INTO deliveries (id, event_id, endpoint_id, org_path, event_type, state, next_attempt_at)
    VALUES (:id, :event_id, :endpoint_id, :org_path, :event_type, 'pending', statement_timestamp())
    RETURNING *
    """
)

_health_columns = (
    endpoint_health.c.consecutive_failures,
    endpoint_health.c.failing_since,
    endpoint_health.c.blocked_until,
)


def _visible(scope: str, partner_id: str | None) -> list[ColumnElement[bool]]:
    conditions = [within(endpoints.c.org_path, scope), endpoints.c.deleted_at.is_(None)]
    if partner_id is not None:
        conditions.append(endpoints.c.partner_id == partner_id)
    return conditions


def endpoint(scope: str, partner_id: str | None, endpoint_id: UUID) -> Executable:
    """An endpoint with its health."""
    return (
        select(endpoints, *_health_columns)
        .join(endpoint_health, endpoint_health.c.endpoint_id == endpoints.c.id)
        .where(endpoints.c.id == endpoint_id, *_visible(scope, partner_id))
    )


def endpoint_for_update(scope: str, partner_id: str | None, endpoint_id: UUID) -> Executable:
    """An endpoint that nobody else changes until the commit."""
    return (
        select(endpoints)
        .where(endpoints.c.id == endpoint_id, *_visible(scope, partner_id))
        .with_for_update(key_share=True)
    )


def endpoints_page(
    scope: str, *, partner_id: str | None, enabled: bool | None, after: UUID | None, limit: int
) -> Executable:
    """Endpoints within ``scope``, newest first, with their health."""
    conditions = _visible(scope, partner_id)
    if enabled is not None:
        conditions.append(endpoints.c.enabled == enabled)
    if after is not None:
        conditions.append(endpoints.c.id < after)
    return (
        select(endpoints, *_health_columns)
        .join(endpoint_health, endpoint_health.c.endpoint_id == endpoints.c.id)
        .where(and_(*conditions))
        .order_by(endpoints.c.id.desc())
        .limit(limit)
    )


# --- the stream ------------------------------------------------------------------------------------------------------

STREAM_BOUNDS = text(
    """
    SELECT floor, greatest(floor, (SELECT max(position) FROM events WHERE position IS NOT NULL)) AS latest
    FROM stream_state
    """
)


def stream_page(after: int, limit: int) -> Executable:
    """Events after a position, in order."""
    return (
        select(events.c.position, events.c.type, events.c.org_path, events.c.agents, events.c.body)
        .where(events.c.position > after, events.c.position.is_not(None))
        .order_by(events.c.position)
        .limit(limit)
    )


# --- cleaning --------------------------------------------------------------------------------------------------------

RAISE_FLOOR = text(
    """
    UPDATE stream_state SET floor = greatest(floor, (
        SELECT position FROM events
        WHERE received_at < statement_timestamp() - make_interval(secs => :retention_s) AND position IS NOT NULL
        ORDER BY received_at DESC, position DESC LIMIT 1
    ))
    """
)
PURGE_EVENTS = text(
    """
    DELETE FROM events WHERE id = ANY(ARRAY(
        SELECT id FROM events
        WHERE delete_after < statement_timestamp()
            AND (position IS NULL OR position <= (SELECT floor FROM stream_state))
        ORDER BY delete_after LIMIT :batch FOR UPDATE SKIP LOCKED
    ))
    """
)
PURGE_DELETED_DELIVERIES = text(
    """
    DELETE FROM deliveries WHERE id = ANY(ARRAY(
        SELECT d.id FROM deliveries d JOIN endpoints e ON e.id = d.endpoint_id
        WHERE e.deleted_at IS NOT NULL LIMIT :batch FOR UPDATE OF d SKIP LOCKED
    ))
    """
)
PURGE_DELETED_ENDPOINTS = text(
    """
    DELETE FROM endpoints e
    WHERE e.deleted_at < statement_timestamp() - interval '1 minute'
        AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.endpoint_id = e.id)
    """
)

# --- API keys --------------------------------------------------------------------------------------------------------

INSERT_API_KEY = text(
    """
    INSERT INTO api_keys (id, partner_id, org_path, description, digest, created_by, expires_at)
    VALUES (:id, :partner_id, :org_path, :description, :digest, :created_by, :expires_at)
    RETURNING *
    """
)
VALID_API_KEY = text(
    """
    SELECT digest, partner_id, org_path FROM api_keys
    WHERE id = :id AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > statement_timestamp())
    """
)
REVOKE_API_KEY = text("UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = :id RETURNING *")


def api_key(scope: str, key_id: str) -> Executable:
    """A key, revoked or not."""
    return select(api_keys).where(api_keys.c.id == key_id, within(api_keys.c.org_path, scope))


def api_keys_page(scope: str, *, partner_id: str | None, after: tuple[datetime, str] | None, limit: int) -> Executable:
    """Keys within ``scope``, newest first."""
    conditions: list[ColumnElement[bool]] = [within(api_keys.c.org_path, scope)]
    if partner_id is not None:
        conditions.append(api_keys.c.partner_id == partner_id)
    if after is not None:
        created_at, key_id = after
        conditions.append(
            (api_keys.c.created_at < created_at) | ((api_keys.c.created_at == created_at) & (api_keys.c.id < key_id))
        )
    return (
        select(api_keys)
        .where(and_(*conditions))
        .order_by(api_keys.c.created_at.desc(), api_keys.c.id.desc())
        .limit(limit)
    )


def arrays(rows: Sequence[Sequence[Any]], *names: str) -> dict[str, list[Any]]:
    """Rows as one array for each column, as ``unnest`` takes them."""
    return {name: [row[index] for row in rows] for index, name in enumerate(names)}

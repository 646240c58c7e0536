"""Pure decisions: patterns, subscriptions, signatures, retries, health, addresses."""

import re
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from uuid import uuid4

import pytest
from cordboard_chassis.auth.org_paths import is_within
from cordboard_contracts import EVENTS
from hypothesis import given
from hypothesis import strategies as st
from notifications.domain import health as health_module
from notifications.domain.addresses import BadUrl, check_url, is_public
from notifications.domain.deliveries import (
    JITTER,
    MAX_RETRY_AFTER_S,
    SCHEDULE_S,
    DeliveryState,
    Outcome,
    Verdict,
    decide,
)
from notifications.domain.health import LONGEST_PAUSE_S, OPEN_AFTER_FAILURES, Health, after
from notifications.domain.patterns import BadPattern, check, matches
from notifications.domain.subscriptions import Subscription, Subscriptions, ancestry

TYPES = sorted(EVENTS)
segments = st.sampled_from(["telephony", "call", "routing", "work-item", "answered", "v1", "v2", "*"])
event_types = st.lists(segments.filter(lambda s: s != "*"), min_size=4, max_size=4).map(".".join)
org_paths = st.lists(st.sampled_from(["cn", "east", "eastern", "sh"]), max_size=4).map(lambda p: "/" + "/".join(p))
outcomes = st.builds(
    Outcome,
    status=st.none() | st.integers(100, 599),
    retry_after_s=st.none() | st.floats(-10, 1e12),
)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("pattern", "event_type", "meant"),
    [
        ("telephony.call.answered.v1", "telephony.call.answered.v1", True),
        ("telephony.call.answered.v1", "telephony.call.answered.v10", False),
        ("telephony.call.*", "telephony.call.answered.v1", True),
        ("telephony.*", "telephony.call.answered.v1", True),
        ("*", "telephony.call.answered.v1", True),
        ("*.call.*", "telephony.call.answered.v1", True),
        ("*.*.answered.v1", "telephony.call.answered.v1", True),
        ("telephony.call.answered.*", "telephony.call.answered.v2", True),
        ("telephony.call.*.v1", "telephony.call.answered.v2", False),
        ("telephony.device.*", "telephony.call.answered.v1", False),
        ("call.*", "telephony.call.answered.v1", False),
    ],
)
def test_patterns_by_example(pattern, event_type, meant):
    check(pattern)
    assert matches(pattern, event_type) is meant


@given(st.lists(segments, min_size=1, max_size=4), event_types)
def test_patterns_like_a_regular_expression(pattern, event_type):
    words = [r"[^.]+" if segment == "*" else re.escape(segment) for segment in pattern]
    if pattern[-1] == "*":
        words[-1] = r"[^.]+(\.[^.]+)*"
    assert matches(".".join(pattern), event_type) is bool(re.fullmatch(r"\.".join(words), event_type))


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        ".",
        "telephony",
        "telephony.call",
        "telephony..v1",
        "tele*.call.*",
        "*.*.*.*.*",
        "A.b.c.v1",
        "a.b.c.v1 ",
        "#",
    ],
)
def test_bad_patterns(pattern):
    with pytest.raises(BadPattern):
        check(pattern)


@given(
    st.lists(st.tuples(org_paths, st.lists(st.sampled_from(["*", "routing.*", *TYPES]), min_size=1, max_size=3))),
    st.sampled_from(TYPES),
    org_paths,
)
def test_index_finds_what_a_scan_finds(wishes, event_type, org_path):
    subscriptions = [Subscription(uuid4(), place, tuple(patterns)) for place, patterns in wishes]
    index = Subscriptions(subscriptions)
    for _ in range(2):
        found = index.matching(event_type, org_path)
        assert sorted(found) == sorted(
            s.endpoint_id
            for s in subscriptions
            if is_within(org_path, s.org_path) and any(matches(p, event_type) for p in s.patterns)
        )


@given(org_paths)
def test_ancestry_is_everything_that_contains(org_path):
    assert ancestry(org_path)[-1] == org_path
    assert all(is_within(org_path, place) for place in ancestry(org_path))


@given(outcomes, st.integers(1, 12), st.floats(0, 1, exclude_max=True), st.sampled_from([1.0, 0.01]))
def test_decision_after_an_attempt(outcome, attempts, chance, scale):
    decision = decide(outcome, attempts, chance=chance, scale=scale)
    if outcome.status is not None and 200 <= outcome.status <= 299:
        assert (decision.verdict, decision.state) == (Verdict.DELIVERED, DeliveryState.DELIVERED)
    elif outcome.status == 410:
        assert (decision.verdict, decision.state) == (Verdict.GONE, DeliveryState.FAILED)
    elif attempts >= 8:
        assert (decision.verdict, decision.state) == (Verdict.EXHAUSTED, DeliveryState.FAILED)
    else:
        assert (decision.verdict, decision.state) == (Verdict.RETRY, DeliveryState.PENDING)
        wait_s = SCHEDULE_S[attempts] * scale
        asked_s = min(max(outcome.retry_after_s or 0, 0), MAX_RETRY_AFTER_S) if outcome.pause_s is not None else 0
        assert max(wait_s, asked_s) <= decision.delay_s <= max(wait_s * (1 + JITTER), asked_s)


def test_the_schedule_is_that_of_standard_webhooks():
    failed = Outcome(status=500)
    waits = [decide(failed, attempts, chance=0).delay_s for attempts in range(1, 8)]
    assert waits == [5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 10 * 3600]


def test_an_interrupted_attempt_is_tried_again_at_once_even_if_it_was_the_last():
    decision = decide(Outcome(status=None, interrupted=True), 8, chance=0.5)
    assert (decision.verdict, decision.delay_s) == (Verdict.RETRY, 0)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1000)), max_size=60))
def test_health_by_property(history):
    """The pauses grow only with probes, never beyond the longest; one success forgets everything."""
    state, now, failures = Health(), NOW, 0
    for succeeded, pause_s in history:
        now += timedelta(seconds=pause_s)
        before = state
        state = after(state, [Outcome(status=200 if succeeded else 500)], now)
        failures = 0 if succeeded else failures + 1
        assert state.consecutive_failures == failures
        assert state.open is (failures >= OPEN_AFTER_FAILURES)
        if succeeded:
            assert state == Health()
        elif before.blocked_until is not None and before.blocked_until > now:
            assert (state.pauses, state.blocked_until) == (before.pauses, before.blocked_until)
        elif state.open:
            assert state.pauses == before.pauses + 1
            assert timedelta(0) < state.blocked_until - now <= timedelta(seconds=LONGEST_PAUSE_S)
        else:
            assert state.blocked_until is None


def test_a_burst_that_fails_together_opens_the_circuit_once():
    state = after(Health(), [Outcome(status=None, error="refused")] * 40, NOW)
    assert (state.consecutive_failures, state.pauses) == (40, 1)
    assert state.blocked_until == NOW + timedelta(seconds=health_module.FIRST_PAUSE_S)


def test_retry_after_blocks_the_endpoint_for_a_bounded_time():
    state = after(Health(), [Outcome(status=429, retry_after_s=1e9)], NOW)
    assert state.blocked_until == NOW + timedelta(seconds=MAX_RETRY_AFTER_S)
    assert after(Health(), [Outcome(status=500, retry_after_s=60)], NOW).blocked_until is None


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "192.0.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2002:808:808::",
        "2001::1",
        "2001:0:7f00:1::",
        "2001:db8::1",
        "3fff::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "100::1",
        "5f00::1",
        "4000::1",
        "2130706433",
        "0x7f000001",
        "127.1",
        "0177.0.0.1",
        "localhost",
        "",
        "8.8.8.8.",
    ],
)
def test_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "100.63.255.255", "172.32.0.1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2606:4700::1111"],
)
def test_public(address):
    assert is_public(address)


@given(st.ip_addresses())
def test_public_is_never_more_than_python_calls_global(address):
    if is_public(str(address)) and getattr(address, "ipv4_mapped", None) is None:
        assert ip_address(address).is_global


@pytest.mark.parametrize(
    "url",
    [
        "https://partner.example.com/hooks",
        "https://partner.example.com:8443/hooks?tenant=1",
        "https://8.8.8.8/",
        "https://[2606:4700::1111]/x",
        "https://xn--fsqu00a.xn--fiqs8s/",
        "HTTPS://Partner.Example.COM./",
    ],
)
def test_good_urls(url):
    check_url(url, allow_private=False)


BAD_URLS = [
    "",
    "partner.example.com",
    "//partner.example.com/",
    "http://partner.example.com/",
    "ftp://partner.example.com/",
    "file:///etc/passwd",
    "https://",
    "https:///path",
    "https://partner.example.com:0/",
    "https://partner.example.com:99999/",
    "https://partner.example.com:x/",
    "https://user:pass@partner.example.com/",
    "https://user@partner.example.com/",
    "https://partner.example.com/#fragment",
    "https://partner.example.com/#",
    "https://partner.example.com/a b",
    "https://partner.example.com\\@localhost/",
    "https://partner.example.com/\n",
    "https://例子.中国/",
    "https://localhost/",
    "https://LOCALHOST./",
    "https://api.localhost/",
    "https://intranet/",
    "https://db.internal/",
    "https://printer.local/",
    "https://-bad-.example.com/",
    "https://a..example.com/",
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0177.0.0.1/",
    "https://017700000001/",
    "https://127.0.0.1.:443/",
    "https://999.1.1.1/",
    "https://10.0.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[fe80::1%25eth0]/",
    "https://[::1",
    "https://[::1]x/",
    "https://" + "a" * 64 + ".example.com/",
    "https://partner.example.com/" + "a" * 2000,
]


@pytest.mark.parametrize("url", BAD_URLS)
def test_bad_urls(url):
    with pytest.raises(BadUrl):
        check_url(url, allow_private=False)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/x", "http://localhost/", "http://[::1]/", "https://intranet/"])
def test_development_may_stay_at_home(url):
    check_url(url, allow_private=True)


@given(st.text(max_size=60))
def test_any_text_is_accepted_or_refused(text):
    for allow_private in (False, True):
        for url in (text, "https://" + text):
            try:
                check_url(url, allow_private=allow_private)
            except BadUrl:
                continue
            assert url.lower().startswith(("https://", "http://"))

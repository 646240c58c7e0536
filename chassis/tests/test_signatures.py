"""Signatures as Standard Webhooks has them: ours convince the reference library, its convince us, nothing else does."""

from datetime import UTC, datetime

import pytest
from cordboard_chassis.signatures import (
    TOLERANCE_S,
    BadSecret,
    BadSignature,
    headers,
    key_of,
    require_signed,
    secret_of,
)
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

SECRET = secret_of(b"k" * 32)
OTHER = secret_of(b"o" * 32)
NOW = 1_800_000_000


@given(st.binary(min_size=24, max_size=64), st.binary(min_size=24, max_size=64), st.text(max_size=200))
def test_signatures_convince_the_reference_library(old, new, text):
    body = text.encode()
    now = int(datetime.now(UTC).timestamp())
    signed = headers("msg_1", now, body, [secret_of(new), secret_of(old)])
    for key in (old, new):
        assert key_of(secret_of(key)) == key
        Webhook(secret_of(key)).verify(body, signed, json_parse=False)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!!!!", "whsec_" + "A" * 16, "whsec_" + "A" * 120, "A" * 44])
def test_bad_secrets(secret):
    with pytest.raises(BadSecret):
        key_of(secret)


@given(st.binary(min_size=24, max_size=64), st.text(max_size=200))
def test_signatures_of_the_reference_library_convince_us(key, text):
    at = datetime.fromtimestamp(NOW, UTC)
    made = Webhook(secret_of(key)).sign("msg_1", at, text)
    given = {"webhook-id": "msg_1", "webhook-timestamp": str(NOW), "webhook-signature": f"v1a,AAAA {made}"}
    assert require_signed(given, text.encode(), [OTHER, secret_of(key)], NOW + TOLERANCE_S) == "msg_1"


@pytest.mark.parametrize(
    ("change", "header"),
    [
        ({"webhook-id": ""}, "webhook-id"),
        ({"webhook-id": "two words"}, "webhook-id"),
        ({"webhook-id": "other"}, "webhook-signature"),
        ({"webhook-timestamp": "yesterday"}, "webhook-timestamp"),
        ({"webhook-timestamp": str(NOW - TOLERANCE_S - 1)}, "webhook-timestamp"),
        ({"webhook-timestamp": str(NOW + TOLERANCE_S + 1)}, "webhook-timestamp"),
        ({"webhook-timestamp": str(NOW + 1)}, "webhook-signature"),
        ({"webhook-signature": ""}, "webhook-signature"),
        ({"webhook-signature": "v1,\N{SNOWMAN}"}, "webhook-signature"),
    ],
)
def test_what_is_not_signed_so_is_refused(change, header):
    good = headers("msg_1", NOW, b"{}", [SECRET])
    assert require_signed(good, b"{}", [SECRET], NOW) == "msg_1"
    with pytest.raises(BadSignature) as refused:
        require_signed(good | change, b"{}", [SECRET], NOW)
    assert refused.value.header == header
    assert SECRET not in str(refused.value)


def test_another_body_another_secret_or_none_are_refused():
    good = headers("msg_1", NOW, b"{}", [SECRET])
    for body, secrets in ((b"[]", [SECRET]), (b"{}", [OTHER]), (b"{}", [])):
        with pytest.raises(BadSignature, match="webhook-signature"):
            require_signed(good, body, secrets, NOW)

"""What is encrypted in the database: who opens it, and who does not."""

import base64

import pytest
from cordboard_chassis.keyring import CannotOpen, Keyring, is_sealed
from hypothesis import given
from hypothesis import strategies as st

KEYS = [base64.b64encode(bytes([number]) * 32).decode() for number in range(4)]
OLD, NEW = f"2026a:{KEYS[0]}", f"2026b:{KEYS[1]}"


@given(st.text(), st.text())
def test_what_was_sealed_opens_in_its_place_only(text: str, context: str) -> None:
    keyring = Keyring.parse(NEW)
    sealed = keyring.seal(text, context)
    assert is_sealed(sealed)
    assert keyring.open(sealed, context) == text
    assert keyring.seal(text, context) != sealed
    with pytest.raises(CannotOpen, match="another place"):
        keyring.open(sealed, context + "x")


def test_keys_are_replaced_while_the_older_one_still_opens() -> None:
    before = Keyring.parse(OLD).seal("secret", "x")
    both = Keyring.parse(f"{NEW}, {OLD}")
    after = both.seal("secret", "x")
    assert (both.current, both.key_ids) == ("2026b", {"2026a", "2026b"})
    assert both.open(before, "x") == both.open(after, "x") == Keyring.parse(NEW).open(after, "x") == "secret"
    with pytest.raises(CannotOpen, match="2026a, which is not given"):
        Keyring.parse(NEW).open(before, "x")


@pytest.mark.parametrize("part", range(1, 3))
def test_what_was_changed_does_not_open(part: int) -> None:
    keyring = Keyring.parse(f"a:{KEYS[2]},b:{KEYS[3]}")
    words = keyring.seal("secret", "x").split(".")
    words[part] = "b" if part == 1 else ("A" if words[part][0] != "A" else "B") + words[part][1:]
    with pytest.raises(CannotOpen):
        keyring.open(".".join(words), "x")


@pytest.mark.parametrize("text", ["", "secret", "sealed", "sealed.", "sealed.2026b", "sealed.2026b.", "sealed.2026b.é"])
def test_what_was_never_sealed_does_not_open(text: str) -> None:
    with pytest.raises(CannotOpen):
        Keyring.parse(NEW).open(text, "x")


@pytest.mark.parametrize(
    "text",
    ["", "a", "a:", f"{NEW},", NEW[6:], f"a b:{KEYS[2]}", "a:c2hvcnQ=", "a:!!!!", f"{NEW},{NEW}", f"a:{KEYS[2]}AAAA"],
)
def test_keys_that_are_not_written_well_are_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ValueError, match=r"key \d (must be|has)") as refused:
        Keyring.parse(text)
    assert KEYS[1] not in str(refused.value)

"""Customers and names without any server."""

import unicodedata
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
from accounts.domain.changes import Action, between
from accounts.domain.customers import (
    MAX_PHONES,
    Contact,
    Customer,
    Kind,
    Phone,
    add_contact,
    add_phone,
    begin,
    change_contact,
    is_email,
    remove_contact,
    remove_phone,
)
from accounts.domain.names import MAX_KEY_LENGTH, name_key
from accounts.domain.rules import RuleBroken, Wrong
from cordboard_contracts import new_id
from hypothesis import given
from hypothesis import strategies as st

TODAY = date(2026, 11, 2)


def customer(**fields: Any) -> Customer:
    made_at = datetime(2026, 1, 1, tzinfo=UTC)
    return Customer(new_id(), "/cn", fields.pop("kind", Kind.ORGANISATION), "x", made_at, **fields)


@given(st.text(max_size=300))
def test_a_key_is_bounded_and_the_same_however_it_is_written(name: str) -> None:
    key = name_key(name)
    assert len(key) <= MAX_KEY_LENGTH
    assert name_key(unicodedata.normalize("NFD", name)) == name_key(unicodedata.normalize("NFC", name))
    if len(key) < MAX_KEY_LENGTH:
        assert name_key(key) == key


@given(st.data())
def test_changes_lead_from_one_version_to_the_other(data: st.DataObject) -> None:
    """What is audited is all that happened: applied to the one, it gives the other."""
    ids = [new_id() for _ in range(3)]

    def drawn() -> Customer:
        contacts = [
            Contact(contact_id, data.draw(st.sampled_from("ab"))) for contact_id in ids if data.draw(st.booleans())
        ]
        phones = [
            Phone(contact.contact_id, data.draw(st.sampled_from(["+861", "+862"])), contact.contact_id)
            for contact in contacts
            if data.draw(st.booleans())
        ]
        tier = data.draw(st.sampled_from([None, "gold"]))
        return replace(first, tier=tier, contacts=tuple(contacts), phones=tuple(phones))

    first = customer()
    before, after = drawn(), drawn()
    values: dict[tuple[str, UUID], dict[str, Any]] = {
        (change.entity, change.entity_id): change.after or {} for change in between(None, before)
    }
    for change in between(before, after):
        key = (change.entity, change.entity_id)
        known = values.pop(key, None)
        assert (known is None) == (change.action is Action.CREATED)
        if change.before is not None:
            assert known is not None
            assert change.before.items() <= known.items()
        if change.action is not Action.REMOVED:
            values[key] = (known or {}) | (change.after or {})
    wanted = {(change.entity, change.entity_id): change.after for change in between(None, after)}
    assert values == wanted
    assert between(after, after) == []


def test_a_contact_takes_its_phones_along() -> None:
    contact = Contact(new_id(), "陈静")
    before = customer(phones=(Phone(new_id(), "+861"),))
    with_contact = add_contact(before, contact, [Phone(new_id(), "+862", contact.contact_id)])
    assert with_contact.numbers == {"+861", "+862"}
    assert remove_contact(with_contact, contact.contact_id) == before
    with pytest.raises(RuleBroken):
        change_contact(before, contact.contact_id, {"name": "x"})
    with pytest.raises(RuleBroken):
        remove_phone(before, new_id())


def test_there_are_limits() -> None:
    full = customer(phones=tuple(Phone(new_id(), f"+86{number}") for number in range(MAX_PHONES)))
    with pytest.raises(RuleBroken) as broken:
        add_phone(full, Phone(new_id(), "+8699"))
    assert broken.value.code == "too-many-phones"
    with pytest.raises(Wrong) as wrong:
        begin(replace(full, phones=(*full.phones, full.phones[0])), TODAY)
    assert wrong.value.field == "phones"
    with pytest.raises(Wrong):
        begin(replace(full, phones=(full.phones[0],) * 2), TODAY)
    for born_on in (date(1899, 12, 31), date(2026, 11, 3)):
        with pytest.raises(Wrong):
            begin(customer(kind=Kind.PERSON, born_on=born_on), TODAY)
    with pytest.raises(Wrong) as wrong:
        begin(customer(born_on=date(1984, 2, 29)), TODAY)
    assert wrong.value.detail == "only a person is born"


@pytest.mark.parametrize(
    ("text", "possible"),
    [
        ("a@b", True),
        ("陈@例子.中国", True),
        ("a.b+c@d.example.com", True),
        ("a@@b", False),
        ("@b", False),
        ("a@", False),
        ("a b@c", False),
        ("a@b..c", False),
        ("a\n@b", False),
    ],
)
def test_an_address_has_one_at(text: str, possible: bool) -> None:
    assert is_email(text) is possible

"""Phone numbers as people write them."""

import pytest
from cordboard_chassis.phones import normalise, normalise_all
from cordboard_chassis.refusals import Invalid


@pytest.mark.parametrize(
    ("text", "region", "number"),
    [
        ("+8613800138000", None, "+8613800138000"),
        ("138 0013 8000", "CN", "+8613800138000"),
        ("０２１－６８８８００００", "CN", "+862168880000"),
        ("0086 138 0013 8000", "CN", "+8613800138000"),
        ("(415) 555-2671", "US", "+14155552671"),
        ("020 7946 0018", "GB", "+442079460018"),
        ("+44 20 7946 0018", "CN", "+442079460018"),
        ("tel:+86-138-0013-8000", None, "+8613800138000"),
    ],
)
def test_a_number_is_read_as_people_write_it(text: str, region: str | None, number: str) -> None:
    assert normalise(text, region, "number") == number


@pytest.mark.parametrize(
    ("text", "region", "field", "words"),
    [
        ("13800138000", None, "number", "give the region"),
        ("13800138000", "XX", "region", "not a country"),
        ("hello", "CN", "number", "not a phone number"),
        ("+999123456789", None, "number", "country code"),
        ("123", "CN", "number", "too short"),
        ("+861380013800012345", None, "number", "too short or too long"),
        ("+862168880000 ext. 12", None, "number", "extension"),
    ],
)
def test_a_number_that_cannot_be_read_is_refused(text: str, region: str | None, field: str, words: str) -> None:
    with pytest.raises(Invalid) as refused:
        normalise(text, region, "number")
    assert refused.value.field == field
    assert words in refused.value.detail


def test_of_several_the_wrong_one_is_named() -> None:
    assert normalise_all(["138 0013 8000", "+14155552671"], "CN", "phones") == ["+8613800138000", "+14155552671"]
    with pytest.raises(Invalid) as refused:
        normalise_all(["+14155552671", "hello"], None, "phones")
    assert refused.value.field == "phones.1"

"""Work that may come beside other work for which there would be no room."""

import pytest
from routing.engine import AgentState, Settings, WorkKind
from small_centre import CALL, LEAD, REQUEST, Centre, offers


@pytest.fixture
def centre() -> Centre:
    weights = {WorkKind.LEAD: 2, WorkKind.SERVICE_REQUEST: 2}
    centre = Centre(settings=Settings(weights=weights, interrupts={CALL: frozenset({LEAD})}))
    centre.agent("a", items={CALL: 1, LEAD: 2, REQUEST: 2}, total=4)
    return centre


def test_a_call_interrupts_leads_that_fill_the_agent(centre: Centre) -> None:
    centre.submit_many("1", "2", kind=LEAD)
    assert centre.state("a") == (AgentState.READY, None), "there is room for a call"
    assert offers(centre.submit("3", kind=REQUEST)) == []
    assert offers(centre.submit("call")) == [("call", "a")]
    assert [centre.holder(item) for item in ("1", "2")] == ["a", "a"]
    assert offers(centre.complete("call")) == [], "the leads still fill the agent"
    centre.complete("1")
    assert centre.holder("3") == "a"


def test_what_is_not_interrupted_counts(centre: Centre) -> None:
    centre.submit_many("1", "2", kind=REQUEST)
    assert centre.state("a") == (AgentState.BUSY, None)
    assert offers(centre.submit("call")) == []
    found = centre.engine.explain("call", centre.seconds * 1000).candidates[0]
    assert found.obstacles == ("full weight 4 of 4",)

"""What an adapter numbers: each is taken once and in order, whatever it repeats or leaves out."""

from hypothesis import given, settings
from hypothesis import strategies as st
from telephony_gateway.domain import adapter_session
from telephony_gateway.domain.adapter_session import AdapterSession, OutOfStep

steps = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4)), max_size=12)


@settings(max_examples=200, deadline=None)
@given(steps)
def test_each_event_is_taken_once_and_in_order_whatever_is_repeated(batches: list[tuple[int, int]]) -> None:
    session: AdapterSession = adapter_session.begin(None, "s", 0, 0.0)
    taken: list[int] = []
    for back, count in batches:
        first = max(1, session.sequence + 2 - back)
        numbers = list(range(first, first + count))
        try:
            session, new = adapter_session.take(session, "s", first, numbers, 0.0)
        except OutOfStep as refused:
            assert refused.code == "sequence-gap" and first > session.sequence + 1
        else:
            taken += new
        assert taken == list(range(1, session.sequence + 1))

"""Which acknowledgements a channel's broker hears."""

from cordboard_chassis.messaging.deliveries import Settled
from hypothesis import given
from hypothesis import strategies as st


@given(st.data())
def test_whatever_the_order_each_delivery_is_acknowledged_once(data: st.DataObject) -> None:
    """The broker closes the channel when it hears of a tag that is not waiting."""
    order = data.draw(st.permutations(range(1, data.draw(st.integers(1, 30)) + 1)))
    settled, waiting, done = Settled(), set(order), set[int]()
    while order:
        size = data.draw(st.integers(1, len(order)))
        group, order = set(order[:size]), order[size:]
        done |= group
        for tag, multiple in settled.add(group):
            assert tag in waiting, "it is not waiting"
            told = {other for other in waiting if other == tag or (multiple and other < tag)}
            assert told <= done, "it is not settled"
            waiting -= told
        assert waiting.isdisjoint(done), "it is settled, and the broker does not know"


def test_a_group_that_came_in_order_is_one_frame() -> None:
    settled = Settled()
    assert settled.add([1, 2, 3]) == [(3, True)]
    assert settled.add([5, 6]) == [(5, False), (6, False)]
    assert settled.add([4]) == [(4, True)]
    assert settled.add([7, 8]) == [(8, True)]

"""When a batch leaves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.batcher import Batcher


def test_full_old_or_urgent():
    batcher = Batcher(3, 5.0)
    assert batcher.wait_s(0.0) is None
    batcher.add("a", 10.0)
    assert batcher.wait_s(11.0) == 4.0
    batcher.add("b", 14.0)
    assert batcher.wait_s(14.0) == 1.0, "the age is that of the first"
    assert batcher.wait_s(20.0) == 0.0
    batcher.add("c", 14.0)
    assert batcher.wait_s(14.0) == 0.0, "full"
    with pytest.raises(ValueError, match="full"):
        batcher.add("d", 14.0)
    assert batcher.take() == ["a", "b", "c"]
    batcher.add("d", 30.0, urgent=True)
    assert batcher.wait_s(30.0) == 0.0, "an alarm does not wait"
    assert batcher.take() == ["d"]
    batcher.add("e", 31.0)
    assert batcher.wait_s(31.0) == 5.0, "and is forgotten with its batch"
    assert batcher.wait_s(-1000.0) == 5.0, "a clock that went back holds it no longer than its age"


@given(
    st.integers(1, 6),
    st.floats(0, 10),
    st.lists(st.tuples(st.floats(0, 4), st.booleans()), max_size=60),
)
def test_every_item_leaves_once_in_order_and_none_waits_too_long(most, age_s, arrivals):
    """A driver that takes whatever is due, with a clock that only moves when the driver lets it."""
    batcher = Batcher(most, age_s)
    now_s, left, waiting = 0.0, [], {}

    def leave():
        batch = batcher.take()
        assert 1 <= len(batch) <= most
        full_or_urgent = len(batch) == most or any(urgent for _, urgent in batch)
        assert full_or_urgent or now_s >= waiting[batch[0]] + age_s - 1e-9
        assert now_s <= waiting[batch[0]] + age_s + 1e-9
        left.extend(batch)

    items = []
    for n, (gap_s, urgent) in enumerate(arrivals):
        end_s = now_s + gap_s
        while (wait_s := batcher.wait_s(now_s)) is not None and now_s + wait_s <= end_s:
            now_s += wait_s
            leave()
        now_s = end_s
        items.append((n, urgent))
        waiting[n, urgent] = now_s
        batcher.add((n, urgent), now_s, urgent=urgent)
        assert batcher.room == most - (len(items) - len(left))
        if batcher.wait_s(now_s) == 0.0:
            leave()
    while (wait_s := batcher.wait_s(now_s)) is not None:
        now_s += wait_s
        leave()
    assert left == items

"""What upstream is told of the windows, and what a gateway without windows makes of it."""

import cbor2
import gatedesk as desk
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.wire.host.window import Window
from gateway import floors

PIVS = st.integers(1, 2**32 - 1)
KIDS = st.one_of(st.binary(min_size=2, max_size=2), st.binary(min_size=4, max_size=4))
TAG = bytes(8)


def heard(pivs, width=64):
    window = Window(width)
    for piv in pivs:
        if window.verdict(piv) is None:
            window.accept(piv, TAG)
    return window


@given(st.lists(st.integers(1, 300), max_size=40), st.sampled_from([64, 1024]))
def test_the_highest_is_the_highest(pivs, width):
    assert floors.highest(heard(pivs, width)) == max(pivs, default=0)


@given(st.lists(st.integers(1, 300), max_size=20), st.one_of(st.integers(1, 400), st.integers(2**32 - 200, 2**32 - 1)))
def test_a_raised_window_refuses_what_is_at_or_below_the_floor_and_takes_all_else_once(pivs, floor):
    window = heard(pivs)
    raised = floors.raised(window, floor)
    if floor <= max(pivs, default=0):
        assert raised is None
        return
    assert floors.highest(raised) == floor
    assert floors.raised(raised, floor) is None
    raised = Window.unpack(raised.pack())
    for piv in {*range(1, min(500, floor + 1)), *range(max(1, floor - 70), floor + 1)}:
        assert raised.verdict(piv) == ("old" if raised.highest - piv >= 64 else "reuse")
    assert floor + 64 == raised.highest or raised.highest == 2**32 - 1
    for piv in (floor + 3, floor + 1, floor + 64, floor + 2):
        if piv < 2**32:
            assert raised.verdict(piv) is None
            raised.accept(piv, TAG)
            assert raised.verdict(piv) == "reuse"
            assert floors.highest(raised) >= piv
    assert raised.verdict(floor) is not None


@given(st.dictionaries(KIDS, PIVS, max_size=20))
def test_what_is_told_is_understood(known):
    assert floors.unpack(floors.pack(known)) == known


VALUES = st.one_of(st.integers(), st.binary(max_size=5), st.text(max_size=3), st.none())
ITEMS = st.one_of(VALUES, st.lists(VALUES, max_size=2), st.dictionaries(st.one_of(KIDS, VALUES), VALUES, max_size=3))


@settings(max_examples=60)
@given(st.one_of(st.binary(max_size=40), ITEMS.map(cbor2.dumps)))
def test_anybody_may_publish_anything(data):
    try:
        found = floors.unpack(data)
    except ValueError:
        return
    assert all(len(kid) in (2, 4) and 0 < piv < 2**32 for kid, piv in found.items())


def test_only_what_is_acknowledged_is_told():
    """Told once everything before it is upstream, every five minutes at most, and at the stop."""
    teller = floors.Teller()
    windows = {b"\0\1": 0}

    def look(last):
        teller.look(last, windows.items)

    look(0)
    assert teller.due(0, 1.0) is None, "nothing was heard"
    windows[b"\0\1"] = 7
    look(10)
    assert teller.due(9, 1.0) is None
    windows[b"\0\1"] = 8
    look(11)  # not yet: older windows wait
    assert teller.due(10, 1.0) == {b"\0\1": 7}
    teller.has({b"\0\1": 7}, 1.0)
    look(11)
    assert teller.due(11, 300.9) is None
    assert teller.due(11, 300.9, stopping=True) == {b"\0\1": 8}
    assert teller.due(10, 9000.0, stopping=True) is None
    assert teller.due(11, 301.0) == {b"\0\1": 8}
    teller.has({b"\0\1": 8}, 301.0)
    look(12)
    assert teller.due(12, 9000.0) is None, "nothing new"
    assert desk.SITE in floors.topic(desk.SITE, "poste")

"""What upstream is told of the windows, and what a gateway without windows makes of it."""

import asyncio
import os
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import cbor2
import gatedesk as desk
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.wire.host.window import Window
from gateway import floors, windows
from gateway.clock import SystemClock
from gateway.config import Upstream
from gateway.fold import Kid
from gateway.store import Store
from gateway.upstream import asking
from gateway.upstream.cursor import Intervals

until = partial(desk.until, timeout_s=40)  # a busy machine is no fault of theirs

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
    teller = floors.Teller(0.0)
    windows = {b"\0\1": 0}

    def look(last):
        teller.look(last, windows.items)

    look(0)
    assert teller.due(0, 900.0) is None, "nothing was heard"
    windows[b"\0\1"] = 7
    look(10)
    assert teller.due(9, 900.0) is None
    windows[b"\0\1"] = 8
    look(11)  # not yet: older windows wait
    assert teller.due(10, 299.9) is None
    assert teller.due(10, 300.0) == {b"\0\1": 7}
    teller.has({b"\0\1": 7}, 300.0)
    look(11)
    assert teller.due(11, 599.9) is None
    assert teller.due(11, 599.9, stopping=True) == {b"\0\1": 8}
    assert teller.due(10, 9000.0, stopping=True) is None
    assert teller.due(11, 600.0) == {b"\0\1": 8}
    teller.has({b"\0\1": 8}, 600.0)
    look(12)
    assert teller.due(12, 9000.0) is None, "nothing new"


class DeafPump:
    """An upstream that takes what it is told, and could not be asked."""

    def __init__(self):
        self.config = SimpleNamespace(metered=False, name="senml", url="mqtt://127.0.0.1:1")
        self.account = SimpleNamespace(done=Intervals())
        self.told = []

    async def tell(self, *what):
        self.told.append(what)
        return True


def test_who_could_not_be_asked_is_told_nothing(tmp_path, monkeypatch):
    """It may know more, and would forget it."""

    async def nobody(*_):
        return None

    async def run(work, *args):
        return work(*args)

    windows.begin(tmp_path / "store.db", short=windows.NEW)
    store, pump = Store(tmp_path / "store.db"), DeafPump()
    kid = Kid(desk.keys(1), "bin-1")
    told = floors.Floors(store, run, {b"\0\1": kid}, SimpleNamespace(pumps=[pump]), SystemClock(), "topic")
    monkeypatch.setattr(floors, "ask", nobody)
    pump.config.password_file = pump.password = None
    assert asyncio.run(told.begin()) == windows.NEW
    kid.window.accept(9, TAG)
    asyncio.run(told._farewell(pump))
    assert pump.told == []
    assert store.within(windows.short, "looked") == windows.NEW
    told._unasked.clear()
    asyncio.run(told._farewell(pump))
    assert pump.told == [("topic", floors.pack({b"\0\1": 9}), floors.CONTENT_TYPE)]
    store.close()


# With daemons


HASTY = Path(__file__).with_name("hasty.py")


@pytest.fixture
def files(tmp_path, bridge, proxy):
    """A gateway whose name no other test has: what is told stays at the broker."""
    found = desk.Files(tmp_path, {"bridge": bridge.path}, proxy.url, "reconnect_max_s = 0.5")
    found.gateway = f"poste-{os.getpid()}-{time.monotonic_ns()}"
    found.text = found.text.replace('"poste"', f'"{found.gateway}"')
    found.write()
    boards = found.folder / "boards.yaml"
    boards.write_text(boards.read_text().replace("poste", found.gateway))
    return found


def told(files, broker):
    """What lies at the broker."""
    topic = floors.topic(desk.SITE, files.gateway)
    found = asyncio.run(asking.ask(Upstream(url=broker), None, topic, 10))
    return floors.unpack(found) if found else {}


def life(files, bridge, daemon, *pivs):
    """Frames of board 1, until each is handled."""
    until(lambda: bridge.hellos)
    for piv in pivs:
        seq = bridge.hears(desk.frame(1, piv, {3: piv}))
        until(lambda seq=seq: bridge.handled[-1:] == [seq])
    return daemon


def lose_the_card(files):
    for path in files.folder.glob("store.db*"):
        path.unlink()


def test_a_gateway_without_windows_refuses_what_upstream_has_seen(files, bridge, broker, start):
    daemon = life(files, bridge, start(files), 5, 6, 7)
    until(lambda: daemon.said("published"))
    assert daemon.stop() == 0
    assert told(files, broker) == {b"\0\1": 7}
    lose_the_card(files)
    daemon = life(files, bridge, start(files, "--new-windows"), 7, 3, 8)
    until(lambda: daemon.said("alarm", name="new_windows", state="raised"))
    until(lambda: daemon.said("published"))
    counts, counters = desk.counts(files)
    assert (counts["0001"].stored, counters["old"]) == (1, 2)
    assert daemon.stop() == 0
    assert told(files, broker) == {b"\0\1": 8}
    daemon = life(files, bridge, start(files), 7, 9)
    assert desk.counts(files)[1]["old"] == 3
    assert daemon.stop() == 0
    assert "windows are short" not in daemon.stderr


def test_the_first_day_raises_no_alarm_unless_there_was_another_one(files, bridge, broker, start):
    def first_day():
        lose_the_card(files)
        windows.begin(files.store, short=windows.FIRST)
        return life(files, bridge, start(files), 5)

    daemon = first_day()
    until(lambda: daemon.said("published"))
    assert daemon.stop() == 0
    assert not daemon.said("alarm")
    daemon = first_day()
    until(lambda: daemon.said("alarm", name="new_windows", state="raised"))
    assert desk.counts(files)[1]["old"] == 1


def test_an_upstream_that_is_away_is_asked_when_it_comes_and_told_nothing_before(files, bridge, broker, proxy, start):
    daemon = life(files, bridge, start(files), 100)
    until(lambda: daemon.said("published"))
    assert daemon.stop() == 0
    lose_the_card(files)
    proxy.cut()
    daemon = life(files, bridge, start(files, "--new-windows", script=HASTY), 40)
    assert "could not be asked" in daemon.stderr
    assert desk.counts(files)[0]["0001"].stored == 1, "nobody could know"
    assert daemon.stop() == 0
    daemon = life(files, bridge, start(files, script=HASTY))
    proxy.mend()
    until(lambda: "the windows of 1 key ids are raised" in daemon.stderr)
    life(files, bridge, daemon, 60, 101)
    until(lambda: desk.counts(files)[1].get("old") == 1)
    assert desk.counts(files)[0]["0001"].stored == 2
    until(lambda: told(files, broker) == {b"\0\1": 101})
    assert daemon.stop() == 0
    daemon = start(files)
    bridge_heard = bridge.hears(desk.frame(1, 61, {3: 1}))
    until(lambda: bridge.handled[-1:] == [bridge_heard])
    assert desk.counts(files)[1]["old"] == 2, "what was raised is on disk"

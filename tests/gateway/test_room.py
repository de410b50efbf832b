"""Bounds of the store: what goes first, what never goes, and books that say so."""

import asyncio

import gatedesk as desk
import pytest
from test_receive import MONO_S, UNIX_S, Bench

from gateway import room
from gateway.books import Books
from gateway.clock import SystemClock
from gateway.config import StoreSection, Upstream
from gateway.errors import HostError
from gateway.room import Room
from gateway.upstream.account import tally
from gateway.upstream.lanes import Read
from gateway.upstream.pump import Names
from gateway.upstream.upstreams import Upstreams

DAY_MS = 86_400_000


class Yard(Bench):
    """A bench with two upstreams that nobody answers, and a Room."""

    def __init__(self, folder, **limits):
        super().__init__(folder)
        self.hello()
        self.piv = 0
        self.said = []
        configs = [
            Upstream(url="mqtt://127.0.0.1:1", format="senml", name="senml"),
            Upstream(url="mqtt://127.0.0.1:1", format="frames", name="frames"),
        ]
        names = Names("poste", desk.SITE, {}, {desk.keys(1).kid: desk.keys(1)})
        self.upstreams = Upstreams(
            configs, names, self.store, self.run, SystemClock(), (0, 0), lambda kind, **more: self.said.append((kind, more))
        )
        event = lambda kind, **more: self.said.append((kind, more))  # noqa: E731
        self.room = Room(self.store, self.run, self.upstreams, StoreSection(**limits), event)

    async def run(self, work, *args):
        return work(*args)

    def hear(self, n, payload=None, unix_s=UNIX_S):
        frames = []
        for _ in range(n):
            self.piv += 1
            frames.append(desk.frame(1, self.piv, payload or {3: self.piv % 100}))
        self.take(*frames, unix_s=unix_s, at_s=MONO_S)

    def pivs(self):
        return [row.piv for row in self.rows()]

    def balance(self, upstream="senml"):
        books = Books(self.path)
        try:
            return books.balance(upstream, frames=upstream == "frames")
        finally:
            books.close()

    def done(self, name, first, last):
        account = self.upstreams.ledger.accounts[name]
        rows = self.store.rows(first - 1, last + 1, 10_000)
        self.upstreams.ledger.hand(account, [rows])
        self.upstreams.ledger.finish(account, [(first, last)], tally(account, rows))


@pytest.fixture
def yard(tmp_path):
    found = []

    def make(**limits):
        found.append(Yard(tmp_path, **limits))
        return found[-1]

    yield make
    for one in found:
        asyncio.run(one.upstreams.close())
        one.store.close()


def test_what_every_upstream_has_goes_first_and_alone(yard):
    one = yard()
    one.hear(100)
    one.done("senml", 1, 60)
    one.done("frames", 21, 80)
    asyncio.run(one.room.make())
    assert one.pivs() == [*range(1, 21), *range(61, 101)]
    assert one.said == []
    assert one.balance()[:4] == (100, 60, 40, 0)
    assert one.balance("frames")[:4] == (100, 60, 40, 0)


def test_then_what_nobody_understands_then_readings_then_alarms(yard):
    one = yard()
    for payload in ({3: 5, 19: 1}, {3: 5}, b"\xa1\x03\xf9\x3c\x00"):
        one.hear(10, payload)
    one.hear(10)
    want = [*range(21, 31), *range(11, 21), *range(31, 40), *range(1, 11)]
    gone = []
    while len(one.pivs()) > 1:
        before = one.pivs()
        asyncio.run(one.room.make())
        gone += [piv for piv in before if piv not in one.pivs()]
        for name in ("senml", "frames"):
            assert one.balance(name).missing == 0
    assert gone == want
    assert one.pivs() == [40], "the newest row always stays"
    assert one.balance().causes == {"full": 29}
    assert one.balance("frames").causes == {"full": 39}
    assert {kind for kind, _ in one.said} == {"dropped"}


def test_where_nothing_may_go_the_store_says_so(yard):
    one = yard(when_full="refuse")
    one.hear(50)
    asyncio.run(one.room.make())
    assert len(one.pivs()) == 50


@pytest.mark.produces("disk_full")
@pytest.mark.parametrize("policy", ["oldest", "refuse"])
def test_a_bound_of_rows(yard, policy):
    one = yard(max_rows=1000, when_full=policy)
    one.hear(700)
    one.hear(500)
    one.done("senml", 1, 50)
    one.done("frames", 1, 50)
    asyncio.run(one.upstreams.fold())
    asyncio.run(one.room.keep(None))
    if policy == "oldest":
        assert one.pivs() == list(range(201, 1201))
        assert one.balance() == (1200, 50, 1000, 150, {"rows": 150})
        one.hear(1)
        return
    assert one.pivs() == list(range(51, 1201))
    with pytest.raises(HostError, match=r"^disk_full: the store holds all"):
        one.hear(1)
    assert one.balance()[:4] == (1200, 50, 1150, 0)
    one.done("senml", 51, 700)
    one.done("frames", 51, 700)
    asyncio.run(one.upstreams.fold())
    asyncio.run(one.room.keep(None))
    one.again()
    assert one.pivs()[-1] == 1201


def test_a_bound_of_age(yard):
    one = yard(max_days=30)
    one.hear(20, unix_s=UNIX_S - 40 * 86_400)
    one.hear(20, unix_s=UNIX_S - 20 * 86_400)
    one.hear(5, unix_s=100.0)  # no date, no age
    asyncio.run(one.room.keep(None))
    assert len(one.pivs()) == 40
    asyncio.run(one.room.keep(round(UNIX_S * 1000)))
    assert one.pivs() == list(range(21, 41))
    assert one.balance() == (45, 0, 25, 20, {"age": 20})
    assert one.balance("frames").missing == 0


def test_what_an_upstream_holds_stays(yard):
    """Rows in its memory or in the air are its own, until the broker has said what became of them."""
    one = yard()
    one.hear(64)
    pump = one.upstreams.pumps[0]
    pump.busy = lambda: iter([(1, 10), (20, 20)])
    asyncio.run(one.room.make())
    assert one.pivs()[:11] == [*range(1, 11), 15]
    assert 20 in one.pivs()


def test_a_disk_that_others_have_filled(yard):
    """Somebody may make room: what nobody has yet goes only when nobody did for ten minutes."""
    one = yard()
    one.hear(64)
    one.room._crowded = lambda: True
    asyncio.run(one.room.make())
    assert len(one.pivs()) == 64
    one.room._full_since_s -= room.GRACE_S
    asyncio.run(one.room.make())
    assert len(one.pivs()) == 60
    one.room._tried_s -= 60
    asyncio.run(one.room.make())
    assert len(one.pivs()) == 60, "that was another time"


def test_a_disk_that_does_not_answer_once(yard, monkeypatch):
    """A pump asks again; only a store that is bad ends it."""
    one = yard()
    one.hear(3)
    pump, asked = one.upstreams.pumps[0], []
    monkeypatch.setattr("gateway.upstream.pump.RETRY_S", 0.01)

    async def run(work, *args):
        asked.append(work)
        if len(asked) < 3:
            raise HostError("disk_error", "busy")
        if len(asked) == 4:
            raise HostError("bad_store", "malformed")
        return work(*args)

    pump._run = run
    rows, upto, void = asyncio.run(pump._asked(Read("backlog", [(1, 5)], 10)))
    assert ([row.piv for row in rows], upto, void) == ([1, 2, 3], 5, [(4, 5)])
    with pytest.raises(HostError, match=r"^bad_store"):
        asyncio.run(pump._asked(Read("backlog", [(1, 5)], 10)))


def test_a_drop_that_the_disk_does_not_take_changes_nothing(yard):
    one = yard()
    one.hear(64)

    def point(name):
        if name == "dropped":
            raise HostError("disk_full", "no room")

    one.store._point = point
    with pytest.raises(HostError):
        asyncio.run(one.room.make())
    one.store._point = lambda _: None
    assert len(one.pivs()) == 64
    assert one.balance()[:4] == (64, 0, 64, 0)

"""The order in which rows leave, by a driver that plays disk, broker and clock as chance will have it."""

import random
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.upstream import lanes
from gateway.upstream.cursor import Intervals, runs
from gateway.upstream.lanes import ALARM, BACKLOG, LIVE, STRICT, Lanes, Rules


class Row(NamedTuple):
    id: int
    urgent: int = 0
    take: int = 1
    boot: str | None = None


class World:
    """What is on disk, and everything that leaves, with the checks that hold at any time."""

    def __init__(self, rules, old=(), done=()):
        self.rules = rules
        self.disk = {row.id: row for row in old}
        self.done = Intervals(done)
        self.now_s = 0.0
        self.left = []  # (lane, ids)
        self.flying = []
        self.came_s = {}
        self.reading = None
        self.connect()

    @property
    def newest(self):
        return max(self.disk, default=0)

    def connect(self):
        self.lanes = Lanes(self.rules, self.done, self.newest)
        self.old = self.newest
        self.flying = []
        self.reading = None
        self.left.append(("connected", []))

    def store(self, rows):
        self.disk |= {row.id: row for row in rows}
        self.came_s |= {row.id: self.now_s for row in rows}
        self.lanes.offer([row for row in rows if row.boot is None], self.now_s)

    def hear(self, n, urgent=(), take=1, boot=None):
        begin = self.newest + 1
        self.store([Row(begin + i, int(i in urgent), take, boot) for i in range(n)])

    def ask(self):
        """Begin a reading, if one is wanted: what is on disk now is what it brings."""
        if self.reading is None and (read := self.lanes.want()):
            assert read.limit > 0
            found = [
                self.disk[n] for first, last in read.spans for n in range(first, last + 1)
                if n in self.disk and self.disk[n].boot is None and (read.lane != ALARM or self.disk[n].urgent)
            ]  # fmt: skip
            upto = found[read.limit - 1].id if len(found) >= read.limit else read.spans[-1][1]
            self.reading = found[: read.limit], upto

    def bring(self):
        if self.reading is not None:
            (rows, upto), self.reading = self.reading, None
            self.lanes.came(rows, upto, self.now_s)

    def read(self):
        """All that has room in memory."""
        for _ in range(9):
            self.ask()
            self.bring()

    def leave(self, stopping=False):
        """What leaves now, checked."""
        alarms = len(self.lanes._alarm.held)
        batch = self.lanes.next(self.now_s, len(self.flying), stopping=stopping)
        if batch is None:
            assert not alarms or len(self.flying) >= self.rules.window
            return None
        ids = [row.id for row in batch.rows]
        assert ids == sorted(ids)
        assert len(self.flying) < self.rules.window
        assert (batch.lane == ALARM) == bool(alarms), "alarms first"
        assert len(ids) == 1 or sum(row.take.bit_count() or 1 for row in batch.rows) <= self.rules.batch
        self.left.append((batch.lane, ids))
        self.flying.append(ids)
        return batch

    def answer(self, n=0):
        for first, last in runs(self.flying.pop(n)):
            self.done.add(first, last)

    def all_leave(self):
        for _ in range(20_000):
            self.ask()
            self.bring()
            while self.leave(stopping=True):
                pass
            if self.flying:
                self.answer()
            elif self.lanes.idle:
                return
        raise AssertionError("it does not end")

    def ids(self, *names):
        return [n for lane, ids in self.left if lane in names for n in ids]


def dated(world):
    return {n for n, row in world.disk.items() if row.boot is None}


def old(n, urgent=()):
    return [Row(i, int(i in urgent)) for i in range(1, n + 1)]


def test_alarms_before_live_before_the_backlog():
    world = World(Rules(batch=5, window=4), old(40, urgent={23, 31}))
    world.ask()
    world.bring()
    assert world.leave() == (ALARM, [world.disk[23], world.disk[31]]), "alarms of the backlog, found before the rest"
    world.read()
    world.hear(5)
    world.hear(3, urgent={1})
    assert [world.leave().lane for _ in range(2)] == [ALARM, LIVE]
    world.answer()
    world.answer()
    assert world.leave().lane == BACKLOG
    world.all_leave()
    assert world.ids(ALARM) == [23, 31, 47]
    assert world.ids(LIVE) == [41, 42, 43, 44, 45, 46, 48]
    assert world.ids(BACKLOG) == [n for n in range(1, 41) if n not in (23, 31)]


def test_the_backlog_leaves_two_places():
    world = World(Rules(batch=5, window=6), old(200))
    world.read()
    assert [world.leave().lane for _ in range(4)] == [BACKLOG] * 4
    assert world.leave() is None
    world.hear(5)
    assert world.leave().lane == LIVE
    world.hear(1, urgent={0})
    assert world.leave().lane == ALARM
    world.hear(1, urgent={0})
    assert world.leave() is None, "the window is full"


def test_a_window_of_one_still_drains():
    world = World(Rules(batch=2, window=1), old(9))
    world.all_leave()
    assert world.ids(BACKLOG) == list(range(1, 10))


def test_live_rows_that_never_end_do_not_starve_the_backlog():
    world = World(Rules(batch=5, window=3), old(100))
    world.read()
    for _ in range(200):
        world.hear(5)
        world.leave()
        if len(world.flying) == 3:
            world.answer()
        world.ask()
        world.bring()
    order = [lane for lane, _ in world.left[1:]]
    assert set(world.ids(BACKLOG)) == set(range(1, 101))
    last = len(order) - order[::-1].index(BACKLOG)
    assert last <= 20 * (lanes.SHARE + 1) + 3, "one batch in four, at the least"


def test_live_rows_wait_for_company_and_no_longer():
    world = World(Rules(batch=3, age_s=5))
    assert world.lanes.wait_s(0.0) is None
    world.hear(1)
    world.now_s = 2.0
    world.hear(1)
    assert world.leave() is None
    assert world.lanes.wait_s(2.0) == 3.0, "the age is that of the first"
    world.now_s = 5.0
    assert [row.id for row in world.leave().rows] == [1, 2]
    world.hear(4)
    assert [row.id for row in world.leave().rows] == [3, 4, 5]
    assert world.leave() is None
    assert world.lanes.wait_s(5.0) == 5.0
    assert world.lanes.wait_s(-1000.0) == 5.0, "a clock that went back holds it no longer than its age"
    assert [row.id for row in world.leave(stopping=True).rows] == [6]


def test_without_an_age_whatever_gathered_leaves():
    world = World(Rules(batch=50, age_s=0, window=1))
    world.hear(1)
    assert len(world.leave().rows) == 1
    world.hear(3)
    world.hear(4)
    assert world.leave() is None
    world.answer()
    assert len(world.leave().rows) == 7


def test_a_row_of_many_readings_fills_a_batch():
    world = World(Rules(batch=10, age_s=0))
    world.hear(3, take=0b1111)
    world.hear(1, take=2**48 - 1)
    world.hear(1, take=0)
    assert [[row.id for row in batch.rows] for batch in iter(world.leave, None)] == [[1, 2], [3], [4], [5]]


def test_rows_without_a_date_wait_for_it():
    world = World(Rules(batch=2, age_s=0), [*old(3), Row(4, boot="b")])
    world.hear(2, boot="b", urgent={1})
    world.hear(2)
    world.all_leave()
    assert (world.ids(BACKLOG), world.ids(LIVE), world.ids(ALARM)) == ([1, 2, 3], [7, 8], [])
    world.disk |= {n: world.disk[n]._replace(boot=None) for n in (4, 5, 6)}
    world.lanes.again(world.newest)
    world.left.clear()
    world.all_leave()
    assert world.left == [(ALARM, [6]), (BACKLOG, [4, 5])]


def test_rows_that_are_backlog_already_are_no_news():
    """Stored before the connection, told after it."""
    world = World(Rules(batch=2), old(4))
    world.lanes.offer([*world.disk.values()], 0.0)
    world.hear(2)
    world.all_leave()
    assert (world.ids(BACKLOG), world.ids(LIVE)) == ([1, 2, 3, 4], [5, 6])


def test_strict_is_one_lane_behind_the_alarms():
    world = World(Rules(batch=4, window=3, strict=True), old(30, urgent={20}))
    world.hear(4, urgent={3})
    world.all_leave()
    assert world.ids(ALARM) == [20, 34]
    assert world.ids(STRICT) == [n for n in range(1, 34) if n != 20]
    assert not world.ids(LIVE, BACKLOG)


def test_a_flood_of_live_rows_waits_on_disk_in_its_order():
    world = World(Rules(batch=50, window=2))
    for _ in range(30):
        world.hear(500, urgent={7})
        assert world.lanes.held <= 2 * lanes.HOLD
        world.ask()
        if world.rules.window > len(world.flying):
            world.leave()
        world.bring()
    world.all_leave()
    assert world.ids(LIVE) == sorted(world.ids(LIVE))
    assert world.ids(ALARM) == sorted(world.ids(ALARM))
    assert sorted(world.ids(LIVE, ALARM)) == list(range(1, 15_001))


def test_too_many_pieces_and_nothing_overtakes_any_more(monkeypatch):
    monkeypatch.setattr(lanes, "SPANS", 40)
    monkeypatch.setattr(lanes, "HOLD", 40)
    n = 1000
    world = World(Rules(batch=10), old(n, urgent=set(range(5, n, 5))))
    for _ in range(60):
        world.ask()
        world.bring()
        while world.leave():
            pass
        world.answer()
        assert len(world.lanes.taken) <= 40 + 2 * lanes.HOLD, "bounded, whatever waits"
    assert world.ids(BACKLOG), "the backlog comes in its turn"
    world.hear(1, urgent={0})
    while world.flying:
        world.answer()
    assert world.leave() == (ALARM, [world.disk[n + 1]]), "new alarms overtake for ever"
    world.all_leave()
    assert sorted(world.ids(ALARM, BACKLOG)) == list(range(1, n + 2))


def test_in_a_backlog_of_pieces_alarms_come_in_their_turn(monkeypatch):
    monkeypatch.setattr(lanes, "SPANS", 40)
    world = World(Rules(batch=10), old(300, urgent={30, 250}), done=[(n, n) for n in range(100, 200, 2)])
    world.hear(1, urgent={0})
    world.all_leave()
    assert world.ids(ALARM) == [301], "new ones overtake"
    assert {30, 250} <= set(world.ids(BACKLOG))
    assert sorted(world.ids(ALARM, BACKLOG)) == [n for n in range(1, 302) if n not in range(100, 200, 2)]


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    batch=st.integers(1, 6),
    window=st.integers(1, 6),
    age_s=st.sampled_from([0, 1, 5]),
    strict=st.booleans(),
    hold=st.sampled_from([4, 12, 2000]),
)
def test_every_row_leaves_once_and_each_lane_in_order(seed, hold, **rules):
    rng = random.Random(seed)
    before = lanes.HOLD, lanes._GAPS
    lanes.HOLD, lanes._GAPS = hold, rng.choice([1, 2, 64])
    try:
        _lived(rng, World(Rules(**rules), *_past(rng)), hold)
    finally:
        lanes.HOLD, lanes._GAPS = before


def _past(rng):
    """Rows on disk, some deleted, some done."""
    rows = [Row(n, int(rng.random() < 0.1)) for n in range(1, rng.randrange(1, 120)) if rng.random() < 0.9]
    done = [(n, n) for n in range(1, 120) if n <= max((row.id for row in rows), default=0) and rng.random() < 0.3]
    return rows, done


def _lived(rng, world, hold):
    done_before = {n for first, last in world.done for n in range(first, last + 1)}
    for _ in range(rng.randrange(80)):
        what = rng.randrange(9)
        if what <= 1:
            world.hear(rng.randrange(1, 12), urgent={rng.randrange(30)}, take=rng.choice([1, 1, 1, 7, 0]))
        elif what == 2:
            world.now_s += rng.choice([0.0, 0.5, 3.0])
        elif what == 3:
            world.ask()
        elif what == 4:
            world.bring()
        elif what == 5 and world.flying:
            world.answer(rng.randrange(len(world.flying)))
        elif what == 6 and rng.random() < 0.1:
            world.connect()
        else:
            while world.leave():
                pass
        assert world.lanes.held <= 4 * max(hold, 4 * world.rules.batch), "bounded"
    world.all_leave()
    # Within one connection nothing twice, and each lane in its order.
    connection = []
    for lane, ids in [*world.left, ("connected", [])]:
        if lane != "connected":
            connection.append((lane, ids))
            continue
        everything = [n for _, ids in connection for n in ids]
        assert len(set(everything)) == len(everything)
        for name in (ALARM, LIVE, BACKLOG, STRICT):
            mine = [n for lane, ids in connection if lane == name for n in ids]
            assert mine == sorted(mine), name
        connection = []
    left = set(world.ids(ALARM, LIVE, BACKLOG, STRICT))
    assert left | done_before >= dated(world)
    assert not left & done_before
    assert all(n in world.done for n in dated(world))
    assert set(world.ids(ALARM)) == {n for n in left if world.disk[n].urgent}


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_to_do(n):
    world = World(Rules(), old(n), [(1, 1)] if n else ())
    assert world.lanes.want() is None
    assert world.lanes.idle
    assert world.leave() is None

"""What each upstream has, against a ledger of plain sets, through deaths at every moment of a mark and of a fold."""

import asyncio
import random
import sqlite3

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import HostError
from gateway.store import Group, Store
from gateway.uplink import OPAQUE, PLAIN, REPEAT, Row
from gateway.upstream import account as accounts
from gateway.upstream.account import everywhere, intervals, spans, tally
from gateway.upstream.cursor import Intervals, Upstream
from gateway.upstream.ledger import Ledger

UPSTREAMS = [Upstream("senml", False), Upstream("frames", True)]


def group(rng, n):
    """Rows without id: plain ones of one or of several readings, opaque ones, repeats of an old store."""
    rows = []
    for _ in range(n):
        kind = rng.choice([PLAIN, PLAIN, PLAIN, OPAQUE, REPEAT])
        take = {OPAQUE: 0, REPEAT: 1}.get(kind, rng.choice([1, 1, 0b1011, 0]))
        tag = None if kind == REPEAT else b"12345678"
        kid = rng.choice([b"\0\1", b"\0\2"])
        rows.append((kid, 7, kind, take, 0, 1_800_000_000_000, 0, None, None, None, "bridge", None, b"\xa0", tag, None))
    return Group(rows=rows)


class World:
    """A store with its ledger, and what should be in it."""

    def __init__(self, path, rng):
        self.path = path
        self.rng = rng
        self.die_at = None
        self.rows = {}
        self.want = {u.name: {"done": set(), "handed": set(), "counts": {}, "batch": 0} for u in UPSTREAMS}
        self.open()

    def open(self):
        self.store = Store(self.path, point=self.point)
        try:
            self.ledger = Ledger(self.store, UPSTREAMS)
        except MemoryError:  # death while it opens
            self.die()

    def point(self, name):
        if name == self.die_at:
            self.die_at = None
            raise MemoryError(name)  # no error that anybody handles

    def die(self):
        """As kill -9: nothing is closed in order, files stay as they are."""
        self.store._db.close()
        self.store._reader.close()
        self.open()

    def hear(self, n):
        made = group(self.rng, n)
        ids = self.store.write(made)
        for number, row in zip(ids, made.rows, strict=True):
            self.rows[number] = Row(number, *row)

    def fold(self, die_at=None):
        self.die_at = die_at

        async def run(work, *args):
            return work(*args)

        try:
            asyncio.run(self.ledger.fold(run))
        except MemoryError:
            self.die()

    def hand(self, name, batches):
        account, want = self.ledger.accounts[name], self.want[name]
        again = self.ledger.hand(account, [[self.rows[n] for n in batch] for batch in batches])
        want["batch"] += len(batches)
        for batch, n in zip(batches, again, strict=True):
            old = [self.rows[i] for i in batch if i in want["handed"]]
            assert n == sum(row.take.bit_count() for row in old)
            self.count(name, old, 2)
        want["handed"] |= {n for batch in batches for n in batch}

    def finish(self, name, ids):
        rows = [self.rows[n] for n in ids]
        account = self.ledger.accounts[name]
        self.ledger.finish(account, list(spans(rows)), tally(account, rows))
        self.count(name, rows, 0)
        self.want[name]["done"] |= set(ids)

    def count(self, name, rows, at):
        counts = self.want[name]["counts"]
        for row in rows:
            entry = counts.setdefault(row.kid, [0, 0, 0, 0])
            entry[at] += row.tag is not None and (name == "frames" or row.kind != OPAQUE)
            entry[at + 1] += row.take.bit_count()

    def check(self):
        """As the daemon has it, and as another process reads it."""
        db = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)
        seen = accounts.load(self.path, lambda query, values=(): db.execute(query, values).fetchall())
        assert seen.whole
        for found in (self.ledger.accounts, seen.accounts):
            for name, want in self.want.items():
                account = found[name]
                assert ids(account.done) == want["done"]
                assert ids(account.handed) == want["handed"]
                assert account.batch == want["batch"]
                table = db.execute("SELECT * FROM delivery WHERE upstream = ?", (name,))
                counts = {kid: numbers for _, kid, *numbers in table}
                accounts.add(counts, account.counts)
                assert {kid: n for kid, n in counts.items() if any(n)} == {k: n for k, n in want["counts"].items() if any(n)}
        db.close()


def ids(spans):
    return {n for first, last in spans for n in range(first, last + 1)}


def lived(world, rng, steps):
    waiting = {u.name: [] for u in UPSTREAMS}
    for _ in range(steps):
        name = rng.choice(UPSTREAMS).name
        what = rng.randrange(8)
        if what == 0 or not world.rows:
            world.hear(rng.randrange(1, 8))
        elif what <= 3:
            free = sorted(set(world.rows) - world.want[name]["done"] - {n for batch in waiting[name] for n in batch})
            batches = []
            while free and len(batches) < 3:
                batches.append(sorted(rng.sample(free, min(len(free), rng.randrange(1, 5)))))
                free = [n for n in free if n not in batches[-1]]
            if batches:
                world.hand(name, batches)
                waiting[name] += batches
        elif what <= 5 and waiting[name]:
            world.finish(name, waiting[name].pop(rng.randrange(len(waiting[name]))))
        elif what == 6:
            world.fold(rng.choice([None, None, "marked", "marked-done"]))
        elif what == 7 and rng.random() < 0.5:
            world.die()
            waiting = {u.name: [] for u in UPSTREAMS}
        world.check()


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_the_accounts_are_exact_through_any_life(tmp_path_factory, seed):
    rng = random.Random(seed)
    lived(World(tmp_path_factory.mktemp("ledger") / "store.db", rng), rng, 40)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path / "store.db", random.Random(5))


def test_a_death_between_the_tables_and_the_files_counts_nothing_twice(world):
    world.hear(10)
    world.hand("senml", [[1, 2, 3], [4, 5]])
    world.finish("senml", [1, 2, 3])
    for moment in ("marked", "marked-done"):
        world.fold(moment)
        world.check()
        world.hand("senml", [[4, 5]])
        world.check()
    assert len(accounts.files(world.path)) == 1


def test_only_what_the_tables_know_may_be_deleted(world):
    world.hear(10)
    for name in ("senml", "frames"):
        world.hand(name, [[1, 2, 3, 5]])
    world.finish("senml", [1, 2, 3, 5])
    world.finish("frames", [2, 3, 5])
    assert everywhere(world.ledger.accounts.values()) == []
    world.fold()
    assert everywhere(world.ledger.accounts.values()) == [(2, 3), (5, 5)]
    assert everywhere([]) == [(1, 2**63 - 1)]


@pytest.mark.produces("disk_full")
def test_a_full_disk_changes_nothing_and_is_tried_again(world, monkeypatch):
    world.hear(4)
    world.hand("senml", [[1, 2]])

    async def full(work, *args):
        raise HostError("disk_full", "no room")

    with pytest.raises(HostError):
        asyncio.run(world.ledger.fold(full))
    world.finish("senml", [1, 2])  # goes to the next file
    world.check()
    world.die()
    world.check()
    world.hand("senml", [[3, 4]])
    with pytest.raises(HostError):
        asyncio.run(world.ledger.fold(full))
    world.fold()
    world.check()
    monkeypatch.setattr(world.ledger._marks, "write", lambda marks: full_disk())
    world.hand("senml", [[3, 4]])  # what cannot be noted leaves all the same: a death may make it repeat, a fold knows it
    world.finish("senml", [3, 4])
    world.fold()
    world.die()
    world.check()


def full_disk():
    raise HostError("disk_full", "no room")


def test_marks_beyond_the_rows_of_the_store_are_not_believed(world, tmp_path):
    """A store put back from a copy, beside the marks of a later day: its next rows have ids that were done once."""
    world.hear(5)
    world.fold()
    world.store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    copy = world.path.read_bytes()
    world.hear(5)
    world.hand("senml", [list(range(1, 11))])
    world.finish("senml", list(range(1, 11)))
    world.store.close()
    world.path.write_bytes(copy)
    world.open()
    assert ids(world.ledger.accounts["senml"].done) == set(range(1, 6))
    assert ids(world.ledger.accounts["senml"].handed) == set(range(1, 6))


def test_ids_that_the_store_lost_are_not_done(world):
    """They will be given anew."""
    world.hear(10)
    world.hand("senml", [list(range(1, 11))])
    world.finish("senml", list(range(1, 11)))
    world.fold()
    world.store.within(lambda db: db.execute("DELETE FROM uplink WHERE id > 5"), "test")
    world.die()
    assert ids(world.ledger.accounts["senml"].done) == ids(world.ledger.accounts["senml"].handed) == set(range(1, 6))


@pytest.mark.produces("bad_store")
def test_a_damaged_set_is_named(world):
    world.store.within(lambda db: db.execute("UPDATE upstream SET done = x'8301'"), "test")
    with pytest.raises(HostError) as caught:
        Ledger(world.store, UPSTREAMS)
    assert caught.value.name == "bad_store"


def test_a_new_upstream_knows_what_was_deleted_before_it_came(world):
    world.hear(20)
    frames = sum(row.tag is not None for row in world.rows.values())
    readings = sum(row.take.bit_count() for row in world.rows.values())
    world.store.within(lambda db: db.execute("DELETE FROM uplink WHERE id <= 8"), "test")
    gone = [row for number, row in world.rows.items() if number <= 8]
    ledger = Ledger(world.store, [*UPSTREAMS, Upstream("late", True)], (frames, readings))
    found = world.store.read("SELECT cause, frames, readings FROM dropped WHERE upstream = 'late'")
    assert found == [("before", sum(row.tag is not None for row in gone), sum(row.take.bit_count() for row in gone))]
    Ledger(world.store, [*UPSTREAMS, Upstream("late", True)], (frames, readings))
    assert world.store.read("SELECT cause, frames, readings FROM dropped WHERE upstream = 'late'") == found, "said once"
    assert set(ledger.accounts) == {"senml", "frames", "late"}


def test_an_upstream_that_is_taken_away_keeps_its_account(world):
    world.hear(6)
    world.hand("frames", [[1, 2, 3]])
    world.finish("frames", [1, 2, 3])
    world.ledger = Ledger(world.store, UPSTREAMS[:1])
    world.check()
    world.hand("senml", [[1]])
    world.check()
    world.ledger = Ledger(world.store, UPSTREAMS)
    world.check()


def test_ids_in_any_order(world):
    world.hear(6)
    assert intervals(world.rows[n] for n in (3, 1, 2, 6)) == Intervals([(1, 3), (6, 6)])
    assert list(spans([world.rows[n] for n in (1, 2, 4)])) == [(1, 2), (4, 4)]


def test_a_key_that_is_not_held_any_more_is_a_drop(world):
    world.hear(4)
    account = world.ledger.accounts["frames"]
    world.ledger.drop(account, [world.rows[1], world.rows[2]])
    want = [account.counted(world.rows[1]) + account.counted(world.rows[2]), sum(world.rows[n].take.bit_count() for n in (1, 2))]
    assert account.dropped == {"key": want}
    world.die()
    assert ids(world.ledger.accounts["frames"].done) == {1, 2}
    found = world.store.read("SELECT upstream, cause, frames, readings FROM dropped")
    assert found == [("frames", "key", *want)]

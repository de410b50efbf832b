"""The store and its books: all or nothing, old and wrong files, room, and what another process reads."""

import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import gatedesk as desk
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule
from test_receive import Bench

from gateway import fold
from gateway.books import Books
from gateway.errors import HostError
from gateway.migrate import SCHEMA
from gateway.store import Group, Store
from gateway.uplink import FILLS, PLAIN, REPEAT

EVER = 2**63 - 1


def _row(piv, ms=1000, kid=b"\0\1"):
    return (kid, piv, PLAIN, 1, 0, ms, 0, None, -100, 20, "bridge", piv, b"\xa1\x03\x05" * 20, b"tag %04d" % (piv % 9999), None)


def _fill(store, pivs, ms=1000):
    store.write(Group(rows=[_row(piv, ms) for piv in pivs], folded=True))


def _named(name):
    return pytest.raises(HostError, match=f"^{name}: ")


def test_the_file_is_ours_alone_and_synced(tmp_path):
    store = Store(tmp_path / "store.db")
    assert (tmp_path / "store.db").stat().st_mode & 0o777 == 0o600
    pragma = {name: store._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "user_version")}
    assert pragma == {"journal_mode": "wal", "synchronous": 2, "user_version": len(list(SCHEMA.glob("*.sql")))}


@pytest.mark.produces("bad_store", "newer_store")
@pytest.mark.parametrize("content", [b"this is no database" * 100, None])
def test_a_store_that_is_none_or_from_the_future(tmp_path, content):
    path = tmp_path / "store.db"
    if content:
        path.write_bytes(content)
    else:
        Store(path)._db.execute("PRAGMA user_version = 99")
    with _named("bad_store" if content else "newer_store"):
        Store(path)


@pytest.mark.produces("bad_store")
def test_a_store_damaged_while_it_is_open(tmp_path):
    path = tmp_path / "store.db"
    store = Store(path)
    _fill(store, range(1, 3000))
    store.shrink_log()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(random.Random(1).randbytes(path.stat().st_size - 8192))
    with _named("bad_store"):
        for after in range(0, 3000, 50):
            store.rows(after, EVER, 50)


@pytest.mark.produces("disk_error")
def test_a_folder_that_is_not_there(tmp_path):
    with _named("disk_error"):
        Store(tmp_path / "none" / "store.db")


@pytest.mark.produces("disk_error")
def test_a_store_that_another_program_holds(tmp_path):
    """What is neither full nor damaged may pass: nothing is written, and later it is."""
    store = Store(tmp_path / "store.db")
    store._db.execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with _named("disk_error"):
        _fill(store, [1])
    other.execute("ROLLBACK")
    _fill(store, [1])
    assert [row.piv for row in store.rows(0, EVER, 9)] == [1]


@pytest.mark.produces("disk_full")
def test_a_full_store_can_still_be_emptied(tmp_path):
    """With no page left for readings, what was acknowledged is marked and deleted, and then there is room again."""
    store = Store(tmp_path / "store.db", max_mb=0.25)
    n = 0
    with _named("disk_full"):
        while True:
            _fill(store, range(n + 1, n + 101))
            n += 100
    assert len(store.rows(0, EVER, 10_000)) == n
    kids = [(i.to_bytes(2, "big"),) for i in range(300)]
    store.within(lambda db: db.executemany("INSERT INTO delivery VALUES ('senml', ?, 1, 1, 0, 0)", kids), "marked")
    assert store.prune([(1, n)], None, limit=n) == n - 1
    _fill(store, range(n + 1, n + 101))
    assert (tmp_path / "store.db").stat().st_size < 0.55e6


def test_ids_never_come_back(tmp_path):
    """Whatever is pruned, a new reading stands behind every cursor."""
    store = Store(tmp_path / "store.db")
    _fill(store, [1, 2, 3])
    assert store.prune([(1, 3)], None) == 2
    assert store.prune([(1, 3)], None) == 0
    store.close()
    store = Store(tmp_path / "store.db")
    _fill(store, [4])
    assert [(row.id, row.piv) for row in store.rows(3, EVER, 9)] == [(4, 4)]


def test_only_what_is_acknowledged_and_old_is_pruned(tmp_path):
    store = Store(tmp_path / "store.db")
    _fill(store, range(1, 6), ms=1000)
    _fill(store, range(6, 11), ms=5000)
    assert store.prune([(1, 7)], 3000) == 5
    assert store.prune([(1, 7)], 9000, limit=1) == 1
    assert [row.piv for row in store.rows(0, EVER, 99)] == [7, 8, 9, 10]


def test_the_counts_of_two_upstreams(tmp_path):
    store = Store(tmp_path / "store.db")
    store.write(Group(counts={"auth": 2}))
    store.write(Group(counts={"auth": 1, "kid": 1}))
    store._db.execute("INSERT INTO context VALUES (x'0001', x'00', x'', 1, 2, 3, 4, 0)")
    store._db.execute("INSERT INTO delivery VALUES ('senml', x'0001', 3, 4, 2, 3)")
    books = Books(tmp_path / "store.db")
    assert books.counters() == {"auth": 3, "kid": 1}
    assert books.counts() == {"0001": (3, 1, 2, 3, 4, 3, 4, 2, 3)}
    assert books.counts("frames") == {"0001": (3, 1, 2, 3, 4, 0, 0, 0, 0)}
    assert books.backlog() == 0
    books.close()


def test_the_books_of_a_daemon_that_was_killed(tmp_path):
    """Committed rows lie in the write-ahead log, and nobody has closed it."""
    code = (
        "import os, signal, sys; from pathlib import Path; from gateway.store import Store, Group\n"
        "store = Store(Path(sys.argv[1])); store.write(Group(counts={'auth': 7})); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "store.db")], check=False)
    assert done.returncode == -9
    assert (tmp_path / "store.db-wal").stat().st_size > 0
    books = Books(tmp_path / "store.db")
    assert books.counters() == {"auth": 7}
    assert books.waiting() == 0
    books.close()


def test_a_transaction_that_ends_in_the_middle_leaves_nothing(tmp_path):
    def point(name):
        if name == "heard":
            raise KeyboardInterrupt

    store = Store(tmp_path / "store.db", point=point)
    with pytest.raises(KeyboardInterrupt):
        _fill(store, [1])
    assert store.rows(0, EVER, 9) == []
    assert not store._db.in_transaction


def _no_room(name):
    if name == "heard":
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error


class Town(RuleBasedStateMachine):
    """Boards send, the air loses, repeats and reorders, the daemon dies and its store fails: the books must stay exact."""

    frames = Bundle("frames")

    @initialize()
    def begin(self):
        self.folder = desk.fresh_folder()
        self.bench = Bench(self.folder)
        self.bench.hello()
        self.piv = {1: 0, 2: 0}
        self.accepted = {}  # (n, piv) -> frame that was stored
        self.duplicates = {1: 0, 2: 0}
        self.readings = {}  # (n, piv) -> kind it has now

    def teardown(self):
        if hasattr(self, "bench"):
            self.bench.store.close()
            desk.drop_folder(self.folder)

    @rule(target=frames, n=st.sampled_from([1, 2]), count=st.integers(1, 3), repeats=st.integers(0, 2))
    def seal(self, n, count, repeats):
        """A board seals frames; each repeats its last readings, as far as it has any."""
        made = []
        for _ in range(count):
            self.piv[n] += 1
            r = min(repeats, self.piv[n] - 1)
            payload = {3: [(self.piv[n] - r) % 50, *[1] * r], -8: 60, -9: r} if r else {3: self.piv[n] % 50}
            made.append((n, self.piv[n], r, desk.frame(n, self.piv[n], payload)))
        return multiple(*made)

    @rule(sealed=st.lists(consumes(frames), min_size=1, max_size=4), twice=st.booleans(), fails=st.booleans())
    def hear(self, sealed, twice, fails):
        """Some of them are heard, in any order, perhaps twice, perhaps by a store that fails the first time."""
        group = [frame for *_, frame in sealed] * (2 if twice else 1)
        if fails:
            before = self.bench.books
            self.bench.store._point = _no_room
            with _named("disk_full"):
                self.bench.take(*group)
            self.bench.store._point = lambda _: None
            assert self.bench.books == before
            self.bench.again()
        else:
            self.bench.take(*group)
        for n, piv, r, _ in sealed:
            self.model(n, piv, r)
        if twice:
            for n, *_ in sealed:
                self.duplicates[n] += 1

    def model(self, n, piv, r):
        """What PROTOCOL says, over sets instead of windows."""
        highest = max((p for m, p in self.accepted if m == n), default=0)
        highest = max(highest, piv)
        self.accepted[n, piv] = True
        for back in range(1, r + 1):
            if (n, piv - back) not in self.readings and piv - back > highest - 64:
                self.readings[n, piv - back] = REPEAT
        self.readings[n, piv] = FILLS if self.readings.get((n, piv)) == REPEAT else PLAIN

    @rule()
    def restart(self):
        self.bench.open()
        self.bench.hello(self.bench.seq)

    @invariant()
    def books_are_exact(self):
        if not hasattr(self, "bench"):
            return
        counts, counters = self.bench.books
        assert set(counters) <= {"line_resent"}
        for n in (1, 2):
            stored = sum(m == n for m, _ in self.accepted)
            kinds = [kind for (m, _), kind in self.readings.items() if m == n]
            repeats = kinds.count(REPEAT)
            want = (stored + self.duplicates[n], self.duplicates[n], stored, len(kinds) - repeats, repeats)
            assert counts.get(f"{n:04x}", (0,) * 5)[:5] == want
        rows = [(row.kid[1], entry.piv, entry.kind) for row in self.bench.rows() for entry in fold.entries(row)]
        assert len(rows) == len(set(rows)), "a row came twice"
        kept = {(n, piv): kind for n, piv, kind in sorted(rows, key=lambda row: row[2] == FILLS)}
        assert kept == self.readings


TestTown = Town.TestCase
TestTown.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)


REAL_DISK = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_store import EVER, HostError, Store, _fill
folder = Path(sys.argv[2])
filler = folder / "filler"
filler.write_bytes(bytes(400_000))
store = Store(folder / "store.db")
n = 0
try:
    while n < 1e6:
        _fill(store, range(n + 1, n + 101))
        n += 100
except HostError as error:
    print(error.name, len(store.rows(0, EVER, 10**6)) == n > 0)
store.shrink_log()
try:
    while n < 1e6:
        _fill(store, range(n + 1, n + 101))
        n += 100
except HostError as error:
    print(error.name, len(store.rows(0, EVER, 10**6)) == n)
filler.unlink()
_fill(store, range(n + 1, n + 101))
store.close()
print(len(Store(folder / "store.db").rows(0, EVER, 10**6)) == n + 100)
"""


@pytest.mark.produces("disk_full")
def test_a_disk_that_is_really_full(tmp_path):
    """A file system of 1 MB in a user namespace: named, nothing half written, and on it goes when there is room."""
    inside = 'mount -t tmpfs -o size=1m t "$3" && exec "$0" -c "$1" "$2" "$3"'
    command = ["unshare", "-rm", "sh", "-c", inside, sys.executable, REAL_DISK, str(Path(__file__).parent), str(tmp_path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except FileNotFoundError:
        pytest.skip("no `unshare` on this machine: no small file system can be made without root")
    if "mount" in done.stderr or "unshare" in done.stderr:
        pytest.skip(f"no small file system can be made here: {done.stderr.strip()}")
    assert done.stdout.split("\n") == ["disk_full True", "disk_full True", "True", ""], done.stderr

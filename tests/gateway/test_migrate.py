"""A store of version 2 becomes one of version 3: what was sent, what was counted and what waits stay exactly that."""

import sqlite3

import cbor2
import pytest
from gatedesk import frame, keys

from firmware.wire.host.window import Window
from gateway import fold
from gateway.books import Books
from gateway.errors import HostError
from gateway.fold import Kid
from gateway.ingress.source import Source
from gateway.migrate import SCHEMA, newest
from gateway.receive import Receiver
from gateway.store import Store
from gateway.uplink import FILLS, OPAQUE, PLAIN, REPEAT
from gateway.upstream import frames, senml
from gateway.upstream.cursor import Intervals

MS = 1_790_000_000_000
BATCH, LATE, ODD = frame(1, 3, {1: 3700, 3: [40, 1], -8: 900, -9: 1}), frame(1, 2, {3: 40, 19: 1}), frame(2, 1, b"\x00")
# kid, piv, entry, kind (0 direct, 1 repeat, 2 fills, 3 opaque), unix_ms, heard_ms, rssi_dbm, snr_x4, channel, payload, frame
READINGS = [
    (b"\0\1", 1, 0, 0, MS, MS + 200, -101, 22, "bridge", cbor2.dumps({3: 39}), frame(1, 1, {3: 39})),
    (b"\0\1", 2, 0, 1, MS + 1000, MS + 2200, None, None, "bridge", cbor2.dumps({3: 40}), None),
    (b"\0\1", 3, 0, 0, MS + 2000, MS + 2200, -101, 22, "bridge", cbor2.dumps({1: 3700, 3: 41}), BATCH),
    (b"\0\1", 2, 0, 2, MS + 1000, MS + 2300, -90, 20, "bin-3", cbor2.dumps({3: 40, 19: 1}), LATE),
    (b"\0\2", 1, 0, 3, MS + 3000, MS + 3000, -99, 21, "bridge", None, ODD),
]
UNDATED = [
    ("boot-1", b"\0\1", 4, 1, 0, 5000, 5200, -101, 22, "bridge", cbor2.dumps({3: 42}), None),
    ("boot-1", b"\0\1", 4, 0, 0, 5100, 5200, -101, 22, "spare", cbor2.dumps({3: 43}), frame(1, 4, {3: [42, 1], -8: 1})),
]


@pytest.fixture
def old(tmp_path):
    """A daemon of version 2 stopped here; ids begin at 11, for others were pruned."""
    window = Window()
    for piv in (1, 3, 2, 4):
        window.accept(piv, bytes((piv,)) * 8)
    db = sqlite3.connect(tmp_path / "store.db")
    for number in (1, 2):
        db.executescript((SCHEMA / f"{number:03d}.sql").read_text())
    db.executemany("INSERT INTO reading VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", [(n, *row) for n, row in enumerate(READINGS, 11)])
    db.executemany("INSERT INTO undated VALUES (NULL,?,?,?,?,?,?,?,?,?,?,?,?)", UNDATED)
    db.execute("INSERT INTO context VALUES (x'0001', ?, x'', 2, 4, 5, 0)", (window.pack(),))
    db.execute("INSERT INTO link VALUES ('bridge', x'000000070001020304050607')")
    db.execute("INSERT INTO upstream VALUES ('senml', 14, 12, 40), ('frames', 0, 0, 0)")
    db.execute("INSERT INTO delivery VALUES ('senml', x'0001', 1, 2, 3, 4)")
    db.execute("INSERT INTO counter VALUES ('auth', 7)")
    db.execute("PRAGMA user_version = 2")
    db.commit()
    db.close()
    return tmp_path / "store.db"


def test_what_is_sent_counted_and_waiting(old):
    store = Store(old)
    assert store.read("PRAGMA user_version") == [(newest(),)]
    assert store.read("SELECT name FROM sqlite_master WHERE name IN ('reading', 'undated', 'upstream_2')") == []
    found = {name: (Intervals.unpack(done), Intervals.unpack(handed), batch) for name, done, handed, batch, _ in store.read(
        "SELECT * FROM upstream")}  # fmt: skip
    assert found == {
        "senml": (Intervals([(1, 12)]), Intervals([(1, 14)]), 40),
        "frames": (Intervals(), Intervals(), 0),
    }
    assert [(row.id, row.piv, row.kind, row.readings, row.urgent) for row in store.rows(12, 99, 9)] == [
        (13, 3, PLAIN, 1, 0), (14, 2, FILLS, 0, 1), (15, 1, OPAQUE, 0, 0)
    ]  # fmt: skip
    books = Books(old)
    assert books.counts() == {"0001": (6, 2, 4, 5, 0, 1, 2, 3, 4)}
    assert (books.counters(), books.backlog(), books.backlog("frames"), books.waiting()) == ({"auth": 7}, 3, 5, 2)
    books.close()


def test_what_goes_upstream_is_the_same(old):
    rows = Store(old).rows(0, 99, 9)
    entries = [(entry, row) for row in rows for entry in fold.entries(row)]
    said = [(one.piv, *one[2:], row.rssi_dbm if one.kind != REPEAT else None) for one, row in entries]
    assert said == [
        (1, PLAIN, MS, {3: 39}, -101),
        (2, REPEAT, MS + 1000, {3: 40}, None),
        (3, PLAIN, MS + 2000, {1: 3700, 3: 41}, -101),
        (2, FILLS, MS + 1000, {3: 40, 19: 1}, -90),
    ]
    assert senml.pack(rows, lambda kid: "x_").count(b"frame") == 4
    whole = [(row, fold.frame(row, None)) for row in rows]
    assert [(f[0], f[1], f[4]) for f in cbor2.loads(frames.pack(whole, "poste", 1))[3]] == [
        (row[5], row[10], row[8]) for row in READINGS if row[10]
    ]


def test_what_had_no_date_gets_one(old):
    store = Store(old)
    assert store.undated("boot-1") == 2
    assert store.rows(15, 99, 9) == []
    assert store.date("boot-1", MS) == 2
    assert [(row.id, row.unix_ms, row.heard_ms, row.channel) for row in store.rows(15, 99, 9)] == [
        (16, MS + 5000, MS + 5200, "bridge"),
        (17, MS + 5100, MS + 5200, "spare"),
    ]


def test_windows_and_numbers_go_on(old):
    store = Store(old)
    kid, source = Kid(keys(1), "bin-1"), Source("bridge")
    Receiver(store, [kid], [source], "boot-2")
    assert (kid.window.highest, kid.window.bitmap, kid.stored, kid.direct) == (4, 0b1111, 4, 5)
    assert source.numbering.seen == {7: bytes(range(8))}
    assert store.folded == store.last == 17


def test_an_empty_one_too(tmp_path):
    db = sqlite3.connect(tmp_path / "store.db")
    db.executescript((SCHEMA / "001.sql").read_text())
    db.execute("PRAGMA user_version = 1")
    db.close()
    store = Store(tmp_path / "store.db")
    assert (store.last, store.folded) == (0, 0)


def test_a_migration_that_fails_has_not_begun(old, monkeypatch):
    monkeypatch.setattr("gateway.migrate.up_to", lambda last: None)
    with pytest.raises(HostError, match="disk_error"):
        Store(old)
    monkeypatch.undo()
    assert Store(old).last == 17

"""Stores of earlier versions, made by the code of their time (old/README.md): nothing of them is lost, nothing is new."""

import gzip
import sqlite3
from pathlib import Path

import cbor2
import gatedesk as desk
import pytest
from test_receive import UNIX_S

from firmware.wire import link
from firmware.wire.host.window import Window
from gateway import fold, migrate
from gateway.books import Books
from gateway.commands import Queue
from gateway.downlink import Controller
from gateway.errors import HostError
from gateway.fold import Kid
from gateway.ingress.source import Source
from gateway.receive import Receiver
from gateway.store import Store
from gateway.uplink import FILLS, OPAQUE, PLAIN, REPEAT
from gateway.upstream import cursor
from gateway.upstream.ledger import Ledger

OLD = Path(__file__).parent / "old"
KINDS = {0: PLAIN, 1: REPEAT, 2: FILLS, 3: OPAQUE}


@pytest.fixture(params=[1, 2])
def old(request, tmp_path):
    """(version, path of a copy, what the file itself says)."""
    path = tmp_path / "store.db"
    path.write_bytes(gzip.decompress((OLD / f"v{request.param}.db.gz").read_bytes()))
    db = sqlite3.connect(path)
    names = [row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")]
    said = {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in names}
    assert db.execute("PRAGMA user_version").fetchone()[0] == request.param
    db.close()
    return request.param, path, said


def test_every_reading_is_there_as_it_was(old):
    _, path, said = old
    store = Store(path)
    assert store.read("PRAGMA user_version") == [(migrate.newest(),)]
    got = []
    for row in store.rows(0, 2**63 - 1, 10_000):
        how = (row.heard_ms, row.rssi_dbm, row.snr_x4, row.channel)
        if row.kind == OPAQUE:
            got.append((row.id, row.kid, row.piv, OPAQUE, row.unix_ms, how, None))
        got += [(row.id, row.kid, e.piv, e.kind, e.unix_ms, how, e.values) for e in fold.entries(row)]
    want = [
        (id_, kid, piv, KINDS[kind], ms, tuple(how), None if payload is None else cbor2.loads(payload))
        for id_, kid, piv, _, kind, ms, *how, payload, _ in said["reading"]
    ]
    assert got == want
    frames = {(kid, piv): frame for _, kid, piv, *_, frame in said["reading"] if frame}
    made = {(row.kid, row.piv): fold.frame(row, desk.keys(row.kid[1])) for row in store.rows(0, 2**63 - 1, 10_000) if row.tag}
    assert {name: frame for name, frame in made.items() if frame} == frames
    store.close()


def test_what_waits_for_its_date_gets_it(old):
    _, path, said = old
    store = Store(path)
    last = max(row[0] for row in said["reading"])
    assert store.rows(last, 2**63 - 1, 100) == []
    mine = [row for row in said["undated"] if row[1] == "boot-1"]
    assert 0 < len(mine) < len(said["undated"])
    assert store.date("boot-1", 7_000_000) == len(mine)
    rows = store.rows(last, 2**63 - 1, 100)
    assert [(row.kid, row.piv, row.unix_ms, row.heard_ms) for row in rows] == [
        (kid, piv, ms + 7_000_000, heard + 7_000_000) for _, _, kid, piv, _, _, ms, heard, *_ in mine
    ]
    assert store.undated("boot-0") == len(said["undated"]) - len(mine)
    store.close()


def test_windows_counts_and_books_go_on(old):
    _, path, said = old
    store = Store(path)
    kids = [Kid(desk.keys(n), f"bin-{n}") for n in (1, 2)]
    receiver = Receiver(store, kids, [Source("bridge")], "boot-1")
    for kid, window, recovered, *numbers in said["context"]:
        if kid in receiver.kids:
            now, before = receiver.kids[kid], Window.unpack(window)
            assert (now.window.highest, now.window.bitmap, now.window.tags) == (before.highest, before.bitmap, before.tags)
            assert (now.duplicates, now.stored, now.direct, now.repeats) == tuple(numbers)
            assert now.row[2] == recovered
    ledger = Ledger(store, [cursor.Upstream("senml", False), cursor.Upstream("frames", True)])
    for name, handed, acked, batch in said["upstream"]:
        account = ledger.accounts[name]
        assert (account.done.last, account.handed.last, account.batch) == (acked, handed, batch)
    ledger.close()
    books = Books(path)
    counters = dict(said["counter"])
    assert {name: n for name, n in books.counters().items() if name in counters} == counters
    for upstream in ("senml", "frames"):
        sent = {kid.hex(): tuple(numbers) for name, kid, *numbers in said["delivery"] if name == upstream}
        assert {kid: n[5:] for kid, n in books.counts(upstream).items() if kid in sent} == sent
    books.close()
    store.close()


def test_a_frame_of_then_is_a_duplicate_now(old):
    _, path, said = old
    store = Store(path)
    receiver = Receiver(store, [Kid(desk.keys(n), f"bin-{n}") for n in (1, 2)], [Source("bridge")], "boot-1")
    source = receiver._sources[0]
    frame = desk.frame(2, 59, {2: 159})
    assert any(row[-1] == frame for row in said["reading"])
    items = [(source, 1.0, proto, body) for data in (link.hello("1", "u", [], 0, 0, 0), link.heard(1, frame, -90, 10, 0))
             for proto, body in source.feed(data)]  # fmt: skip
    receiver.judge(items, UNIX_S, 1.0)
    taken = receiver.commit(receiver.seal(), UNIX_S, 1.0)
    assert taken.stored == 0
    before = next(row[3] for row in said["context"] if row[0] == b"\0\2")
    assert receiver.kids[b"\0\2"].duplicates == before + 1
    store.close()


def test_commands_and_answers_of_a_controller(tmp_path, old):
    version, path, said = old
    store = Store(path)
    if version < 2:
        assert store.read("SELECT count(*) FROM command") == store.read("SELECT count(*) FROM downlink") == [(0,)]
        store.close()
        return
    assert store.read("SELECT * FROM command") == said["command"]
    assert {row[4] for row in said["command"]} == {"done", "sent", "waiting"}
    assert store.read("SELECT * FROM downlink") == said["downlink"]
    generation = said["controller"][0][1]
    beside = tmp_path / "store.db.answers"
    beside.write_text(f'{{"generation": {generation}, "kids": ["0001"]}}')
    controller = Controller(store, beside, [Kid(desk.keys(n), f"bin-{n}") for n in (1, 2, 3)])
    assert controller.restored == ""
    assert controller.unsafe == {b"\0\3"}
    queue = Queue(path)
    assert [command.state for command in queue.newest()] == [row[4] for row in said["command"]]
    queue.close()
    store.close()


@pytest.mark.produces("newer_store")
def test_a_store_of_a_newer_version_is_refused_and_stays_as_it_is(tmp_path):
    path = tmp_path / "store.db"
    Store(path).close()
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {migrate.newest() + 1}")
    db.close()
    before = path.read_bytes()
    with pytest.raises(HostError, match=r"^newer_store: .*\n.*\n  next:  install the newer version again"):
        Store(path)
    assert path.read_bytes() == before

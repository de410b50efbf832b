"""A damaged store is made anew: every whole record, nothing invented, nothing twice, windows that let nothing through again."""

import asyncio
import contextlib
import random
import sqlite3

import gatedesk as desk
import pytest
from controldesk import Desk
from test_receive import MONO_S, UNIX_S, Bench

from gateway import heal, windows
from gateway.books import Books
from gateway.downlink import Controller
from gateway.errors import HostError
from gateway.fold import Kid
from gateway.ingress.source import Source
from gateway.receive import Receiver
from gateway.store import Store
from gateway.upstream import cursor
from gateway.upstream.account import tally
from gateway.upstream.ledger import Ledger

PAGE = 4096
KEYS = {n.to_bytes(2, "big"): desk.keys(n) for n in (1, 2)}


class Town:
    """A store with readings of two boards, of which an upstream has the first ones; the files as they were at a moment."""

    def __init__(self, folder, frames=900, sent=880, log=True):
        self.bench = Bench(folder)
        self.bench.hello()
        self.path = self.bench.path
        self.rows = {}
        self.piv = {1: 0, 2: 0}
        self.ledger = Ledger(self.bench.store, [cursor.Upstream("senml", False)])
        self.hear(frames - 40)
        self.bench.group([], UNIX_S)
        self.settle()
        self.early = self.files()
        self.send(1, 400)
        asyncio.run(self.ledger.fold(self.run))
        if log:
            self.bench.store.shrink_log()
        self.send(401, 860)
        self.hear(40)
        self.sent = sent
        self.send(861, sent)
        self.late = self.files()

    def send(self, first, last):
        account = self.ledger.accounts["senml"]
        for start in range(first, last + 1, 20):
            rows = self.bench.store.rows(start - 1, start + 20, 20)
            self.ledger.hand(account, [rows])
            self.ledger.finish(account, [(start, start + 19)], tally(account, rows))

    async def run(self, work, *args):
        return work(*args)

    def settle(self):
        gathered = self.bench.receiver.seal(dirt=True, folded=True)
        self.bench.receiver.commit(gathered, UNIX_S, MONO_S)

    def hear(self, n):
        for _ in range(n // 20):
            frames = []
            for _ in range(20):
                board = 1 + (len(self.rows) % 3 == 0)
                self.piv[board] += 1
                piv = self.piv[board]
                payload = {1: 3000 + piv % 600, 3: piv % 100}
                if piv % 7 == 0:
                    payload = {3: [piv % 50, 1, 2], -8: 900}
                frames.append(desk.frame(board, piv, payload))
                self.rows[board, piv] = frames[-1]
            self.bench.take(*frames)

    def files(self):
        return {path.name: path.read_bytes() for path in self.path.parent.iterdir() if path.is_file()}


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    return Town(tmp_path_factory.mktemp("town"))


def lay(folder, files):
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder / "store.db"


def opened(path):
    """As the daemon opens it. Raises HostError bad_store where it must be made anew."""
    heal.finish(path)
    if heal.torn(path):
        raise HostError("bad_store", heal.torn(path))
    store = Store(path)
    try:
        if heal.behind(store):
            raise HostError("bad_store", "behind")
        kids = [Kid(keys, f"bin-{kid[1]}") for kid, keys in KEYS.items()]
        source = Source("bridge")
        receiver = Receiver(store, kids, [source], "boot-1")
        ledger = Ledger(store, [cursor.Upstream("senml", False)])
    except BaseException:
        store.close(bad=True)
        raise
    return store, receiver, source, ledger


def check(town, path, *, lost_sent=False):
    """Everything that must hold after a store was opened; returns (pivs that are there by board, pivs that wait)."""
    store, receiver, _, ledger = opened(path)
    try:
        rows = store.read("SELECT id, kid, piv, payload, tag FROM uplink ORDER BY id")
        names = [(kid[1], piv) for _, kid, piv, _, _ in rows]
        assert len(names) == len(set(names)), "a frame is there twice"
        assert set(names) <= set(town.rows), "a frame was invented"
        done = ledger.accounts["senml"].done
        waiting = {name for name, row in zip(names, rows, strict=True) if row[0] not in done}
        for name, row in zip(names, rows, strict=True):
            assert town.rows[name].endswith(row[4]), "a frame is not as it was"
        ids = {name: n for n, name in enumerate(town.rows, 1)}
        if not lost_sent:
            assert not [name for name in waiting if ids[name] <= town.sent], "what was sent waits again"
        for n in (1, 2):
            highest = max((piv for board, piv in names if board == n), default=0)
            window = receiver.kids[n.to_bytes(2, "big")].window
            assert window.highest >= highest
            assert all(window.verdict(piv) for piv in range(1, highest + 1)), "the window lets a frame through again"
        books = Books(path)
        balance = books.balance("senml")
        books.close()
        assert balance.missing == 0, balance
        return set(names), waiting
    finally:
        ledger.close()
        store.close()


def refused(path):
    """What the daemon says of this store when it opens it; nothing where it takes it."""
    try:
        store, _, _, ledger = opened(path)
    except HostError as error:
        return error.name
    except Exception:  # what SQLite read there was no value of ours
        assert heal.sick(path, KEYS)
        return "bad_store"
    ledger.close()
    store.close()
    return ""


def made_anew(path, keys=KEYS):
    """The report, which is told once."""
    report = heal.heal(path, keys, UNIX_S)
    store = Store(path)
    assert heal.told(store) == report
    assert heal.told(store) is None
    assert store.within(windows.short, "asked") == ("healed" if report["windows"] else "")
    store.close()
    return report


def test_a_store_that_is_well_is_left_alone(town, tmp_path):
    path = lay(tmp_path / "a", town.late)
    names, _ = check(town, path)
    assert names == set(town.rows)
    assert not list(path.parent.glob("*.bad-*"))
    assert not heal.sick(path, KEYS)


def damaged(files, how, rng):
    files = dict(files)
    data = bytearray(files["store.db"])
    pages = len(data) // PAGE
    if how == "first page zeroed":
        data[:PAGE] = bytes(PAGE)
    elif how == "first page noise":
        data[:PAGE] = rng.randbytes(PAGE)
    elif how == "short":
        del data[30 * PAGE :]
    elif how == "torn":
        del data[30 * PAGE + 700 :]
    elif how == "middle":
        for page in rng.sample(range(1, pages), 4):
            data[page * PAGE : (page + 1) * PAGE] = rng.randbytes(PAGE)
    elif how == "empty":
        data.clear()
    elif how == "text":
        data[:] = b"this is no database" * 500
    elif how == "no log":
        del files["store.db-wal"]
    elif how == "log without head":
        files["store.db-wal"] = rng.randbytes(32) + files["store.db-wal"][32:]
    files["store.db"] = bytes(data)
    files.pop("store.db-shm", None)
    return files


HOW = ["first page zeroed", "first page noise", "short", "torn", "middle", "empty", "text", "no log", "log without head"]


@pytest.mark.produces("bad_store")
@pytest.mark.parametrize("how", HOW)
def test_a_torn_store_is_made_anew(town, tmp_path, how):
    """Cut, overwritten, without its log or with a wrong one: found out at the opening, and all that is whole goes on."""
    bad = damaged(town.late, how, random.Random(how))
    path = lay(tmp_path / "a", bad)
    if how == "middle":  # the pages of old rows are not read at the opening
        refused(path)
        assert heal.sick(path, KEYS)
        bad["store.db"] = path.read_bytes()
    else:
        assert refused(path) == "bad_store"
    report = made_anew(path)
    aside = path.parent / report["aside"]
    assert aside.read_bytes() == bad["store.db"], "the bad file lies there as it was"
    names, _ = check(town, path, lost_sent="upstream" in report["lost"])
    least = {"first page zeroed": 900, "first page noise": 900, "no log": 860, "log without head": 900, "text": 40, "empty": 40}
    assert len(names) >= least.get(how, 200)
    assert len(names) < 900 or not report["lost"]
    assert check(town, path, lost_sent=True)[0] == names, "and so it stays"


def test_a_log_of_another_time(town, tmp_path):
    """An older log over a newer file: what the log takes back is found again."""
    files = dict(town.late)
    files.pop("store.db-shm")
    files["store.db-wal"] = town.early["store.db-wal"]
    path = lay(tmp_path / "a", files)
    assert refused(path) == "bad_store" or heal.sick(path, KEYS)
    made_anew(path)
    names, _ = check(town, path, lost_sent=True)
    assert len(names) >= 860


def test_a_hole_in_the_log(town, tmp_path):
    """SQLite stops reading at the first wrong frame and is content; what was synced behind it is not given up."""
    files = dict(town.late)
    files.pop("store.db-shm")
    log = bytearray(files["store.db-wal"])
    log[40 + 24] ^= 1
    files["store.db-wal"] = bytes(log)
    path = lay(tmp_path / "a", files)
    assert refused(path) == "bad_store"
    made_anew(path)
    names, _ = check(town, path, lost_sent=True)
    assert len(names) > 860


@pytest.mark.parametrize("keyed", [True, False])
def test_a_flipped_bit_in_a_payload(town, tmp_path, keyed):
    """Nothing in SQLite shows it: the seal does, where its key is held. Then the frame is not taken."""
    files = dict(town.late)
    path = lay(tmp_path / "a", files)
    store = Store(path)
    store.shrink_log()
    payload = store.read("SELECT payload FROM uplink WHERE id = 450")[0][0]
    store.close()
    data = bytearray(path.read_bytes())
    at = data.index(payload)
    data[at + 2] ^= 4
    path.write_bytes(data)
    assert heal.sick(path, KEYS if keyed else {}) == keyed
    report = made_anew(path, KEYS if keyed else {})
    assert report["refused"] == keyed
    if keyed:
        assert len(check(town, path)[0]) == 899


@pytest.mark.produces("disk_full")
@pytest.mark.parametrize("room", ["for what is unsent", "for nothing"])
def test_healing_without_room_for_two_stores(town, tmp_path, monkeypatch, room):
    """What every upstream has may stay behind; where even the rest has no room, all is as it was."""
    bad = damaged(town.late, "first page zeroed", random.Random(1))
    path = lay(tmp_path / "a", bad)
    work = heal.salvage

    def cramped(*args, without=None):
        if without is None or room == "for nothing":
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return work(*args, without=without)

    monkeypatch.setattr(heal, "salvage", cramped)
    if room == "for nothing":
        with pytest.raises(HostError, match=r"^disk_full: the store cannot be made anew"):
            heal.heal(path, KEYS, UNIX_S)
        assert boxes(path.parent) == bad
        monkeypatch.undo()
        heal.heal(path, KEYS, UNIX_S)
        assert len(check(town, path)[0]) == 900
        return
    report = heal.heal(path, KEYS, UNIX_S)
    assert report["rows"] == 900 - 400
    _, waiting = check(town, path)
    assert waiting == {name for n, name in enumerate(town.rows, 1) if n > town.sent}


def controller(folder):
    """A controller that has answered; its folder as it was when it was killed."""
    town = Desk(folder)
    for piv in range(1, 30):
        assert town.up(1 + piv % 2, piv, {3: 5, -5: True})
    town.store.shrink_log()
    return town


def boxes(folder):
    """{path: bytes} of the files of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("what", ["log of answers", "count", "readings"])
def test_a_controller_answers_only_where_its_log_is_whole(tmp_path, what):
    (tmp_path / "a").mkdir()
    town = controller(tmp_path / "a")
    table = {"log of answers": "downlink", "count": "controller", "readings": "uplink"}[what]
    root = town.store.read("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,))[0][0]
    path = lay(tmp_path / "b", boxes(tmp_path / "a"))
    town.store.close()
    path.with_name("store.db-shm").unlink(missing_ok=True)
    data = bytearray(path.read_bytes())
    data[(root - 1) * PAGE : root * PAGE] = bytes(PAGE)
    path.write_bytes(data)
    keys = {n.to_bytes(2, "big"): desk.keys(n) for n in (1, 2, 3)}
    report = heal.heal(path, keys, UNIX_S)
    assert table in report["lost"]
    assert report["unsafe"] == (0 if what == "readings" else 3)
    store = Store(path)
    again = Controller(store, path.with_name("store.db.answers"), [Kid(keys[kid], "") for kid in keys])
    assert again.unsafe == (set() if what == "readings" else set(keys))
    assert bool(again.restored) == (what == "count"), "the file beside the store is ahead of it"
    store.close()


@pytest.mark.parametrize("after", range(1, 8))
def test_dying_while_it_is_made_anew(town, tmp_path, monkeypatch, after):
    """At every step between the two files' names: the next start goes on, or begins again."""
    path = lay(tmp_path / "a", damaged(town.late, "first page zeroed", random.Random(1)))
    left = [after]

    def dying(work):
        def do(*args, **more):
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt
            return work(*args, **more)

        return do

    monkeypatch.setattr(heal.os, "replace", dying(heal.os.replace))
    monkeypatch.setattr(heal, "sync", dying(heal.sync))
    with contextlib.suppress(KeyboardInterrupt):
        heal.heal(path, KEYS, UNIX_S)
    monkeypatch.undo()
    if refused(path) == "bad_store":
        heal.heal(path, KEYS, UNIX_S + 5)
    assert len(check(town, path)[0]) == 900
    assert len(list(path.parent.glob("*.bad-*Z"))) == 1
    assert not list(path.parent.glob("*.heal*"))

"""A damaged store is set aside, and a new one made of what is whole. The daemon goes on by itself.

Nothing is lost by dying here: the new store is made beside the bad one, and has its name only when it is complete.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sqlite3
import time
from collections import deque
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from firmware.wire.seal import Keys
from gateway import fold, windows
from gateway.books import Books
from gateway.carve import Carver
from gateway.clock import Clock
from gateway.errors import HostError
from gateway.fold import Kid
from gateway.salvage import Salvage, image_of, proof, salvage
from gateway.shapes import shapes
from gateway.store import SELECT, Group, Store
from gateway.synced import sync
from gateway.uplink import SEALED, Row
from gateway.upstream import account
from gateway.upstream.cursor import Intervals
from gateway.upstream.ledger import Ledger

log = logging.getLogger("gateway.heal")

DAMAGE = "damage"  # why readings that were accepted are neither queued nor forwarded
_PARTS = ("-wal", "-shm", "")  # the file itself last: while it has its name, nothing has begun
_KEEP = 2
_MANY = 500
_OFTEN, _OFTEN_S = 3, 600.0


class Doctor:
    """Stands beside the daemons of one process. A store that is bad again at once is beyond us."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cured_s: deque[float] = deque(maxlen=_OFTEN)

    def cure(self, error: Exception, keys: Mapping[bytes, Keys], clock: Clock) -> None:
        """A daemon ended with `error`: make its store anew, or raise the error where that is not the cause."""
        now_s = time.monotonic()
        bad = isinstance(error, HostError) and error.name == "bad_store"
        if not isinstance(error, HostError):  # a value that no code of ours wrote leads to any error
            bad = self._path.exists() and sick(self._path, keys)
        if bad and "disk I/O" in str(error) and not sick(self._path, keys):
            log.warning("%s; now it can be read again", error)
            return
        often = len(self._cured_s) == _OFTEN and now_s - self._cured_s[0] < _OFTEN_S
        if not bad or often:
            raise error
        log.error("%s", error)
        heal(self._path, keys, clock.unix())
        self._cured_s.append(now_s)


def heal(path: Path, keys: Mapping[bytes, Keys], now_s: float) -> dict[str, Any]:
    """Make the store at `path` anew out of what is whole in it; the bad files lie beside it as PATH.bad-TIME afterwards.

    `keys` by key id prove what was heard. Returns the report that `told` gives later. Raises HostError disk_full, disk_error;
    then everything is as it was.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_s))
    fresh = path.with_name(path.name + ".healing")
    try:
        found = _without_room(path, fresh, keys)
        report = _repair(path, fresh, found, keys)
        report["aside"] = f"{path.name}.bad-{stamp}"
        with closing(sqlite3.connect(fresh, isolation_level=None)) as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES ('healed', ?)", (json.dumps(report),))
            db.execute("PRAGMA journal_mode = DELETE").fetchall()
        sync(fresh)
        os.replace(fresh, path.with_name(f"{path.name}.healed-{stamp}"))
        sync(path.parent)
        finish(path)
    except (OSError, sqlite3.Error) as error:
        full = getattr(error, "errno", 0) == 28 or getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL
        hint = "the bad store is as it was; make room on the disk, or look at its mount"
        raise HostError(
            "disk_full" if full else "disk_error", f"the store cannot be made anew ({error})", str(path), hint
        ) from error
    log.error("the store was damaged and is made anew: %s", report)
    return report


def ready(path: Path) -> None:
    """Before a store is opened or missed: end what was begun, and look at its files. Raises HostError bad_store, disk_error."""
    try:
        finish(path)
        wrong = torn(path)
    except OSError as error:
        raise HostError("disk_error", f"cannot open the store: {error.strerror}", str(path), "look at the disk") from error
    if wrong:
        raise _bad(wrong, path)


def opened(path: Path, max_mb: float) -> Store:
    """The store at `path`, looked at as far as that costs nothing. Raises HostError as Store does, and bad_store."""
    ready(path)
    store = Store(path, max_mb)
    try:
        if behind(store):
            raise _bad("readings were sent that the store does not have", path)
    except ValueError as error:
        store.close(bad=True)
        raise _bad(f"how far an upstream came is damaged: {error}", path) from None
    except HostError:
        store.close(bad=True)
        raise
    return store


def _bad(wrong: str, path: Path) -> HostError:
    return HostError("bad_store", wrong, str(path), "a new one is made of all that is whole; the bad files stay beside it")


def finish(path: Path) -> bool:
    """Before a store is opened: put a healed one in its place, if one is ready. Raises OSError."""
    ready = sorted(path.parent.glob(f"{path.name}.healed-*"))
    if not ready:
        return False
    stamp = ready[-1].name.rpartition("-")[2]
    aside = path.with_name(f"{path.name}.bad-{stamp}")
    for _, marks in account.files(path):
        os.replace(marks, aside.with_name(aside.name + marks.name.removeprefix(path.name)))
    for end in _PARTS:
        if path.with_name(path.name + end).exists():
            os.replace(path.with_name(path.name + end), aside.with_name(aside.name + end))
    os.replace(ready[-1], path)
    sync(path.parent)
    for old in sorted(path.parent.glob(f"{path.name}.bad-*Z"))[:-_KEEP]:
        for part in path.parent.glob(f"{old.name}*"):
            part.unlink(missing_ok=True)
    return True


def told(store: Store) -> dict[str, Any] | None:
    """Once after a store was made anew: what came of it (see README.md), else None. Counted as `healed`."""
    found = store.read("SELECT value FROM meta WHERE name = 'healed'")
    if not found:
        return None

    def forget(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM meta WHERE name = 'healed'")
        db.execute("INSERT INTO counter VALUES ('healed', 1) ON CONFLICT (name) DO UPDATE SET n = n + 1")

    store.within(forget, "told")
    report: dict[str, Any] = json.loads(found[0][0])
    return report


def torn(path: Path) -> str:
    """Before the store at `path` is opened: what SQLite would take for an empty store, or for one that was closed in order.

    Returns what is wrong, or nothing.
    """
    log, shared = (path.with_name(path.name + end) for end in ("-wal", "-shm"))
    if not path.exists():
        return ""
    if not path.stat().st_size and log.exists() and log.stat().st_size:
        return "the store is empty, its log is not"
    if shared.exists() and shared.stat().st_size and not log.exists():
        return "the store's log is missing"
    return ""


def behind(store: Store) -> bool:
    """Was something sent that the store does not have? Then it lost its newest rows, and its log with them: rows are synced
    before they leave.
    """
    sets = [packed for row in store.read("SELECT done, handed FROM upstream") for packed in row if packed]
    furthest = max((Intervals.unpack(packed).last for packed in sets), default=0)
    return max(furthest, account.furthest(store.path, store.read)) > store.last


def sick(path: Path, keys: Mapping[bytes, Keys]) -> bool:
    """A long look at a store that made trouble of no name: is anything in it not as it was written?"""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)) as db:
            if db.execute("PRAGMA quick_check").fetchone()[0] != "ok":
                return True
            return any(proof(Row._make(row), keys) is False for row in db.execute(SELECT))
    except sqlite3.DatabaseError:
        return True




def _without_room(path: Path, fresh: Path, keys: Mapping[bytes, Keys]) -> Salvage:
    """All that is whole; where the disk has no room for that, without what every upstream has."""
    try:
        return salvage(path, fresh, keys)
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) != sqlite3.SQLITE_FULL:
            raise
    return salvage(path, fresh, keys, without=_everywhere(path))


def _everywhere(path: Path) -> Intervals:
    """Ids of rows that every upstream is done with, and that windows and counts contain, as the bad tables tell."""
    done: Intervals | None = None
    folded = 0
    with image_of(path) as (image, version):
        known = shapes(version)
        if version < 3:
            return Intervals()
        for found in Carver(image, [known["meta"].table, known["upstream"].table]).found():
            if found.table == "meta":
                folded = int(found.values[1] or 0) if found.values[0] == "folded" else folded
                continue
            try:
                one = Intervals.unpack(bytes(found.values[1]))  # type: ignore[arg-type]
            except ValueError:
                return Intervals()
            done = one if done is None else Intervals(part for span in done for part in one.within(*span))
    return Intervals(done.within(1, folded)) if done else Intervals()


# What the records no longer say by themselves


def _repair(path: Path, fresh: Path, found: Salvage, keys: Mapping[bytes, Keys]) -> dict[str, Any]:
    """Windows, answers and books of the new store; returns the report."""
    for number, marks in account.files(path):
        shutil.copyfile(marks, fresh.with_name(f"{fresh.name}.marks-{number}"))
    store = Store(fresh)
    try:
        short = behind(store) or _short(store, found)
        if short:
            _widen(store, keys, lost="context" in found.lost)
            store.within(lambda db: windows.mark(db, windows.HEALED), "widened")
        unsafe = _mute(store, found, keys)
        Ledger(store, []).close()  # what the marks say moves into the table, and no further than our rows
        missing = _balance(store)
        store.shrink_log()
    finally:
        store.close()
    for _, marks in account.files(fresh):
        marks.unlink()
    return {
        "rows": found.rows, "refused": found.refused.count, "lost": sorted(found.lost), "windows": short, "unsafe": unsafe,
        "readings": missing,
    }  # fmt: skip


def _short(store: Store, found: Salvage) -> bool:
    """May windows and link numbers be behind what was acknowledged?"""
    if {"context", "meta"} & set(found.lost) or found.refused.last > store.folded:
        return True
    return any(high > store.folded for _, high in found.lost.get("uplink", ()))


def _widen(store: Store, keys: Mapping[bytes, Keys], *, lost: bool) -> None:
    """Everything up to the highest known counter of each key id counts as seen; a tag that is known makes it a duplicate.

    lost: some contexts may be missing.
    """
    names = {row[0] for row in store.read("SELECT kid FROM context UNION SELECT kid FROM uplink")}
    kids = {name: Kid(keys.get(name) or Keys(name), "") for name in names | set(keys)}
    if lost:
        store.folded = 0  # all the rows that are there count for the contexts that are not
    standing = fold.load(store, kids.values())
    proved = f"tag IS NOT NULL AND (kind <> {SEALED} OR length(tag) > 8)"
    for name, highest in store.read(f"SELECT kid, max(piv) FROM uplink WHERE {proved} GROUP BY kid"):
        window = kids[name].window
        if highest > window.highest:
            window.accept(highest, bytes(8))
    for kid in kids.values():
        window = kid.window
        window.bitmap = (1 << min(window.width, window.highest)) - 1
    after = 0
    while rows := store.read("SELECT id, kid, piv, tag FROM uplink WHERE id > ? ORDER BY id LIMIT ?", (after, _MANY)):
        for after, name, piv, tag in rows:  # noqa: B007 - goes on from the last
            window = kids[name].window
            if tag and window.highest - window.width < piv:
                window.tags[piv % window.width * 8 : piv % window.width * 8 + 8] = tag[:8]
    contexts = [kid.row for kid in kids.values() if kid.window.highest]
    links = {board: numbers.pack() for board, numbers in standing.numbers.items()}
    store.write(Group(contexts=contexts, links=links, folded=True))


def _mute(store: Store, found: Salvage, keys: Mapping[bytes, Keys]) -> int:
    """Where the log of answers may be short, no key id of ours is answered until it is changed. Returns how many."""
    unsafe = store.read("SELECT count(*) FROM unsafe")[0][0]
    count, highest = store.read("SELECT count(*), coalesce(max(number), 0) FROM downlink")[0]
    generation = store.read("SELECT coalesce(max(generation), 0) FROM controller")[0][0]
    whole = not {"downlink", "controller", "unsafe"} & set(found.lost)
    if whole and (unsafe or count == highest == generation):
        return 0
    held = {kid for kid, one in keys.items() if one.k_dn}
    logged = {row[0] for row in store.read("SELECT DISTINCT kid FROM downlink")}
    if not held and not logged:
        return 0
    past = held | logged | {row[0] for row in store.read("SELECT kid FROM context")}
    store.within(lambda db: db.executemany("INSERT OR IGNORE INTO unsafe VALUES (?)", [(kid,) for kid in past]), "muted")
    return len(past)


def _balance(store: Store) -> int:
    """Let the books say what is missing: accepted, but neither forwarded, queued nor dropped. Returns the most of an upstream."""
    most = 0
    for name in [row[0] for row in store.read("SELECT name FROM upstream")]:
        books = Books(store.path)
        try:
            missing = [
                n.accepted - n.forwarded - n.queued - n.dropped for f in (True, False) for n in (books.balance(name, frames=f),)
            ]
        finally:
            books.close()
        frames, readings = missing
        store.within(partial(_write_off, name=name, frames=frames, readings=readings), "balanced")
        most = max(most, readings)
    return most


def _write_off(db: sqlite3.Connection, name: str, frames: int, readings: int) -> None:
    """Lost contexts counted what others still know of: then they count it again. What is missing in earnest is dropped."""
    db.execute(
        "UPDATE context SET stored = stored + ?, direct = direct + ? WHERE kid = (SELECT min(kid) FROM context)",
        (max(-frames, 0), max(-readings, 0)),
    )
    if frames > 0 or readings > 0:
        db.execute(
            "INSERT INTO dropped VALUES (?,?,?,?) ON CONFLICT (upstream, cause) DO UPDATE SET"
            " frames = frames + excluded.frames, readings = readings + excluded.readings",
            (name, DAMAGE, max(frames, 0), max(readings, 0)),
        )

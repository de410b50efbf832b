"""The store: SQLite in WAL mode with a sync at every commit. One writer; reads are on a connection of their own.

Everything that belongs together is one transaction; a call either returns with the sync done or raises with nothing
changed. Raises HostError disk_full, disk_error (both: try again later), bad_store (a person has to look). What reads may be
called from any thread, and never waits for a commit; all else belongs to one thread.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from gateway import migrate
from gateway.errors import HostError
from gateway.synced import sync
from gateway.uplink import Row

T = TypeVar("T")

_WAL_LIMIT = 8 << 20
_RESERVE = 64
_READ_CACHE_KB = 512
_BOOT, _CHANNEL = Row._fields.index("boot") - 1, Row._fields.index("channel") - 1  # in a row without id
_MARKS = f"({','.join('?' * len(Row._fields))})"
_INSERTS = {n: f"INSERT INTO uplink VALUES {','.join([_MARKS] * n)}" for n in (32, 8, 1)}
SELECT = (
    "SELECT u.id, kid, piv, kind, take, urgent, unix_ms, late_ms, boot, rssi_dbm, snr_x4, c.name, seq, payload, tag, frame"
    " FROM uplink u JOIN channel c ON c.id = u.channel"
)


@dataclass(slots=True)
class Group:
    """What one transaction of the receive path writes.

    rows: as gateway.uplink.Row without id; `boot` is true in a row without a date, whose times are on the monotonic clock of
    the boot that this group names. contexts, links: rows of their tables without `upto`; they contain all rows of this group.
    folded: with them, every context and every link does.
    """

    boot: str | None = None
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    contexts: list[tuple[Any, ...]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    links: dict[str, bytes] = field(default_factory=dict)
    folded: bool = False
    also: Callable[[sqlite3.Connection], None] | None = None  # more work in the same transaction, before all other

    def count(self, name: str, n: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + n

    def __bool__(self) -> bool:
        return bool(self.rows or self.contexts or self.counts or self.links or self.folded or self.also)


# A place that the medium does not give any more is damage like any other.
_UNREADABLE = (sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ)


def read_only(folder: Path) -> bool:
    """Does the file system refuse to write, whatever its mount says?"""
    probe = folder / f".jourdain-{os.getpid()}"
    try:
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT, 0o600))
        probe.unlink()
    except OSError as error:
        return error.errno == errno.EROFS
    return False


# What a damaged file makes sqlite3 raise: its own errors, and one for a text that is none.
_ERRORS = (sqlite3.Error, UnicodeDecodeError)


def _named(error: Exception, path: Path) -> HostError:
    whole_code = getattr(error, "sqlite_errorcode", 0)
    code = whole_code & 0xFF
    if code == sqlite3.SQLITE_FULL:
        hint = "nothing was acknowledged and nothing is lost; make room on the disk, or raise store_max_mb"
        return HostError("disk_full", "no room to store what was heard", str(path), hint)
    bad = code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or whole_code in _UNREADABLE
    if bad or isinstance(error, UnicodeDecodeError):
        hint = "a new one is made of all that is whole; the bad files stay beside it"
        return HostError("bad_store", f"the store is damaged ({error})", str(path), hint)
    if code == sqlite3.SQLITE_READONLY or read_only(path.parent):
        hint = "nothing was acknowledged; a card that fails is made read-only: look at `dmesg`, take a backup, change the card"
        return HostError("disk_readonly", f"the disk has become read-only ({error})", str(path), hint)
    return HostError("disk_error", f"the store cannot be written ({error})", str(path), "look at the disk and its mount")


class Store:
    """Opens or creates the store at `path`. last: id of the newest row; folded: contexts and links contain all rows up to it.

    `point` is called at the moments that a power cut must survive, with heard, marked, dated or pruned before the commit,
    and the same with "-done" after it.
    """

    def __init__(self, path: Path, max_mb: float = 1024.0, point: Callable[[str], None] = lambda _: None) -> None:
        self.path = path
        self._point = point
        self.shut = False  # takes no more rows, for there are too many
        self._reading = threading.Lock()
        self._open: list[sqlite3.Connection] = []
        try:
            _create(path)
            # First the reader, which cannot write: what is damaged is found before anything changes.
            self._reader = self._connect(f"file:{quote(str(path.absolute()))}?mode=ro")
            self._reader.execute(f"PRAGMA cache_size = -{_READ_CACHE_KB}")
            self._reader.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            self._db = self._connect(f"file:{quote(str(path.absolute()))}")
            self._prepare(max_mb)
            self._load()
        except OSError as error:
            hint = "the folder must exist and belong to the daemon's user"
            raise HostError("disk_error", f"cannot open the store: {error.strerror}", str(path), hint) from error
        except _ERRORS as error:
            self.close(bad=True)
            raise _named(error, path) from error
        except HostError:
            self.close(bad=True)
            raise

    def _connect(self, uri: str) -> sqlite3.Connection:
        found = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=10)
        self._open.append(found)
        return found

    def _prepare(self, max_mb: float) -> None:
        run = self._db.execute
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")
        run(f"PRAGMA journal_size_limit = {_WAL_LIMIT}")
        migrate.upgrade(self._db, self.path)
        migrate.note_roots(self._db)
        self._pages = int(max_mb * 1e6 / run("PRAGMA page_size").fetchone()[0])
        self._limit(self._pages)

    def _load(self) -> None:
        """What the writer knows of its own tables."""
        run = self._db.execute
        self.last: int = run("SELECT coalesce(max(id), 0) FROM uplink").fetchone()[0]
        found = run("SELECT value FROM meta WHERE name = 'folded'").fetchone()
        self.folded: int = found[0] if found else 0
        self._channels: dict[str, int] = dict(run("SELECT name, id FROM channel").fetchall())

    def close(self, *, bad: bool = False) -> None:
        """The last rows move from the log into the file, but not into one that is `bad`."""
        with self._reading:  # who goes last clears the log away; whoever only reads cannot
            for db in self._open[::-1] if bad else self._open:
                db.close()
            self._open.clear()

    def _transaction(self, work: Callable[[], T], point: str, *, must: bool = True) -> T:
        """Run `work` as one transaction. `must`: it may go beyond the limit, so that a full store can still be emptied."""
        try:
            try:
                result = self._attempt(work, point)
            except sqlite3.OperationalError as error:
                if not must or getattr(error, "sqlite_errorcode", 0) != sqlite3.SQLITE_FULL:
                    raise
                self._limit(self._pages + _RESERVE)
                try:
                    result = self._attempt(work, point)
                finally:
                    self._limit(self._pages)
        except _ERRORS as error:
            raise _named(error, self.path) from error
        self._point(point + "-done")
        return result

    def _attempt(self, work: Callable[[], T], point: str) -> T:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            result = work()
            self._point(point)
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.rollback()
            raise
        return result

    def _limit(self, pages: int) -> None:
        self._db.execute(f"PRAGMA max_page_count = {pages}")

    def read(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query, as far as they are committed."""
        try:
            with self._reading:
                return self._reader.execute(query, values).fetchall()
        except _ERRORS as error:
            raise _named(error, self.path) from error

    # What was heard

    def write(self, group: Group) -> range:
        """Commit what was heard: all or nothing, synced when this returns. Returns the ids of its rows."""
        if group.rows and self.shut:
            hint = "nothing was acknowledged; raise max_rows, or let the oldest go: when_full"
            raise HostError("disk_full", "the store holds all the rows that it may", str(self.path), hint)
        first, last = self.last + 1, self.last + len(group.rows)
        try:
            self._transaction(lambda: self._write(group, first, last), "heard", must=not group.rows)
        except HostError:
            self._channels = dict(self._db.execute("SELECT name, id FROM channel").fetchall())
            raise
        self.last = last
        if group.folded:
            self.folded = last
        return range(first, last + 1)

    def _write(self, group: Group, first: int, last: int) -> None:
        if group.also:
            group.also(self._db)
        if group.rows:
            self._insert(list(self._numbered(group, first)))
        many = self._db.executemany
        if group.contexts:
            many("INSERT OR REPLACE INTO context VALUES (?,?,?,?,?,?,?,?)", [(*row, last) for row in group.contexts])
        if group.counts:
            many("INSERT INTO counter VALUES (?,?) ON CONFLICT (name) DO UPDATE SET n = n + excluded.n", group.counts.items())
        if group.links:
            many("INSERT OR REPLACE INTO link VALUES (?,?,?)", [(*link, last) for link in group.links.items()])
        if group.folded:
            self._db.execute("INSERT OR REPLACE INTO meta VALUES ('folded', ?)", (last,))

    def _insert(self, rows: list[tuple[Any, ...]]) -> None:
        # Many rows a statement: with each, the interpreter is given away and has to be won back from a busy event loop.
        at = 0
        for n, statement in _INSERTS.items():
            while len(rows) - at >= n:
                self._db.execute(statement, list(chain.from_iterable(rows[at : at + n])))
                at += n

    def _numbered(self, group: Group, first: int) -> Iterator[tuple[Any, ...]]:
        """The rows as the table has them: with ids, channels and boot by their numbers."""
        boot = self._name_id("boot", group.boot) if group.boot is not None else None
        channels = self._channels
        for row in group.rows:
            channel = channels.get(row[_CHANNEL])
            if channel is None:
                channel = channels[row[_CHANNEL]] = self._name_id("channel", row[_CHANNEL])
            undated = boot if row[_BOOT] else None
            yield (first, *row[:_BOOT], undated, *row[_BOOT + 1 : _CHANNEL], channel, *row[_CHANNEL + 1 :])
            first += 1

    def _name_id(self, table: str, name: str) -> int:
        self._db.execute(f"INSERT OR IGNORE INTO {table} (name) VALUES (?)", (name,))
        return int(self._db.execute(f"SELECT id FROM {table} WHERE name = ?", (name,)).fetchone()[0])

    def within(self, work: Callable[[sqlite3.Connection], T], point: str) -> T:
        """Run `work` as one transaction of its own."""
        return self._transaction(lambda: work(self._db), point)

    def date(self, boot: str, unix_minus_mono_ms: int) -> int:
        """The clock was set: date what this boot heard before. Returns how many frames may now leave."""

        def work() -> int:
            return self._db.execute(
                "UPDATE uplink SET unix_ms = unix_ms + ?, boot = NULL WHERE boot = (SELECT id FROM boot WHERE name = ?)",
                (unix_minus_mono_ms, boot),
            ).rowcount

        return self._transaction(work, "dated")

    def undated(self, boot: str) -> int:
        """Frames of this boot that wait for a date."""
        query = "SELECT count(*) FROM uplink WHERE boot = (SELECT id FROM boot WHERE name = ?)"
        return int(self.read(query, (boot,))[0][0])

    # What was heard, for others

    def rows(self, after: int, before: int, limit: int) -> list[Row]:
        """The next dated rows between two ids, both excluded."""
        query = f"{SELECT} WHERE u.id > ? AND u.id < ? AND boot IS NULL ORDER BY u.id LIMIT ?"
        return [Row._make(row) for row in self.read(query, (after, before, limit))]

    def alarms(self, after: int, before: int, limit: int) -> list[Row]:
        """The same, of the rows that hold an alarm."""
        query = f"{SELECT} WHERE urgent AND u.id > ? AND u.id < ? AND boot IS NULL ORDER BY u.id LIMIT ?"
        return [Row._make(row) for row in self.read(query, (after, before, limit))]


    # Room

    def prune(self, ranges: Iterable[tuple[int, int]], before_ms: int | None, limit: int = 2000) -> int:
        """Delete rows whose ids lie in `ranges` (first and last; done by every upstream) and that were heard before `before_ms`
        (None: of any age).

        Looks at `limit` rows; returns how many are gone. Rows that are not folded stay, and the newest one: SQLite would give
        its id again, and a cursor would stand before it.
        """
        age = "" if before_ms is None else f"WHERE heard < {int(before_ms)}"
        highest = min(self.folded, self.last - 1)

        def work() -> int:
            gone = 0
            for first, last in ranges:
                gone += self._db.execute(
                    f"DELETE FROM uplink WHERE id IN (SELECT id FROM (SELECT id, unix_ms + late_ms AS heard FROM uplink"
                    f" WHERE id BETWEEN ? AND ? AND boot IS NULL ORDER BY id LIMIT ?) {age})",
                    (first, min(last, highest), limit - gone),
                ).rowcount
                if gone >= limit:
                    break
            return gone

        return self._transaction(work, "pruned")

    def shrink_log(self) -> None:
        """Move the write-ahead log into the database and give its room back; quietly, when even that has no room."""
        try:
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error:
            pass


def _create(path: Path) -> None:
    """An empty file for us alone, where there is none; its name survives a power cut when this returns."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return
    sync(path.parent)

"""The store: SQLite in WAL mode with a sync at every commit. One writer, and whoever reads by gateway.books.

Everything that belongs together is one transaction; a call either returns with the sync done or raises with nothing
changed. Raises HostError disk_full, disk_error (both: try again later), bad_store (a person has to look).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from firmware.wire.host.receiver import Context
from firmware.wire.host.window import Window
from firmware.wire.seal import Keys
from gateway.errors import HostError

T = TypeVar("T")

SCHEMA = Path(__file__).parent / "schema"
_PIV = 4
_WAL_LIMIT = 8 << 20
_RESERVE = 64
COLUMNS = "kid, piv, entry, kind, unix_ms, heard_ms, rssi_dbm, snr_x4, channel, payload, frame"
_UNDATED = COLUMNS.replace("unix_ms", "mono_ms")


class Kid(Context):
    """A key context: keys, window, and what was counted. `recovered`: PIVs that came by a repeat, still in the window."""

    __slots__ = ("board", "direct", "duplicates", "recovered", "repeats", "stored")

    def __init__(self, keys: Keys, board: str) -> None:
        super().__init__(keys, Window())  # type: ignore[no-untyped-call]  # the boards' code is not annotated
        self.board = board
        self.recovered: set[int] = set()
        self.duplicates = self.stored = self.direct = self.repeats = 0

    @property
    def row(self) -> tuple[Any, ...]:
        """As the table `context` keeps it."""
        bottom = self.window.highest - self.window.width
        recovered = b"".join(piv.to_bytes(_PIV, "big") for piv in sorted(self.recovered) if piv > bottom)
        return self.keys.kid, self.window.pack(), recovered, self.duplicates, self.stored, self.direct, self.repeats

    def restore(self, row: tuple[Any, ...] | None) -> None:
        """Become what `row` of the table says, without the kid; None: never heard."""
        if row is None:
            row = (Window().pack(), b"", 0, 0, 0, 0)
        window, recovered, self.duplicates, self.stored, self.direct, self.repeats = row
        self.window = Window.unpack(window)
        self.recovered = {int.from_bytes(recovered[i : i + _PIV], "big") for i in range(0, len(recovered), _PIV)}


DIRECT, REPEAT, FILLS, OPAQUE = range(4)


class Row(NamedTuple):
    """A row of `reading`; schema/001.sql says what each column means."""

    id: int
    kid: bytes
    piv: int
    entry: int
    kind: int
    unix_ms: int
    heard_ms: int
    rssi_dbm: int | None
    snr_x4: int | None
    channel: str
    payload: bytes | None
    frame: bytes | None


@dataclass(slots=True)
class Group:
    """What one transaction of the receive path writes. Rows are tuples in the order of their table, without id.

    Where `boot` is set, the rows have no date yet: their times are on the monotonic clock of this boot.
    """

    boot: str | None = None
    readings: list[tuple[Any, ...]] = field(default_factory=list)
    kids: set[Kid] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)
    links: dict[str, bytes] = field(default_factory=dict)
    also: Callable[[sqlite3.Connection], None] | None = None  # more work in the same transaction, before all other

    def count(self, name: str, n: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + n

    def __bool__(self) -> bool:
        return bool(self.readings or self.kids or self.counts or self.links or self.also)


class Tally(NamedTuple):
    """Frames and readings of one kid in a batch."""

    frames: int
    readings: int


def _named(error: sqlite3.Error, path: Path) -> HostError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        hint = "nothing was acknowledged and nothing is lost; make room on the disk, or raise store_max_mb"
        return HostError("disk_full", "no room to store what was heard", str(path), hint)
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        hint = "move the file aside; the daemon then starts an empty one"
        return HostError("bad_store", f"the store is damaged ({error})", str(path), hint)
    return HostError("disk_error", f"the store cannot be written ({error})", str(path), "look at the disk and its mount")


class Store:
    """Opens or creates the store at `path`.

    `point` is called at the moments that a power cut must survive, with heard, handed, sent, dated or pruned before the commit,
    and the same with "-done" after it.
    """

    def __init__(self, path: Path, max_mb: float = 1024.0, point: Callable[[str], None] = lambda _: None) -> None:
        self.path = path
        self._point = point
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
            self._prepare(max_mb)
        except sqlite3.Error as error:
            raise _named(error, path) from error
        except OSError as error:
            hint = "the folder must exist and belong to the daemon's user"
            raise HostError("disk_error", f"cannot open the store: {error.strerror}", str(path), hint) from error

    def _prepare(self, max_mb: float) -> None:
        run = self._db.execute
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")
        run(f"PRAGMA journal_size_limit = {_WAL_LIMIT}")
        files = {int(file.stem): file for file in SCHEMA.glob("[0-9][0-9][0-9].sql")}
        version = run("PRAGMA user_version").fetchone()[0]
        if version > max(files):
            what = f"the store has version {version}, this daemon knows {max(files)}"
            raise HostError("bad_store", what, str(self.path), "install the newer version again, or move the store aside")
        for number in sorted(n for n in files if n > version):
            script = files[number].read_text(encoding="utf-8")
            self._db.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")
        self._pages = int(max_mb * 1e6 / run("PRAGMA page_size").fetchone()[0])
        self._limit(self._pages)

    def close(self) -> None:
        self._db.close()

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
        except sqlite3.Error as error:
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

    def _read(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise _named(error, self.path) from error

    # What was heard

    def load(self, kids: Iterable[Kid]) -> None:
        """Set each Kid to what is on disk."""
        known = {row[0]: row[1:] for row in self._read("SELECT * FROM context")}
        for kid in kids:
            kid.restore(known.get(kid.keys.kid))

    def links(self) -> dict[str, bytes]:
        """By board, what `Group.links` said last."""
        return {row[0]: row[1] for row in self._read("SELECT board, seen FROM link")}

    def write(self, group: Group) -> None:
        """Commit what was heard: all or nothing, synced when this returns."""
        self._transaction(lambda: self._write(group), "heard", must=False)

    def _write(self, group: Group) -> None:
        if group.also:
            group.also(self._db)
        many = self._db.executemany
        if group.readings and group.boot is None:
            many(f"INSERT INTO reading ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?)", group.readings)
        elif group.readings:
            rows = ((*row, group.boot) for row in group.readings)
            many(f"INSERT INTO undated ({_UNDATED}, boot) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", rows)
        if group.kids:
            many("INSERT OR REPLACE INTO context VALUES (?,?,?,?,?,?,?)", [kid.row for kid in group.kids])
        if group.counts:
            many("INSERT INTO counter VALUES (?,?) ON CONFLICT (name) DO UPDATE SET n = n + excluded.n", group.counts.items())
        if group.links:
            many("INSERT OR REPLACE INTO link VALUES (?,?)", group.links.items())

    def within(self, work: Callable[[sqlite3.Connection], T], point: str) -> T:
        """Run `work` as one transaction of its own."""
        return self._transaction(lambda: work(self._db), point)

    def date(self, boot: str, unix_minus_mono_ms: int) -> int:
        """The clock was set: date what this boot heard before. Returns how many readings may now leave."""

        def work() -> int:
            columns = _UNDATED.replace("_ms", "_ms + :ahead")
            moved = self._db.execute(
                f"INSERT INTO reading ({COLUMNS}) SELECT {columns} FROM undated WHERE boot = :boot ORDER BY id",
                {"ahead": unix_minus_mono_ms, "boot": boot},
            ).rowcount
            self._db.execute("DELETE FROM undated WHERE boot = ?", (boot,))
            return int(moved)

        return self._transaction(work, "dated")

    def undated(self, boot: str) -> int:
        """Readings of this boot that wait for a date."""
        return int(self._read("SELECT count(*) FROM undated WHERE boot = ?", (boot,))[0][0])

    # What goes upstream

    def cursor(self, upstream: str) -> tuple[int, int]:
        """(handed, acked) of an upstream: the last ids that left and that were acknowledged; 0, 0 when it is new."""
        found = self._read("SELECT handed, acked FROM upstream WHERE name = ?", (upstream,))
        return (found[0][0], found[0][1]) if found else (0, 0)

    def rows(self, after: int, limit: int) -> list[Row]:
        """The next readings behind id `after`."""
        found = self._read("SELECT * FROM reading WHERE id > ? ORDER BY id LIMIT ?", (after, limit))
        return [Row._make(row) for row in found]

    def hand(self, upstream: str, upto: int, again: Mapping[bytes, Tally]) -> int:
        """Before a batch leaves: every row up to id `upto` was handed over; `again`: what of it not for the first time.

        Returns the number of the batch.
        """

        def work() -> int:
            number = self._db.execute(
                "INSERT INTO upstream VALUES (?,?,0,1) ON CONFLICT (name) DO UPDATE"
                " SET handed = max(handed, excluded.handed), batch = batch + 1 RETURNING batch",
                (upstream, upto),
            ).fetchone()[0]
            self._deliver(upstream, {kid: (0, 0, n.frames, n.readings) for kid, n in again.items()})
            return int(number)

        return self._transaction(work, "handed")

    def mark(self, upstream: str, upto: int, sent: Mapping[bytes, Tally]) -> None:
        """The broker has acknowledged every row up to id `upto`; `sent`: what of it is acknowledged only now."""

        def work() -> None:
            self._db.execute("UPDATE upstream SET acked = ? WHERE name = ?", (upto, upstream))
            self._deliver(upstream, {kid: (n.frames, n.readings, 0, 0) for kid, n in sent.items()})

        self._transaction(work, "sent")

    def _deliver(self, upstream: str, counts: Mapping[bytes, tuple[int, int, int, int]]) -> None:
        if counts:
            self._db.executemany(
                "INSERT INTO delivery VALUES (?,?,?,?,?,?) ON CONFLICT (upstream, kid) DO UPDATE SET"
                " frames = frames + excluded.frames, readings = readings + excluded.readings,"
                " frames_again = frames_again + excluded.frames_again,"
                " readings_again = readings_again + excluded.readings_again",
                [(upstream, kid, *numbers) for kid, numbers in counts.items()],
            )

    # Room

    def prune(self, upto: int, before_ms: int | None, limit: int = 2000) -> int:
        """Delete what every upstream has (up to id `upto`) and what was heard before `before_ms` (None: of any age).

        At most `limit` rows; returns how many. The newest row stays: SQLite would give its id again, and a cursor would
        stand before it.
        """
        age = "" if before_ms is None else f" AND heard_ms < {int(before_ms)}"

        def work() -> int:
            return self._db.execute(
                f"DELETE FROM reading WHERE id IN (SELECT id FROM reading WHERE id <= ?{age}"
                " AND id < (SELECT max(id) FROM reading) ORDER BY id LIMIT ?)",
                (upto, limit),
            ).rowcount

        return self._transaction(work, "pruned")

    def shrink_log(self) -> None:
        """Move the write-ahead log into the database and give its room back; quietly, when even that has no room."""
        try:
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error:
            pass


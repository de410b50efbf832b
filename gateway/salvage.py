"""From a broken store to a new one: every record that is whole, proved by its own seal where we hold the key.

What can be proved must be right; what cannot is taken where its page is whole. Nothing is taken twice.
"""

from __future__ import annotations

import io
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from firmware.wire.errors import WireError
from firmware.wire.frame import TAG_LEN, parse
from firmware.wire.host.window import Window
from firmware.wire.seal import Keys, check_hop, seal, unseal
from gateway import migrate
from gateway.carve import Carver, Found, Span
from gateway.pages import MAGIC, Image
from gateway.shapes import Shape, shapes
from gateway.uplink import SEALED, Row
from gateway.upstream.cursor import Intervals

_MANY = 500
_FAR = 1 << 20  # a row id so far beyond all others is damaged itself
_ROWS = ("uplink", "reading", "undated")
# Counts only grow: of two that are found, the higher one is right.
_GROWS = {
    "counter": (("name",), ("n",)),
    "delivery": (("upstream", "kid"), ("frames", "readings", "frames_again", "readings_again")),
    "dropped": (("upstream", "cause"), ("frames", "readings")),
    "controller": (("one",), ("generation",)),
}


class Salvage(NamedTuple):
    """What came of it. rows: how many of what was heard; refused: ids of those that did not prove themselves. lost: by table,
    which row ids may be missing (in a table without ids: any).
    """

    rows: int
    refused: Intervals
    lost: dict[str, list[Span]]


def proof(row: Row, keys: Mapping[bytes, Keys]) -> bool | None:
    """Does the seal say that key id, counter and payload are as they came? None: nobody here can tell."""
    held = keys.get(row.kid)
    try:
        if row.frame is not None:
            frame = parse(row.frame)
            if (frame.kid, frame.piv) != (row.kid, row.piv):
                return False
            if held and held.k_up and row.kind != SEALED:
                unseal(held, frame)
                return True
            if held and held.k_hop and frame.hop:
                check_hop(held, frame)
                return True
            return None
        if not (held and held.k_up and row.tag and row.payload):
            return None
        hop = len(row.tag) > TAG_LEN
        if hop and not held.k_hop:
            return None
        made: bytes = seal(held, row.piv, row.payload, hop=hop)
        return made.endswith(row.tag)
    except WireError:
        return False


def plausible(table: str, row: tuple[Any, ...]) -> bool:
    """Can these values be? More than their types say."""
    if table == "uplink":
        one = Row._make(row)
        return (
            len(one.kid) in (2, 4)
            and 0 < one.piv < 1 << 32
            and 0 <= one.kind <= SEALED
            and 0 <= one.take < 1 << 48
            and one.urgent in (0, 1)
            and abs(one.unix_ms) < 1 << 62
            and (one.tag is None or len(one.tag) in (8, 12))
        )
    if table == "context":
        try:
            window = Window.unpack(row[1])
        except ValueError:
            return False
        return len(row[0]) in (2, 4) and (not window.highest or window.bitmap & 1 == 1) and len(row[2]) % 4 == 0
    return not (table == "link" and len(row[1]) % 12)


def salvage(path: Path, fresh: Path, keys: Mapping[bytes, Keys], *, without: Intervals | None = None) -> Salvage:
    """Make the store `fresh` of what is whole in the store at `path` and its log, in the version that it had.

    `without`: ids of rows that may be left out, where there is no room for all. Raises sqlite3.Error, OSError.
    """
    _empty(fresh)
    with image_of(path) as (image, version), closing(sqlite3.connect(fresh, isolation_level=None)) as out:
        out.execute("PRAGMA journal_mode = OFF")
        out.execute("PRAGMA synchronous = OFF")
        migrate.upgrade(out, fresh, version)
        taker = _Taker(out, shapes(version), keys, without)
        carver = Carver(image, [shape.table for shape in taker.shapes.values()])
        out.execute("BEGIN")
        for found in carver.found():
            taker.take(found)
        taker.finish()
        out.execute("COMMIT")
        if "command" in carver.lost:  # a board may still tell of one that is not known any more
            out.execute("UPDATE sqlite_sequence SET seq = seq + 1000 WHERE name = 'command'")
    return Salvage(taker.rows, taker.refused, carver.lost)


@contextmanager
def image_of(path: Path) -> Iterator[tuple[Image, int]]:
    """(pages of the store at `path` and its log, version of its schema)."""
    log = path.with_name(path.name + "-wal")
    with ExitStack() as files:
        db: BinaryIO = files.enter_context(path.open("rb")) if path.exists() else io.BytesIO()
        image = Image(db, files.enter_context(log.open("rb")) if log.exists() else None)
        yield image, _version(image)


def _empty(fresh: Path) -> None:
    for end in ("", "-journal", "-wal", "-shm"):
        fresh.with_name(fresh.name + end).unlink(missing_ok=True)
    os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _version(image: Image) -> int:
    """What the header says, or else the newest."""
    head = image.page(1)
    version = int.from_bytes(head[60:64], "big")
    return version if head.startswith(MAGIC) and 0 < version <= migrate.newest() else migrate.newest()


def _insert(table: str, columns: int) -> str:
    marks = ",".join("?" * columns)
    if table not in _GROWS:
        return f"INSERT OR IGNORE INTO {table} VALUES ({marks})"
    key, numbers = _GROWS[table]
    more = ", ".join(f"{number} = max({number}, excluded.{number})" for number in numbers)
    return f"INSERT INTO {table} VALUES ({marks}) ON CONFLICT ({', '.join(key)}) DO UPDATE SET {more}"


class _Taker:
    """Puts what is found into the new store, many records a statement."""

    def __init__(
        self, out: sqlite3.Connection, found: dict[str, Shape], keys: Mapping[bytes, Keys], without: Intervals | None
    ) -> None:
        self.shapes = found
        self.rows = 0
        self.refused = Intervals()
        self._out = out
        self._keys = keys
        self._without = without or Intervals()
        self._waiting: dict[str, list[tuple[Any, ...]]] = {name: [] for name in found}
        self._strays = Intervals()
        self._last = 0
        self._sql = {}
        for name, shape in found.items():
            self._sql[name] = _insert(name, len(shape.columns))

    def take(self, found: Found) -> None:
        row = self.shapes[found.table].row(found)
        if not plausible(found.table, row):
            self._refuse(found)
            return
        if found.table in _ROWS:
            if (found.rowid or 0) in self._without:
                return
            right = proof(Row._make(row), self._keys) if found.table == "uplink" else None
            far = self._last and (found.rowid or 0) > self._last + _FAR
            if right is False or (right is None and not found.whole) or far:
                self._refuse(found)
                return
            self._last = max(self._last, found.rowid or 0)
            if not found.sure:
                self._strays.add(found.rowid or 0, found.rowid or 0)
        waiting = self._waiting[found.table]
        waiting.append(row)
        if len(waiting) >= _MANY:
            self._flush(found.table)

    def _refuse(self, found: Found) -> None:
        if found.table in _ROWS and found.rowid is not None and found.rowid > 0:
            self.refused.add(found.rowid, found.rowid)

    def _flush(self, table: str) -> None:
        waiting = self._waiting[table]
        taken = self._out.executemany(self._sql[table], waiting).rowcount
        if table in _ROWS:
            self.rows += taken
        waiting.clear()

    def finish(self) -> None:
        """The rest; and no frame twice, where pages were found that no tree leads to."""
        for table in self._waiting:
            self._flush(table)
        if "uplink" not in self.shapes:
            return
        for table in ("channel", "boot"):  # the name is lost, what it stood for is not
            self._out.execute(
                f"INSERT OR IGNORE INTO {table} SELECT DISTINCT {table}, 'lost-' || {table} FROM uplink WHERE {table} IS NOT NULL"
            )
        if not self._strays:
            return
        self._out.execute("CREATE INDEX twice ON uplink (kid, piv, tag)")
        for first, last in self._strays:
            self.rows -= self._out.execute(
                "DELETE FROM uplink WHERE id BETWEEN ? AND ? AND tag IS NOT NULL AND EXISTS (SELECT 1 FROM uplink o"
                " WHERE o.kid = uplink.kid AND o.piv = uplink.piv AND o.tag = uplink.tag AND o.id <> uplink.id"
                " AND o.id < uplink.id)",
                (first, last),
            ).rowcount
        self._out.execute("DROP INDEX twice")

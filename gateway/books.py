"""The store's counts, read by another process while the daemon works (or after it died)."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from gateway import fold
from gateway.store import SELECT
from gateway.uplink import SEALED, Row
from gateway.upstream.cursor import Intervals


class Counts(NamedTuple):
    """Of one key context. Exact: each number moved in the transaction of what it counts.

    received = duplicates + stored (frames; a resend of the serial link is not counted here, see counter `line_resent`);
    published frames and readings are distinct ones that the broker acknowledged; `*_again` were handed over more than
    once because a cut came between. A reading that came by a repeat and later directly counts as direct, once.
    """

    received: int = 0
    duplicates: int = 0
    stored: int = 0
    direct: int = 0
    recovered: int = 0
    frames_published: int = 0
    readings_published: int = 0
    frames_again: int = 0
    readings_again: int = 0


class Books:
    """Reads the counts of a store, never writes. Each call is one short read transaction.

    Raises sqlite3.Error where there is no store yet.
    """

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, isolation_level=None, timeout=5)

    def close(self) -> None:
        self._db.close()

    def counts(self, upstream: str = "senml") -> dict[str, Counts]:
        """Per key id (lower-case hex) the counts; `upstream` names whose publications are meant."""
        self._db.execute("BEGIN")
        try:
            columns = "kid, duplicates, stored, direct, repeats, upto"
            known = {kid: n for kid, *n in self._db.execute(f"SELECT {columns} FROM context")}
            query = f"{SELECT} WHERE u.id > coalesce((SELECT value FROM meta WHERE name = 'folded'), 0) AND kind != {SEALED}"
            for row in map(Row._make, self._db.execute(query)):
                self._add(known.setdefault(row.kid, [0, 0, 0, 0, 0]), row)
            columns = "kid, frames, readings, frames_again, readings_again"
            sent = {kid: n for kid, *n in self._db.execute(f"SELECT {columns} FROM delivery WHERE upstream = ?", (upstream,))}
        finally:
            self._db.execute("ROLLBACK")
        return {
            kid.hex(): Counts(dup + stored, dup, stored, direct, repeats, *sent.get(kid, ()))
            for kid, (dup, stored, direct, repeats, _) in known.items()
        }

    @staticmethod
    def _add(context: list[int], row: Row) -> None:
        """Add a row to [duplicates, stored, direct, repeats, upto], unless it is contained."""
        if row.id > context[4]:
            direct, repeats = fold.counts(row)
            context[1:4] = context[1] + 1, context[2] + direct, context[3] + repeats

    def counters(self) -> dict[str, int]:
        """Errors and other events by name: auth, kid, cbor, line_crc, line_lost, disk_full ..."""
        return dict(self._db.execute("SELECT name, n FROM counter ORDER BY name").fetchall())

    def backlog(self, upstream: str = "senml") -> int:
        """Rows that `upstream` has not acknowledged."""
        found = self._db.execute("SELECT done FROM upstream WHERE name = ?", (upstream,)).fetchone()
        done = Intervals.unpack(found[0]) if found else Intervals()
        return sum(row[0] not in done for row in self._db.execute("SELECT id FROM uplink WHERE boot IS NULL"))

    def waiting(self) -> int:
        """Frames without a date."""
        return int(self._db.execute("SELECT count(*) FROM uplink WHERE boot IS NOT NULL").fetchone()[0])

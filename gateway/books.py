"""The store's counts, read by another process while the daemon works (or after it died)."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote


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
        self._db = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, timeout=5)

    def close(self) -> None:
        self._db.close()

    def counts(self, upstream: str = "senml") -> dict[str, Counts]:
        """Per key id (lower-case hex) the counts; `upstream` names whose publications are meant."""
        rows = self._db.execute(
            "SELECT c.kid, c.duplicates, c.stored, c.direct, c.repeats, d.frames, d.readings, d.frames_again,"
            " d.readings_again FROM context c LEFT JOIN delivery d ON d.kid = c.kid AND d.upstream = ?",
            (upstream,),
        )
        return {kid.hex(): Counts(dup + stored, dup, stored, *(n or 0 for n in rest)) for kid, dup, stored, *rest in rows}

    def counters(self) -> dict[str, int]:
        """Errors and other events by name: auth, kid, cbor, line_crc, line_lost, disk_full ..."""
        return dict(self._db.execute("SELECT name, n FROM counter ORDER BY name").fetchall())

    def backlog(self, upstream: str = "senml") -> int:
        """Rows that `upstream` has not acknowledged."""
        found = self._db.execute(
            "SELECT count(*) FROM reading WHERE id > coalesce((SELECT acked FROM upstream WHERE name = ?), 0)", (upstream,)
        ).fetchone()
        return int(found[0])

    def waiting(self) -> int:
        """Readings without a date."""
        return int(self._db.execute("SELECT count(*) FROM undated").fetchone()[0])

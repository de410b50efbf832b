"""The store's counts, read by another process while the daemon works (or after it died)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

from gateway import alarms, fold
from gateway.upstream import account as accounts
from gateway.upstream.account import Account, State

T = TypeVar("T")

_LOOKS = 5

# Rows that no context contains yet.
_LATER = (
    "SELECT u.kid, kind, take, CASE WHEN take > 1 THEN payload END FROM uplink u LEFT JOIN context c ON c.kid = u.kid"
    " WHERE u.id > (SELECT value FROM meta WHERE name = 'folded') AND u.id > coalesce(c.upto, 0)"
)


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


class Balance(NamedTuple):
    """Of one upstream, in frames or in readings: accepted = forwarded + queued + dropped, at any moment and after any death.

    `causes`: what of `dropped` was dropped why.
    """

    accepted: int
    forwarded: int
    queued: int
    dropped: int
    causes: dict[str, int]

    @property
    def missing(self) -> int:
        """By how much that is not so: 0, but in a store that was damaged."""
        return self.accepted - self.forwarded - self.queued - self.dropped


class Books:
    """Reads the counts of a store and of the marks beside it, never writes. Each call is one short read transaction.

    Raises sqlite3.Error where there is no store yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, isolation_level=None, timeout=5)

    def close(self) -> None:
        self._db.close()

    def _look(self, work: Callable[[State], T]) -> T:
        """Do `work` within one read transaction, with the marks that belong to it."""
        for _ in range(_LOOKS):
            self._db.execute("BEGIN")
            try:
                state = accounts.load(self._path, self._read)
                found = work(state)
            finally:
                self._db.execute("ROLLBACK")
            if state.whole:
                break
        return found

    def _read(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        return self._db.execute(query, values).fetchall()

    def counts(self, upstream: str = "senml") -> dict[str, Counts]:
        """Per key id (lower-case hex) the counts; `upstream` names whose publications are meant."""
        return self._look(lambda state: self._counts(state, upstream))

    def _counts(self, state: State, upstream: str) -> dict[str, Counts]:
        known = self._contexts()
        sent = self._sent(state, upstream)
        return {
            kid.hex(): Counts(dup + stored, dup, stored, direct, repeats, *sent.get(kid, ()))
            for kid, (dup, stored, direct, repeats) in known.items()
        }

    def _contexts(self) -> dict[bytes, list[int]]:
        """By kid [duplicates, stored, direct, repeats]."""
        known = {kid: n for kid, *n in self._read("SELECT kid, duplicates, stored, direct, repeats FROM context")}
        for kid, *row in self._db.execute(_LATER):
            context = known.setdefault(kid, [0, 0, 0, 0])
            direct, repeats = fold.counts(*row)
            context[1:] = context[1] + 1, context[2] + direct, context[3] + repeats
        return known

    def _sent(self, state: State, upstream: str) -> accounts.Counts:
        columns = "kid, frames, readings, frames_again, readings_again"
        sent = {kid: n for kid, *n in self._read(f"SELECT {columns} FROM delivery WHERE upstream = ?", (upstream,))}
        if upstream in state.accounts:
            accounts.add(sent, state.accounts[upstream].counts)
        return sent

    def balance(self, upstream: str = "senml", *, frames: bool = False) -> Balance:
        """What became of everything that was accepted, in readings, or in `frames` where they go up unread."""
        return self._look(lambda state: self._balance(state, upstream, frames))

    def _balance(self, state: State, upstream: str, frames: bool) -> Balance:
        account = state.accounts.get(upstream) or Account(upstream, frames)
        accepted = sum(n[1] if frames else n[2] + n[3] for n in self._contexts().values())
        forwarded = sum(n[0 if frames else 1] for n in self._sent(state, upstream).values())
        queued = 0
        for span in account.done.gaps(0, 2**63 - 1):
            for _, n_frames, n_readings in accounts.tallied(span, self._read, frames):
                queued += n_frames if frames else n_readings
        causes = {cause: frames_n if frames else n for cause, frames_n, n in self._read(
            "SELECT cause, frames, readings FROM dropped WHERE upstream = ?", (upstream,))}  # fmt: skip
        for cause, numbers in account.dropped.items():
            causes[cause] = causes.get(cause, 0) + numbers[0 if frames else 1]
        return Balance(accepted, forwarded, queued, sum(causes.values()), causes)

    def alarms(self) -> list[alarms.Row]:
        """Every alarm that is counted, raised or past."""
        return alarms.read(self._db.execute)

    def counters(self) -> dict[str, int]:
        """Errors and other events by name: auth, kid, cbor, line_crc, line_lost, disk_full ..."""
        return dict(self._db.execute("SELECT name, n FROM counter ORDER BY name").fetchall())

    def sent_bytes(self, upstream: str = "senml") -> int:
        """Payload bytes that `upstream` acknowledged, as of the last time the marks moved into the tables."""
        return sum(row[0] for row in self._read("SELECT value FROM meta WHERE name = ?", (f"sent_bytes:{upstream}",)))

    def backlog(self, upstream: str = "senml") -> int:
        """Rows with a date that `upstream` has not acknowledged."""
        return self._look(lambda state: self._backlog(state.accounts.get(upstream)))

    def _backlog(self, account: Account | None) -> int:
        gaps = account.done.gaps(0, 2**63 - 1) if account else [(0, 2**63 - 1)]
        return sum(self._read("SELECT count(*) FROM uplink WHERE id BETWEEN ? AND ? AND boot IS NULL", gap)[0][0] for gap in gaps)

    def waiting(self) -> int:
        """Frames without a date."""
        return int(self._db.execute("SELECT count(*) FROM uplink WHERE boot IS NOT NULL").fetchone()[0])

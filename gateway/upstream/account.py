"""What table and marks say of each upstream: which rows left, which are acknowledged, how many frames and readings that makes.

Exact after any death of the process, and read the same way by the daemon and by whoever only looks (gateway.books).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gateway.uplink import OPAQUE, SEALED, Row
from gateway.upstream import cursor
from gateway.upstream.cursor import DONE, HANDED, Intervals, Mark, Noted, Span, runs

KEY = "key"  # why a frame is dropped whose key is not held any more
BEFORE = "before"  # ... or that was deleted before this upstream was there

FAMILY = 8  # bytes of an epoch that name the store; the rest counts
Counts = dict[bytes, list[int]]  # by kid: frames and readings acknowledged, frames and readings handed over again
Read = Callable[[str, tuple[Any, ...]], list[tuple[Any, ...]]]


class Account:
    """One upstream. `done`, `handed`: ids of rows; `batch`: number of the last batch; `kept`: what of `done` is in the tables.

    `counts`, `dropped` (frames, readings by cause), `bytes`: what came since the tables were written.
    """

    def __init__(self, name: str, opaque: bool, packed: tuple[bytes, bytes, int] | None = None, newest: int = 2**63 - 1) -> None:
        self.name = name
        self.opaque = opaque
        done, handed, self.batch = packed or (b"", b"", 0)
        # Ids that the store does not have will be given anew.
        self.done = Intervals((Intervals.unpack(done) if done else Intervals()).within(1, newest))
        self.handed = Intervals((Intervals.unpack(handed) if handed else Intervals()).within(1, newest))
        self.kept = self.done.copy()
        self.counts: Counts = {}
        self.dropped: dict[str, list[int]] = {}
        self.bytes = 0

    def counted(self, row: Row) -> bool:
        """Is it a frame that this upstream forwards?"""
        return row.tag is not None and (self.opaque or row.kind not in (OPAQUE, SEALED))

    def drop(self, cause: str, frames: int, readings: int) -> None:
        entry = self.dropped.setdefault(cause, [0, 0])
        entry[0] += frames
        entry[1] += readings

    def replay(self, mark: Mark, read: Read, newest: int) -> None:
        """Believe a mark: what it adds is counted from the rows on disk."""
        first, last = mark.first, min(mark.last, newest)
        if first > last:
            return
        self.batch = max(self.batch, mark.batch)
        if mark.kind == HANDED:
            for span in self.handed.within(first, last):
                self._recount(span, read, 2)
            self.handed.add(first, last)
            return
        for span in list(self.done.gaps(first - 1, last + 1)):
            if mark.kind == DONE:
                self._recount(span, read, 0)
            else:
                for _, frames, readings in tallied(span, read, self.opaque):
                    self.drop(KEY, frames, readings)
        self.done.add(first, last)

    def _recount(self, span: Span, read: Read, at: int) -> None:
        added: Counts = {}
        for kid, frames, readings in tallied(span, read, self.opaque):
            entry = added.setdefault(kid, [0, 0, 0, 0])
            entry[at] += frames
            entry[at + 1] += readings
        add(self.counts, added)


def tallied(span: Span, read: Read, opaque: bool) -> Iterator[tuple[bytes, int, int]]:
    """(kid, frames, readings) of the rows of a span, in parts."""
    rows = read(
        "SELECT kid, kind, take, tag IS NOT NULL, count(*) FROM uplink WHERE id BETWEEN ? AND ? GROUP BY 1, 2, 3, 4", span
    )
    for kid, kind, take, whole, n in rows:
        yield kid, n * (whole and (opaque or kind not in (OPAQUE, SEALED))), n * take.bit_count()


# What is on disk


def files(store: Path) -> list[tuple[int, Path]]:
    """The files of marks beside a store, by their number, oldest first."""
    found = []
    for path in store.parent.glob(f"{store.name}.marks-*"):
        with contextlib.suppress(ValueError):
            found.append((int(path.name.rpartition("-")[2]), path))
    return sorted(found)


class State(NamedTuple):
    """What table and marks say: the accounts by name, and the epoch that the table follows."""

    accounts: dict[str, Account]
    epoch: bytes
    whole: bool  # false: the marks may have moved into the table between two looks


def load(store: Path, read: Read) -> State:
    """Table and marks together. Raises ValueError where the table is damaged."""
    newest = read("SELECT coalesce(max(id), 0) FROM uplink", ())[0][0]
    noted = [(number, cursor.read(path)) for number, path in files(store)]
    table = read("SELECT name, done, handed, batch, epoch FROM upstream", ())
    epoch = max((row[4] for row in table), default=b"")
    mine = [found for number, found in noted if found and _follows(found, epoch)]
    opaque = {one.name: one.opaque for found in mine for one in found.upstreams}
    accounts = {name: Account(name, opaque.get(name, False), tuple(row), newest) for name, *row, _ in table}
    for found in mine:
        for mark in found.marks:
            account = accounts.get(found.upstreams[mark.upstream].name)
            if account is not None:
                account.replay(mark, read, newest)
    return State(accounts, epoch, not mine or mine[0].epoch == epoch)


def _follows(found: Noted, epoch: bytes) -> bool:
    return found.epoch[:FAMILY] == epoch[:FAMILY] and found.epoch >= epoch


def furthest(store: Path, read: Read) -> int:
    """The highest id that the marks name, 0 where there are none."""
    epoch = max((row[0] for row in read("SELECT epoch FROM upstream", ())), default=b"")
    mine = [found for _, path in files(store) if (found := cursor.read(path)) and _follows(found, epoch)]
    return max((mark.last for found in mine for mark in found.marks), default=0)


def tally(account: Account, rows: Iterable[Row]) -> Counts:
    """What `finish` counts when these rows are acknowledged: a frame with its newest entry, a reading once."""
    added: Counts = {}
    for row in rows:
        entry = added.get(row.kid)
        if entry is None:
            entry = added[row.kid] = [0, 0, 0, 0]
        entry[0] += account.counted(row)
        entry[1] += row.take.bit_count()
    return added


def add(counts: Counts, added: Counts) -> None:
    """Add to `counts`."""
    for kid, numbers in added.items():
        mine = counts.get(kid)
        if mine is None:
            counts[kid] = numbers.copy()
        else:
            for n in range(4):
                mine[n] += numbers[n]


def spans(rows: Sequence[Row]) -> Iterable[Span]:
    """The ids of rows, which are in their order."""
    if rows[-1].id - rows[0].id + 1 == len(rows):
        return ((rows[0].id, rows[-1].id),)
    return runs(row.id for row in rows)


def intervals(rows: Iterable[Row]) -> Intervals:
    """The ids of rows in any order."""
    found = Intervals()
    for row in rows:
        found.add(row.id, row.id)
    return found


def everywhere(accounts: Iterable[Account]) -> list[Span]:
    """Ids that each of these upstreams is done with, as the tables say; all ids where nothing goes upstream."""
    found = [(1, 2**63 - 1)]
    for account in accounts:
        found = [part for first, last in found for part in account.kept.within(first, last)]
    return found

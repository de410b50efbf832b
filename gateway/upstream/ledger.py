"""Marks beside the store, at once and without a sync; now and then they move into its tables."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from gateway.errors import HostError
from gateway.store import Store
from gateway.uplink import Row
from gateway.upstream import account as accounts
from gateway.upstream.account import BEFORE, FAMILY, KEY, Account, Counts, add, files, intervals, spans, tallied, tally
from gateway.upstream.cursor import DONE, DROPPED, HANDED, Intervals, Mark, Marks, Span, Upstream

log = logging.getLogger("gateway.upstream")

FOLD_BYTES = 1 << 20


def _after(epoch: bytes, used: int = 0) -> bytes:
    """The epoch behind this one, with a number above `used`; of a family of its own behind none."""
    if len(epoch) != 2 * FAMILY:
        epoch = os.urandom(FAMILY) + bytes(FAMILY)
    number = max(int.from_bytes(epoch[FAMILY:], "big"), used) + 1
    return epoch[:FAMILY] + number.to_bytes(FAMILY, "big")


class _Fold(NamedTuple):
    """What one fold writes: rows of the tables, and the epoch that goes on from there."""

    epoch: bytes
    upstream: list[tuple[Any, ...]]
    delivery: list[tuple[Any, ...]]
    dropped: list[tuple[Any, ...]]
    bytes: list[tuple[str, int]]
    done: dict[str, Intervals]


class Ledger:
    """The accounts of `upstreams`, and of those that were there once. Opening replays the marks and folds them.

    `accepted`: frames and readings that the store ever took; what of them is gone, a new upstream never sees.
    `hand`, `finish` and `drop` belong to the event loop. Raises HostError as the store does.
    """

    def __init__(self, store: Store, upstreams: Sequence[Upstream], accepted: tuple[int, int] = (0, 0)) -> None:
        self._store = store
        try:
            self.accounts, epoch, _ = accounts.load(store.path, store.read)
        except ValueError as error:
            hint = "move the store aside; every record that is whole can be taken into a new one"
            raise HostError("bad_store", f"how far an upstream came is damaged: {error}", str(store.path), hint) from None
        for one in upstreams:
            account = self.accounts.get(one.name)
            if account is None:
                account = self.accounts[one.name] = Account(*one)
                self._missed(account, *accepted)
            account.opaque = one.opaque
        self._place = {name: place for place, name in enumerate(self.accounts)}
        self._marks: Marks | None = None
        self._unnoted = False  # something came that no mark tells, until the tables tell it
        self._refused = False  # the disk took no mark the last time
        old = files(store.path)
        self._old = [path for _, path in old]  # files that go when the tables are written
        self._epoch = _after(epoch, old[-1][0] if old else 0)
        self._fold: _Fold | None = self._snapshot()
        try:
            self._commit(self._fold)
        except HostError as error:
            if error.name == "bad_store":
                raise
            return  # the next `fold` tries again
        self._folded()

    def _missed(self, account: Account, frames: int, readings: int) -> None:
        """What was deleted before this upstream was there."""
        for _, n_frames, n_readings in tallied((1, 2**63 - 1), self._store.read, account.opaque):
            frames -= n_frames
            readings -= n_readings
        if readings > 0 or (account.opaque and frames > 0):
            account.drop(BEFORE, max(frames, 0), max(readings, 0))

    # Marks

    def hand(self, account: Account, batches: Sequence[Sequence[Row]]) -> list[int]:
        """These batches are about to leave. Returns of each how many of its readings left before."""
        place = self._place[account.name]
        number = account.batch + len(batches)
        left = intervals(row for rows in batches for row in rows) if len(batches) > 1 else spans(batches[0])
        marks = [Mark(place, HANDED, number, first, last) for first, last in left]
        self._write(marks)
        account.batch = number
        again = []
        for rows in batches:
            n = 0
            if rows[0].id <= account.handed.last:
                added = tally(account, [row for row in rows if row.id in account.handed])
                add(account.counts, {kid: [0, 0, *numbers[:2]] for kid, numbers in added.items()})
                n = sum(numbers[1] for numbers in added.values())
            again.append(n)
        for mark in marks:
            account.handed.add(mark.first, mark.last)
        return again

    def finish(self, account: Account, done: Sequence[Span], added: Counts) -> None:
        """The broker has acknowledged rows, or they say nothing, or there are none: their ids, and `added` as `tally` says."""
        self._end(account, DONE, done)
        add(account.counts, added)

    def drop(self, account: Account, rows: Sequence[Row]) -> None:
        """Rows that can never be sent, because the key is not held any more."""
        self._end(account, DROPPED, list(spans(rows)))
        account.drop(KEY, sum(map(account.counted, rows)), sum(row.take.bit_count() for row in rows))

    def _end(self, account: Account, kind: int, done: Sequence[Span]) -> None:
        place = self._place[account.name]
        self._write([Mark(place, kind, account.batch, first, last) for first, last in Intervals(done)])
        for first, last in done:
            account.done.add(first, last)

    def _write(self, marks: list[Mark]) -> None:
        """Note it, if the disk takes it. If not, what is on the disk leaves all the same: that costs repeats after a death."""
        try:
            if self._marks is None:
                self._begin(self._epoch)
            assert self._marks is not None
            self._marks.write(marks)
            self._refused = False
        except HostError as error:
            if not self._refused:
                log.warning("%s", error)
            self._refused = self._unnoted = True

    def _begin(self, epoch: bytes) -> None:
        number = int.from_bytes(epoch[FAMILY:], "big")
        upstreams = [Upstream(account.name, account.opaque) for account in self.accounts.values()]
        marks = Marks(self._store.path.with_name(f"{self._store.path.name}.marks-{number}"), epoch, upstreams)
        if self._marks is not None:
            self._marks.close()
        self._marks = marks

    # The tables

    @property
    def due(self) -> bool:
        """Are the marks so many that they should move into the tables now?"""
        return self._marks is not None and self._marks.size >= FOLD_BYTES

    @property
    def behind(self) -> bool:
        """Is there something that neither a mark nor the tables tell, because the disk did not take it?"""
        return self._unnoted or self._fold is not None

    async def fold(self, run: Callable[..., Awaitable[Any]]) -> None:
        """Move the marks into the tables, if there are any: `run` runs a function in the store's thread.

        Marks that come meanwhile go to the next file. What a failure leaves is tried again by the next call.
        """
        if self._fold is None:
            if not self._unnoted and (self._marks is None or not self._marks.size):
                return
            epoch, before = _after(self._epoch), self._marks
            self._begin(epoch)
            if before:
                self._old.append(before.path)
            self._epoch = epoch
            self._fold = self._snapshot()
            self._unnoted = False
        await run(self._commit, self._fold)
        self._folded()

    def _snapshot(self) -> _Fold:
        """What came since the last one, to go on from our epoch; the accounts count on from nothing."""
        accounts, epoch = self.accounts.values(), self._epoch
        fold = _Fold(
            epoch,
            [(a.name, a.done.pack(), a.handed.pack(), a.batch, epoch) for a in accounts],
            [(a.name, kid, *numbers) for a in accounts for kid, numbers in a.counts.items()],
            [(a.name, cause, *numbers) for a in accounts for cause, numbers in a.dropped.items()],
            [(f"sent_bytes:{a.name}", a.bytes) for a in accounts if a.bytes],
            {a.name: a.done.copy() for a in accounts},
        )
        for account in accounts:
            account.counts, account.dropped, account.bytes = {}, {}, 0
        return fold

    def _commit(self, fold: _Fold) -> None:
        self._store.within(lambda db: _write(db, fold), "marked")
        while self._old:
            self._old.pop().unlink(missing_ok=True)

    def _folded(self) -> None:
        assert self._fold is not None
        for name, done in self._fold.done.items():
            self.accounts[name].kept = done
        self._fold = None

    def close(self) -> None:
        if self._marks is not None:
            self._marks.close()
            self._marks = None


def _write(db: sqlite3.Connection, fold: _Fold) -> None:
    many = db.executemany
    many("INSERT OR REPLACE INTO upstream (name, done, handed, batch, epoch) VALUES (?,?,?,?,?)", fold.upstream)
    many(
        "INSERT INTO delivery VALUES (?,?,?,?,?,?) ON CONFLICT (upstream, kid) DO UPDATE SET"
        " frames = frames + excluded.frames, readings = readings + excluded.readings,"
        " frames_again = frames_again + excluded.frames_again, readings_again = readings_again + excluded.readings_again",
        fold.delivery,
    )
    many(
        "INSERT INTO dropped VALUES (?,?,?,?) ON CONFLICT (upstream, cause) DO UPDATE SET"
        " frames = frames + excluded.frames, readings = readings + excluded.readings",
        fold.dropped,
    )
    many("INSERT INTO meta VALUES (?,?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value", fold.bytes)

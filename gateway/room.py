"""Room in the store: bounds by rows, bytes and age, and what has to go first. Every row that goes unsent is counted by cause.

First what every upstream has, of any age; then, where that may be, frames that nobody understands, readings, and alarms last,
each from the oldest on. What an upstream holds or has in the air stays until it is answered.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from gateway import fold
from gateway.config import StoreSection
from gateway.errors import HostError
from gateway.store import Store
from gateway.uplink import OPAQUE, SEALED
from gateway.upstream.cursor import Intervals, Span, runs
from gateway.upstream.upstreams import Upstreams

log = logging.getLogger("gateway.room")

FULL, ROWS, AGE = "full", "rows", "age"  # why: no room on the disk or below its limit, too many rows, too old
_LOOK = 4000  # rows looked at, and at most so many go
_PART = 16  # of a full store, one row in so many goes, so that it is not full again at once
_DAY_MS = 86_400_000
GRACE_S = 600.0
_AGAIN_S = 30.0  # the disk that is full again so soon was not in order meanwhile
_CROWDED = 1 << 20

Event = Callable[..., None]


class Victim(NamedTuple):
    """A row that may go. frame: is it one of its own, not only a reading?"""

    id: int
    kind: int
    urgent: int
    readings: int
    frame: bool

    @property
    def rank(self) -> int:
        """What goes first: not understood, readings, alarms."""
        return 2 if self.urgent else 0 if self.kind == OPAQUE else 1


class Room:
    """`run` runs a function in the store's thread; `on_event` says what was dropped."""

    def __init__(
        self, store: Store, run: Callable[..., Awaitable[Any]], upstreams: Upstreams, limits: StoreSection, on_event: Event
    ) -> None:  # fmt: skip
        self._store = store
        self._run = run
        self._upstreams = upstreams
        self._limits = limits
        self._on_event = on_event
        self._tried_s = self._full_since_s = -math.inf

    async def make(self) -> None:
        """The disk took nothing: delete what every upstream has, of any age, else what has to go first. Raises HostError as the
        store does.

        Where it is the disk that is full and not the store, somebody may see to that: for a while nothing unsent goes.
        """
        now_s = time.monotonic()
        if now_s - self._tried_s > _AGAIN_S:
            self._full_since_s = now_s
        self._tried_s = now_s
        await self._upstreams.fold()
        if await self._run(self._clear, self._upstreams.done()) or self._limits.when_full == "refuse":
            return
        if self._crowded() and now_s - self._full_since_s < GRACE_S:
            return
        await self._drop(FULL, min(_LOOK, max(1, await self._count() // _PART)))

    async def keep(self, unix_ms: int | None) -> None:
        """Now and then: hold the bounds of rows and age. unix_ms: None while the clock is not set. Raises HostError."""
        limits = self._limits
        if limits.max_days is not None and unix_ms is not None:
            while await self._drop(AGE, _LOOK, unix_ms - round(limits.max_days * _DAY_MS)):
                pass
        if limits.max_rows is None:
            return
        over = await self._count() - limits.max_rows
        while over > 0 and (n := await self._fewer(min(over, _LOOK))):
            over -= n
        self._store.shut = over > 0

    async def _fewer(self, n: int) -> int:
        """Take away up to `n` rows for there are too many."""
        await self._run(self._fold)
        gone: int = await self._run(self._store.prune, self._upstreams.done(), None, n)
        if gone or self._limits.when_full == "refuse":
            return gone
        return await self._drop(ROWS, n)

    def _crowded(self) -> bool:
        """Is there no room on the disk itself?"""
        found = os.statvfs(self._store.path.parent)
        return found.f_bavail * found.f_frsize < _CROWDED

    async def _count(self) -> int:
        return int((await self._run(self._store.read, "SELECT count(*) FROM uplink"))[0][0])

    # In the store's thread

    def _clear(self, done: list[Span]) -> int:
        self._store.shrink_log()
        with contextlib.suppress(HostError):  # then what is folded already has to do
            self._fold()
        return self._store.prune(done, None)

    def _fold(self) -> None:
        if self._store.folded < self._store.last:
            self._store.write(fold.load(self._store).group())

    def _victims(self, busy: Intervals, n: int, before_ms: int | None) -> list[Victim]:
        """The first `n` that may go, by rank and age, out of the oldest rows; alarms only where there is nothing else."""
        found: list[Victim] = []
        after, end = 0, min(self._store.folded, self._store.last - 1)
        old = "" if before_ms is None else f" AND boot IS NULL AND unix_ms + late_ms < {before_ms}"
        query = f"SELECT id, kind, urgent, take, tag IS NOT NULL FROM uplink WHERE id > ? AND id <= ?{old} ORDER BY id LIMIT ?"
        while sum(victim.rank < 2 for victim in found) < n:
            rows = self._store.read(query, (after, end, _LOOK))
            if not rows:
                break
            after = rows[-1][0]
            found += [
                Victim(i, kind, urgent, take.bit_count(), bool(own)) for i, kind, urgent, take, own in rows if i not in busy
            ]
            found = sorted(found, key=lambda victim: (victim.rank, victim.id))[:n]
        return sorted(found)

    # In the event loop

    async def _drop(self, cause: str, n: int, before_ms: int | None = None) -> int:
        """Drop up to `n` rows; returns how many went."""
        with contextlib.suppress(HostError):
            await self._run(self._fold)
        victims: list[Victim] = await self._run(self._victims, self._upstreams.busy(), n, before_ms)
        busy = self._upstreams.busy()  # what an upstream took meanwhile is its own
        victims = [victim for victim in victims if victim.id not in busy]
        if not victims:
            return 0
        spans = list(runs(victim.id for victim in victims))
        told = self._counted(victims)
        self._upstreams.leave(spans)
        await self._run(self._store.within, partial(_delete, cause=cause, spans=spans, told=told), "dropped")
        self._upstreams.gone(spans)
        for name, frames, readings in told:
            log.warning("%s: %d frames with %d readings were dropped: %s", name, frames, readings, cause)
            self._on_event("dropped", upstream=name, cause=cause, frames=frames, readings=readings)
        return len(victims)

    def _counted(self, victims: Sequence[Victim]) -> list[tuple[str, int, int]]:
        """(upstream, frames, readings) of what it has not got."""
        found = []
        for account in [pump.account for pump in self._upstreams.pumps]:
            lost = [victim for victim in victims if victim.id not in account.done]
            frames = sum(v.frame and (account.opaque or v.kind not in (OPAQUE, SEALED)) for v in lost)
            if lost:
                found.append((account.name, frames, sum(v.readings for v in lost)))
        return found


def _delete(db: sqlite3.Connection, cause: str, spans: list[Span], told: list[tuple[str, int, int]]) -> None:
    """Delete and count, in one transaction."""
    db.executemany("DELETE FROM uplink WHERE id BETWEEN ? AND ?", spans)
    db.executemany(
        "INSERT INTO dropped VALUES (?,?,?,?) ON CONFLICT (upstream, cause) DO UPDATE SET"
        " frames = frames + excluded.frames, readings = readings + excluded.readings",
        [(name, cause, frames, readings) for name, frames, readings in told],
    )

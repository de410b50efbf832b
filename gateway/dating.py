"""When the host's date is believed, and what happens to rows that were dated before that was sure.

A Raspberry Pi without a battery clock wakes in 1970, or at the hour of its last shutdown, and learns the date when the network is
there. Readings carry the monotonic clock, which never jumps, so a date that turns out wrong is put right by one addition.

    unknown   rows wait without a date
    unsure    the date comes from a battery, or is all there is after ten minutes: rows are dated and leave, and all rows of this
              stretch are moved when the clock is set
    sure      a time server has set the clock
"""

from __future__ import annotations

import json
import sqlite3
from typing import NamedTuple

from gateway.clock import ANYTHING, EARLIEST_UNIX_S, KEPT, SYNCED, Clock

STEP_MS = 2000  # less is the correction of a running clock
FINE_MS = 100  # but when it is set for the first time, so much is worth a correction
PATIENCE_S = 600.0  # after the boot: who has no time server by then, may never have one
_META = "clock"


class State(NamedTuple):
    """What outlives the process, for one boot of the host. since: rows above this id were dated in this stretch; ahead_ms: unix
    minus monotonic, None while unknown; sure: nothing of it has to be moved any more.
    """

    boot: str
    since: int
    ahead_ms: int | None = None
    sure: bool = False


class Change(NamedTuple):
    """What a look at the clock has found. step_ms: how far the date jumped, 0: not. state: to be stored, with `move_ms` added to
    the dates of all rows above `state.since`; a sure stretch that ends begins behind the last row, `fresh`.
    """

    state: State
    step_ms: int = 0
    move_ms: int = 0
    fresh: bool = False


class Dating:
    """The state of one boot. `newest_s`: date of the newest row on disk, or None; `trust`: every date from 2025 on is sure."""

    def __init__(self, state: State, newest_s: float | None = None, *, trust: bool = False) -> None:
        self.state = state
        self._newest_s = newest_s or 0.0
        self._trust = trust
        self._seen_ms = state.ahead_ms  # what the host said last, believed or not

    @property
    def known(self) -> bool:
        """May rows be dated?"""
        return self.state.ahead_ms is not None

    def unix(self, mono_s: float) -> float:
        """The date of a moment of the monotonic clock, in seconds; 0 while unknown."""
        return mono_s + self.state.ahead_ms / 1000 if self.state.ahead_ms is not None else 0.0

    def look(self, unix_s: float, mono_s: float, standing: str) -> Change | None:
        """Compare the clocks. None: nothing has changed; a Change comes into force by `settle`."""
        ahead_ms = round((unix_s - mono_s) * 1000)
        seen_ms, self._seen_ms = self._seen_ms, ahead_ms
        step_ms = 0 if seen_ms is None or abs(ahead_ms - seen_ms) <= STEP_MS else ahead_ms - seen_ms
        state = self.state
        if unix_s < EARLIEST_UNIX_S:
            standing, ahead_ms = ANYTHING, state.ahead_ms or 0  # no date: rather the one that was
        sure = standing == SYNCED or (self._trust and unix_s >= EARLIEST_UNIX_S)
        if state.ahead_ms is None:
            found = state._replace(ahead_ms=ahead_ms, sure=sure) if sure or self._believed(unix_s, mono_s, standing) else state
            return Change(found, step_ms) if step_ms or found is not state else None
        moved_ms = ahead_ms - state.ahead_ms
        if abs(moved_ms) <= (FINE_MS if sure and not state.sure else STEP_MS):
            moved_ms = 0
        if state.sure and moved_ms and not sure:
            return Change(State(state.boot, state.since, ahead_ms), step_ms, fresh=True)
        found = state._replace(ahead_ms=state.ahead_ms + moved_ms, sure=sure or state.sure)
        if found == state:
            return Change(state, step_ms) if step_ms else None
        return Change(found, step_ms, 0 if state.sure else moved_ms)

    def settle(self, change: Change) -> None:
        """`change` is on disk (see `store`)."""
        self.state = change.state

    def _believed(self, unix_s: float, mono_s: float, standing: str) -> bool:
        if unix_s < EARLIEST_UNIX_S:
            return False
        return standing == KEPT or (mono_s >= PATIENCE_S and unix_s > self._newest_s)


class BelievedClock:
    """The host's clock as far as it is believed: `unix` is 0 while it is not. What everybody but `Dating` asks."""

    def __init__(self, host: Clock, dating: Dating) -> None:
        self._host = host
        self.dating = dating

    def look(self) -> Change | None:
        """Has anything changed that has to be stored and settled?"""
        return self.dating.look(self._host.unix(), self._host.monotonic(), self._host.standing())

    def unix(self) -> float:
        return self.dating.unix(self._host.monotonic())

    def monotonic(self) -> float:
        return self._host.monotonic()

    def standing(self) -> str:
        return self._host.standing()

    async def sleep(self, seconds: float) -> None:
        await self._host.sleep(seconds)


# In the store


def begin(db: sqlite3.Connection, host: Clock, boot: str, *, trust: bool) -> BelievedClock:
    """The clock of a daemon that starts, looked at once. Within a transaction."""
    found = Dating(load(db, boot), newest_s(db), trust=trust)
    clock = BelievedClock(host, found)
    if change := clock.look():
        found.settle(store(db, change))
    return clock


def newest_s(db: sqlite3.Connection) -> float | None:
    """The latest date of what came last, in unix seconds."""
    newest = "SELECT unix_ms + late_ms AS heard FROM uplink WHERE boot IS NULL ORDER BY id DESC LIMIT 1000"
    found = db.execute(f"SELECT max(heard) FROM ({newest})").fetchone()[0]
    return None if found is None else found / 1000


def load(db: sqlite3.Connection, boot: str) -> State:
    """The state of this boot, begun if it is new. Within a transaction."""
    row = db.execute("SELECT value FROM meta WHERE name = ?", (_META,)).fetchone()
    if row and (found := State(**json.loads(row[0]))).boot == boot:
        return found
    state = State(boot, _last(db))
    _save(db, state)
    return state


def store(db: sqlite3.Connection, change: Change) -> Change:
    """Write a change and move the rows that it concerns; returns it as it is to be settled. Within a transaction."""
    state = change.state._replace(since=_last(db)) if change.fresh else change.state
    if change.move_ms:
        db.execute("UPDATE uplink SET unix_ms = unix_ms + ? WHERE id > ? AND boot IS NULL", (change.move_ms, state.since))
    _save(db, state)
    return change._replace(state=state)


def _save(db: sqlite3.Connection, state: State) -> None:
    db.execute("INSERT OR REPLACE INTO meta VALUES (?,?)", (_META, json.dumps(state._asdict())))


def _last(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT coalesce(max(id), 0) FROM uplink").fetchone()[0])

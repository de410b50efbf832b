"""Alarms by key id: what has happened too often becomes one alarm, and a quiet day ends it. Pure state, and its table.

Whoever sends forged frames can raise what the table below names, once for each key id that we hold, and no more: nothing here
grows with what he sends.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

log = logging.getLogger("gateway.alarms")

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
QUIET_MS = DAY_MS
COUNTING, RAISED, CLEARED = "counting", "raised", "cleared"

Event = dict[str, Any]
Key = tuple[str, bytes]


class Rule(NamedTuple):
    """More than `above` within `within_ms` raise the alarm; `text` says what it may mean and what to do."""

    above: int
    within_ms: int
    text: str


RULES: Mapping[str, Rule] = {
    "reuse": Rule(0, DAY_MS, "an authentic frame under a counter that was used: is a board cloned? Give it a new key"),
    "old": Rule(3, DAY_MS, "authentic frames from below the window: a board lost its counter, or a recording is played"),
    "auth": Rule(3, HOUR_MS, "frames with a wrong seal: a board with a wrong key, or somebody is trying"),
    "retired": Rule(0, DAY_MS, "a frame under the key id that its board gave up: a copy of the board is at work"),
    "healed": Rule(0, DAY_MS, "the store was damaged and made anew; the bad file lies beside it"),
    "new_windows": Rule(0, DAY_MS, "this gateway began without windows: a frame from before may be taken once more"),
    "restored": Rule(0, DAY_MS, "the store is from a backup: boards are answered again when they have new keys"),
}


class Row(NamedTuple):
    """A row of the table `alarm`. kid: b"" where it is of no key id. since_ms: while counting, of the first that still counts."""

    name: str
    kid: bytes
    since_ms: int
    last_ms: int
    n: int
    state: str


class _Alarm:
    """One name and key id. recent: times of what counts towards its rule, at most `above`, the oldest first."""

    __slots__ = ("last_ms", "n", "recent", "since_ms", "state")

    def __init__(self) -> None:
        self.state = COUNTING
        self.since_ms = self.last_ms = self.n = 0
        self.recent: list[int] = []


class Alarms:
    """`boards`: the names by key id (bytes); only these can have alarms. `rows`: the table as it is on disk."""

    def __init__(self, boards: Mapping[bytes, str], rows: Iterable[Row] = ()) -> None:
        self._boards = boards
        self._alarms: dict[Key, _Alarm] = {}
        self._changed: set[Key] = set()
        self._events: list[Event] = []
        for row in rows:
            if row.name in RULES:
                alarm = self._alarms[row.name, row.kid] = _Alarm()
                alarm.since_ms, alarm.last_ms, alarm.n, alarm.state = row[2:]
                if alarm.state == COUNTING:  # the times between the first and the last one are not kept: the earliest they can be
                    alarm.recent = [row.since_ms] * (row.n - 1) + [row.last_ms]

    def note(self, name: str, kid: bytes = b"", now_ms: int | None = None) -> None:
        """It happened (a name of RULES; a key id of our boards, or none). now_ms: unix; None: the clock is not set."""
        if kid and kid not in self._boards:
            return
        rule = RULES[name]
        alarm = self._alarms.setdefault((name, kid), _Alarm())
        if alarm.state == CLEARED:
            alarm.__init__()  # type: ignore[misc]
        at_ms = alarm.last_ms if now_ms is None else now_ms
        alarm.last_ms = at_ms
        self._changed.add((name, kid))
        if alarm.state == RAISED:
            alarm.n += 1
            return
        # A clock that was set back has made times of the future: they were now, at the latest.
        alarm.recent = [min(t, at_ms) for t in alarm.recent if t > at_ms - rule.within_ms] + [at_ms]
        alarm.since_ms, alarm.n = alarm.recent[0], len(alarm.recent)
        if alarm.n > rule.above:
            alarm.recent = []
            self._move(name, kid, RAISED)

    def tick(self, now_ms: int) -> None:
        """The clock is set and shows `now_ms`: what had a quiet day is over; what has no date gets this one."""
        for (name, kid), alarm in self._alarms.items():
            if alarm.state == RAISED and (not alarm.last_ms or alarm.last_ms > now_ms):
                alarm.since_ms = min(alarm.since_ms or now_ms, now_ms)
                alarm.last_ms = now_ms
                self._changed.add((name, kid))
            elif alarm.state == RAISED and now_ms - alarm.last_ms >= QUIET_MS:
                self._move(name, kid, CLEARED)

    def adopt(self, rows: Iterable[Row]) -> None:
        """The table as it is on disk, where somebody may have cleared what is raised here and has not come again since."""
        for row in rows:
            key = row.name, row.kid
            if row.state == CLEARED and key in self._alarms and self._row(key) == row._replace(state=RAISED):
                self._move(*key, CLEARED)

    def drain(self) -> tuple[list[Row], list[Event]]:
        """What changed since the last call: rows for the table, and events to say once they are on disk."""
        rows = [self._row(key) for key in self._changed]
        events, self._events = self._events, []
        self._changed = set()
        return rows, events

    @property
    def news(self) -> bool:
        """Is there something to say?"""
        return bool(self._events)

    def raised(self) -> list[Row]:
        """What is raised now."""
        return [self._row(key) for key, alarm in self._alarms.items() if alarm.state == RAISED]

    def _row(self, key: Key) -> Row:
        alarm = self._alarms[key]
        return Row(*key, alarm.since_ms, alarm.last_ms, alarm.n, alarm.state)

    def _move(self, name: str, kid: bytes, state: str) -> None:
        self._alarms[name, kid].state = state
        self._changed.add((name, kid))
        self._events.append({"ev": "alarm", "name": name, "kid": kid.hex(), "board": self._boards.get(kid, ""), "state": state})


def tell(events: Iterable[Event]) -> None:
    """Log what is on disk now: one line when an alarm is raised, one when it is over."""
    for event in events:
        who = f" {event['board']} (key id {event['kid']})" if event["kid"] else ""
        if event["state"] == RAISED:
            log.error("alarm %s%s: %s", event["name"], who, RULES[event["name"]].text)
        else:
            log.info("alarm %s%s is over", event["name"], who)


def write(db: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Put the rows into the table, within the caller's transaction."""
    db.executemany("INSERT OR REPLACE INTO alarm VALUES (?,?,?,?,?,?)", rows)


def read(ask: Callable[[str], Iterable[tuple[Any, ...]]]) -> list[Row]:
    """The whole table, at most a row a name and key id; `ask` gives the rows of a query."""
    return [Row._make(row) for row in ask("SELECT name, kid, since_ms, last_ms, n, state FROM alarm ORDER BY name, kid")]


def clear(db: sqlite3.Connection, name: str, kid: bytes | None = None) -> int:
    """Somebody has seen to it: end the alarms of a name (of one key id); the daemon notices. Returns how many."""
    which = "" if kid is None else " AND kid = :kid"
    query = f"UPDATE alarm SET state = '{CLEARED}' WHERE name = :name AND state = '{RAISED}'{which}"
    return db.execute(query, {"name": name, "kid": kid}).rowcount

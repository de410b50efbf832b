"""Alarms and retired key ids of one gateway, on disk in the transaction of what they were found in."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence

from gateway import alarms
from gateway.alarms import Alarms, Event
from gateway.rotation import Rotation
from gateway.store import Store

_FIRST = "first:"  # rows of `meta`: when the first frame of a key id was known to have come


class Watch:
    """`boards`: names by key id (bytes). `families`: the key ids of each board, the newest last. Raises HostError as the store
    does.
    """

    def __init__(
        self, store: Store, boards: Mapping[bytes, str], families: Iterable[Sequence[bytes]] = (), old_key_days: float = 30.0
    ) -> None:
        self._store = store
        self._alarms = Alarms(boards, alarms.read(store.read))
        found = store.read("SELECT name, value FROM meta WHERE name GLOB ?", (_FIRST + "*",))
        first_ms = {bytes.fromhex(name.removeprefix(_FIRST)): at_ms for name, at_ms in found}
        self._rotation = Rotation(families, old_key_days, first_ms)
        self._first_ms: dict[bytes, int] = {}

    def retired(self, kid: bytes) -> bool:
        """Is the key id one that its board gave up long ago?"""
        return kid in self._rotation.retired

    def note(self, name: str, kid: bytes = b"", now_ms: int | None = None) -> bool:
        """What may become an alarm has happened (gateway.alarms.Alarms.note); others are ignored. Is there one to say now?"""
        if name in alarms.RULES:
            self._alarms.note(name, kid, now_ms)
        return self._alarms.news

    def tick(self, heard: Callable[[bytes], bool], now_ms: int) -> None:
        """Now and then, when the clock is set and shows `now_ms`. `heard`: was a frame of this key id ever accepted?"""
        self._first_ms |= self._rotation.tick(heard, now_ms)
        self._alarms.tick(now_ms)
        if self._alarms.raised():
            self._alarms.adopt(alarms.read(self._store.read))

    def drain(self) -> tuple[Callable[[sqlite3.Connection], None] | None, list[Event]]:
        """What changed since the last call: work for the next transaction, or None, and events to say when it is on disk."""
        rows, events = self._alarms.drain()
        first_ms, self._first_ms = self._first_ms, {}
        if not rows and not first_ms:
            return None, events

        def work(db: sqlite3.Connection) -> None:
            alarms.write(db, rows)
            db.executemany("INSERT OR REPLACE INTO meta VALUES (?,?)", [(_FIRST + k.hex(), t) for k, t in first_ms.items()])

        return work, events

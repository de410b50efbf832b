"""The queue of commands: in the store, so that the daemon and the tools' own process both work on it. SQL and nothing else."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import cbor2

from firmware.wire.quantities import ORDER
from gateway.errors import HostError

WAITING, SENT, DONE, REFUSED, EXPIRED, CANCELLED = "waiting", "sent", "done", "refused", "expired", "cancelled"
OPEN = (WAITING, SENT)
SCHEMA = 2  # the first version of the store that has commands
_BUSY_S = 10
_OVER = "state IN ('waiting', 'sent') AND until_ms <= ?"


class Command(NamedTuple):
    """A row of `command`; schema/002.sql says what each column means."""

    id: int
    board: str
    what: str
    payload: bytes
    state: str
    asked_ms: int
    until_ms: int
    sent: int
    moved_ms: int
    result: int | None
    note: str

    @property
    def open(self) -> bool:
        return self.state in OPEN


def waiting(db: sqlite3.Connection, board: str) -> list[Command]:
    """The open commands of a board, the first one first."""
    rows = db.execute("SELECT * FROM command WHERE board = ? AND state IN ('waiting', 'sent') ORDER BY id", (board,))
    return [Command._make(row) for row in rows]


def move(  # noqa: PLR0917 - a row
    db: sqlite3.Connection, ident: int, state: str, now_ms: int, note: str, result: int | None = None
) -> None:
    """Put a command into another state."""
    db.execute(
        "UPDATE command SET state = ?, moved_ms = ?, note = ?, result = ? WHERE id = ?", (state, now_ms, note, result, ident)
    )


def expire(db: sqlite3.Connection, now_ms: int) -> list[Command]:
    """End what is open and whose time is over; returns it as it was."""
    rows = db.execute(f"SELECT * FROM command WHERE {_OVER}", (now_ms,)).fetchall()
    ended = [Command._make(row) for row in rows]
    for command in ended:
        move(db, command.id, EXPIRED, now_ms, "no result came" if command.sent else "the board never asked")
    return ended


def release(db: sqlite3.Connection, board: str) -> bytes | None:
    """The name of the release that a board was told to fetch last, or None."""
    row = db.execute(
        "SELECT payload FROM command WHERE board = ? AND what LIKE 'update %' AND state IN ('sent', 'done')"
        " ORDER BY id DESC LIMIT 1",
        (board,),
    ).fetchone()
    return bytes(cbor2.loads(row[0])[ORDER][1]) if row else None


class Queue:
    """The commands of a store, for another process than the daemon. HostError no_store, bad_store, disk_error."""

    def __init__(self, path: Path, now_s: Callable[[], float] = time.time) -> None:
        self.path = path
        self._now_s = now_s
        hint = "start the daemon, which makes it: jourdain gateway run"
        if not path.is_file():
            raise HostError("no_store", "there is no store yet", str(path), hint)
        try:
            uri = f"file:{quote(str(path.absolute()))}?mode=rw"
            self._db = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_BUSY_S)
            self._db.execute("PRAGMA synchronous = FULL")
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.Error as error:
            raise self._named(error) from error
        if version < SCHEMA:
            self.close()
            raise HostError("no_store", f"the store is of version {version}, which has no commands", str(path), hint)

    def close(self) -> None:
        self._db.close()

    def _named(self, error: sqlite3.Error) -> HostError:
        return HostError("disk_error", f"the store cannot be used ({error})", str(self.path), "are you the daemon's user?")

    def add(self, board: str, what: str, payload: bytes, expires_s: float) -> Command:
        """Queue a command; it is on disk when this returns."""
        now_ms = round(self._now_s() * 1000)
        row = (board, what, payload, WAITING, now_ms, now_ms + round(expires_s * 1000), now_ms)
        try:
            ident = self._db.execute(
                "INSERT INTO command (board, what, payload, state, asked_ms, until_ms, moved_ms) VALUES (?,?,?,?,?,?,?)", row
            ).lastrowid
        except sqlite3.Error as error:
            raise self._named(error) from error
        assert ident is not None
        return self.get(ident)

    def get(self, ident: int) -> Command:
        """One command. HostError unknown_command."""
        found = self._select("WHERE id = ?", (ident,))
        if not found:
            raise HostError("unknown_command", f"there is no command {ident}", str(self.path), "see `jourdain command list`")
        return found[0]

    def newest(self, board: str = "", limit: int = 50) -> list[Command]:
        """The newest commands, of one board or of all, the oldest of them first."""
        where = "WHERE board = ?" if board else "WHERE 1 OR ?"
        return self._select(f"{where} ORDER BY id DESC LIMIT {int(limit)}", (board,))[::-1]

    def cancel(self, ident: int) -> Command:
        """End an open command. What a bridge has already got may still be done. HostError unknown_command."""
        self.get(ident)
        try:
            self._db.execute(
                "UPDATE command SET state = 'cancelled', moved_ms = ?, note = '' WHERE id = ? AND state IN ('waiting', 'sent')",
                (round(self._now_s() * 1000), ident),
            )
        except sqlite3.Error as error:
            raise self._named(error) from error
        return self.get(ident)

    def expire(self) -> None:
        """End what is over by now, as the daemon does when a board asks."""
        now_ms = round(self._now_s() * 1000)
        try:
            if self._db.execute(f"SELECT 1 FROM command WHERE {_OVER} LIMIT 1", (now_ms,)).fetchone():
                self._db.execute("BEGIN IMMEDIATE")
                expire(self._db, now_ms)
                self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._named(error) from error

    def heard(self, kids: list[bytes]) -> bool:
        """Has a frame of one of these key ids ever been accepted?"""
        marks = ",".join("?" * len(kids))
        try:
            folded = f"SELECT 1 FROM context WHERE kid IN ({marks})"
            later = f"SELECT 1 FROM uplink WHERE id > (SELECT value FROM meta WHERE name = 'folded') AND kid IN ({marks})"
            return bool(self._db.execute(f"SELECT EXISTS ({folded}) OR EXISTS ({later})", kids + kids).fetchone()[0])
        except sqlite3.Error as error:
            raise self._named(error) from error

    def unsafe(self, kid: bytes) -> bool:
        """Is this key id not answered until it is changed?"""
        try:
            return bool(self._db.execute("SELECT count(*) FROM unsafe WHERE kid = ?", (kid,)).fetchone()[0])
        except sqlite3.Error as error:
            raise self._named(error) from error

    def _select(self, rest: str, values: tuple[object, ...]) -> list[Command]:
        try:
            return [Command._make(row) for row in self._db.execute(f"SELECT * FROM command {rest}", values)]
        except sqlite3.Error as error:
            raise self._named(error) from error

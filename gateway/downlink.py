"""The controller: one answer to an uplink that asks, sealed and committed with it, handed to the bridge that heard it.

What makes it safe (firmware/wire/README.md, section 1, Downlink): an answer is sealed inside the transaction that accepts its
uplink, and the log has one row a (kid, PIV) for ever. Only what is committed leaves, once; after a crash the PIV is spent. A file
beside the store counts with it: a store that is behind the file was restored from a backup, and then nothing is answered under
any key id of that past.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cbor2

from firmware.wire import cbor
from firmware.wire.frame import TAG_LEN
from firmware.wire.host.errors import DEVICE_ERRORS
from firmware.wire.link import OK
from firmware.wire.quantities import ANSWER, BLOCK, COMMAND, MORE, RESULT, TIME
from firmware.wire.seal import seal
from gateway import commands
from gateway.clock import EARLIEST_UNIX_S
from gateway.commands import Command
from gateway.errors import HostError
from gateway.fold import Kid
from gateway.ingress.source import Source
from gateway.releases import Releases
from gateway.store import Store
from gateway.synced import sync

log = logging.getLogger("gateway.downlink")

ANSWER_MS = 1000  # from the end of the uplink to the answer's preamble
LEAST_S = 0.05  # what the line and the bridge need of it
_LOST = 1 << 32  # added to the generation when nobody knows how far it was


class Generation:
    """The file beside the store: how many answers were sealed, and under which key ids (hexadecimal)."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> tuple[int, set[str]] | None:
        """What the file says, or None where there is none. ValueError: it is damaged. Raises HostError disk_error."""
        try:
            text = self.path.read_text(encoding="ascii")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._named(error) from None
        found = json.loads(text)
        return int(found["generation"]), set(found["kids"])

    def write(self, number: int, kids: Iterable[str]) -> None:
        """On disk when this returns. Raises HostError disk_error."""
        temporary = self.path.with_name(self.path.name + ".new")
        try:
            with temporary.open("w", encoding="ascii") as file:
                json.dump({"generation": number, "kids": sorted(kids)}, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
            sync(self.path.parent)
        except OSError as error:
            raise self._named(error) from None

    def _named(self, error: OSError) -> HostError:
        what = f"the count of answers cannot be kept ({error.strerror})"
        return HostError("disk_error", what, str(self.path), "look at the disk; until then no board is answered")


class Heard(NamedTuple):
    """An accepted uplink. until_s: when its answer must begin, on our monotonic clock; known: its payload."""

    source: Source
    kid: Kid
    piv: int
    known: dict[int, Any]
    t_ms: int
    until_s: float


class Asked(NamedTuple):
    """What one group brought: uplinks that may be answered, and (number, status) of answers given before."""

    heard: tuple[Heard, ...]
    statuses: tuple[tuple[int, str], ...]


@dataclass(slots=True)
class Answer:
    """A committed answer, to be handed to the line of `source`."""

    source: Source
    number: int
    frame: bytes
    at_ms: int


class Controller:
    """Gathers in the event loop, decides in the store's thread. `unsafe`: key ids that no board is answered under."""

    def __init__(self, store: Store, file: Path, kids: Iterable[Kid], releases: Releases | None = None) -> None:
        kids = tuple(kids)
        self._releases = releases
        self._boards = {kid.keys.kid: kid.board for kid in kids}
        self._file = Generation(file)
        self._heard: dict[bytes, Heard] = {}  # by kid: a board waits for the answer to its last frame alone
        self._statuses: list[tuple[int, str]] = []
        self._made: list[Answer] = []
        self._used: set[str] = set()
        self._fresh: set[str] = set()  # key ids of answers that are made
        self.events: list[dict[str, Any]] = []
        self.counts: list[str] = []
        self.restored = ""
        held = {kid.keys.kid for kid in kids if kid.keys.k_dn}
        self._generation: int
        self._generation, self.unsafe = store.within(lambda db: self._begin(db, held), "begun")
        self._count()

    def _begin(self, db: sqlite3.Connection, held: set[bytes]) -> tuple[int, set[bytes]]:
        generation = int(db.execute("SELECT generation FROM controller").fetchone()[0])
        try:
            beside = self._file.read()
        except (ValueError, KeyError, TypeError):
            beside = (generation + _LOST, set())
        number, self._used = beside or (0, set())
        if (beside is None and generation) or number > generation:
            missing, behind = "the count of answers is missing", "answers were sent that this store does not know"
            self.restored = missing if beside is None else behind
            log.error("%s: %s: no board is answered until its key is changed", self._file.path, self.restored)
            logged = {row[0] for row in db.execute("SELECT DISTINCT kid FROM downlink")}
            past = held | logged | {bytes.fromhex(kid) for kid in self._used}
            db.executemany("INSERT OR IGNORE INTO unsafe VALUES (?)", [(kid,) for kid in past])
            generation = max(number, generation + (_LOST if beside is None else 0)) + 1
            db.execute("UPDATE controller SET generation = ?", (generation,))
            self._used |= {kid.hex() for kid in past}
        return generation, {row[0] for row in db.execute("SELECT kid FROM unsafe")}

    # What comes in

    def heard(self, heard: Heard) -> None:
        """An uplink that asks, tells of a command, or came by a cable was accepted: the transaction that stores it decides."""
        self._heard[heard.kid.keys.kid] = heard

    def sent(self, number: int, status: str) -> None:
        """A bridge says what became of an answer."""
        self._statuses.append((number, status))

    @property
    def pending(self) -> bool:
        return bool(self._heard or self._statuses)

    def gather(self) -> Asked:
        """What came in since the last call: the transaction that stores it decides."""
        asked = Asked(tuple(self._heard.values()), tuple(self._statuses))
        self._heard, self._statuses = {}, []
        return asked

    # The transaction

    def decide(self, db: sqlite3.Connection, asked: Asked, unix_s: float, mono_s: float) -> None:
        """Judge results and seal answers, inside the transaction of the uplinks."""
        self._made, self.events, self.counts, self._fresh = [], [], [], set()
        now_ms = round(unix_s * 1000)
        for number, status in asked.statuses:
            self._status(db, number, status, now_ms)
        if unix_s >= EARLIEST_UNIX_S and asked.heard:
            for command in commands.expire(db, now_ms):
                self._event(command.board, command.id, commands.EXPIRED)
        for heard in asked.heard:
            self._one(db, heard, unix_s, heard.until_s - mono_s)

    def _status(self, db: sqlite3.Connection, number: int, status: str, now_ms: int) -> None:
        row = db.execute("SELECT command, kid, piv FROM downlink WHERE number = ? AND status = ''", (number,)).fetchone()
        if row is None:
            return
        command, kid, piv = row
        db.execute("UPDATE downlink SET status = ? WHERE number = ?", (status[:20], number))
        board = self._boards.get(kid, "")
        self.events.append({"ev": "answered", "board": board, "kid": kid.hex(), "piv": piv, "command": command, "status": status})
        if status == OK:
            return
        self.counts.append(f"answer_{status[:20]}")
        if command is not None:
            # This answer is spent; the next uplink gets another one.
            db.execute(
                "UPDATE command SET state = 'waiting', note = ?, moved_ms = ? WHERE id = ? AND state = 'sent'",
                (f"not sent: {status}", now_ms, command),
            )

    def _one(self, db: sqlite3.Connection, heard: Heard, unix_s: float, left_s: float) -> None:
        now_ms = round(unix_s * 1000)
        tried = self._result(db, heard, now_ms)
        open_ = commands.waiting(db, heard.kid.board)
        if heard.known.get(ANSWER) is not True and not (heard.source.wired and open_):
            return
        keys = heard.kid.keys
        if not keys.k_dn or keys.kid in self.unsafe:
            self.counts.append("answer_withheld")
            return
        if not heard.source.wired and left_s < LEAST_S:
            self.counts.append("answer_late")  # from before a restart, or the disk is slow: the board listens no more
            return
        if db.execute("SELECT 1 FROM downlink WHERE kid = ? AND piv = ?", (keys.kid, heard.piv)).fetchone():
            return
        command, payload = self._payload(db, heard, open_, tried, unix_s, left_s)
        self._seal(db, heard, command, payload, now_ms)

    def _result(self, db: sqlite3.Connection, heard: Heard, now_ms: int) -> int | None:
        """What an uplink says of a command; returns its id while the board tries it out."""
        ident, result = heard.known.get(COMMAND), heard.known.get(RESULT)
        if type(ident) is not int:
            return None
        row = db.execute("SELECT * FROM command WHERE id = ? AND board = ? AND sent", (ident, heard.kid.board)).fetchone()
        if row is None:
            return None
        command = Command._make(row)
        if type(result) is not int:
            db.execute("UPDATE command SET note = 'on trial' WHERE id = ? AND state = 'sent'", (ident,))
            return ident
        state = commands.DONE if result == 0 else commands.REFUSED
        if (command.state, command.result) != (state, result):
            note = "" if result == 0 else DEVICE_ERRORS.get(result, f"error {result}")
            commands.move(db, ident, state, now_ms, note, result)
            self._event(heard.kid.board, ident, state, result=result, error=note)
        return None

    def _payload(  # noqa: PLR0917 - what the answer depends on
        self, db: sqlite3.Connection, heard: Heard, open_: list[Command], tried: int | None, unix_s: float, left_s: float
    ) -> tuple[Command | None, bytes]:
        """The answer's content, at most what the radio takes: a command, the time, or an empty map."""
        keys = heard.kid.keys
        room = heard.source.answer_max - 1 - len(keys.kid) - (heard.piv.bit_length() + 7) // 8 - TAG_LEN
        base: dict[int, Any] = {}
        if unix_s >= EARLIEST_UNIX_S:
            base[TIME] = round(unix_s + (0 if heard.source.wired else left_s))
        queue = [] if tried is not None else open_
        for index, command in enumerate(queue):
            own = cbor2.loads(command.payload)
            if not own and TIME not in base:
                continue  # asks for the time, which nobody knows yet
            content = {**base, **own, COMMAND: command.id}
            if index + 1 < len(queue):
                content[MORE] = True
            for left_out in (None, TIME) if own else (None,):
                content.pop(left_out, None)
                if len(data := cbor.dumps(content)) <= room:
                    return command, data
            note = f"does not fit into {heard.source.answer_max} bytes"
            commands.move(db, command.id, commands.REFUSED, round(unix_s * 1000), note)
            self._event(heard.kid.board, command.id, commands.REFUSED)
        return None, cbor.dumps(self._block(db, heard, room) or base)

    def _block(self, db: sqlite3.Connection, heard: Heard, room: int) -> dict[int, Any]:
        """The block of a release that a board asks for; it does not know how its release is called, its last command does."""
        if self._releases is None or BLOCK not in heard.known:
            return {}
        name = commands.release(db, heard.kid.board)
        block = self._releases.answer(name, heard.known[BLOCK], room - 1) if name else None
        return {BLOCK: block} if block else {}

    def _seal(self, db: sqlite3.Connection, heard: Heard, command: Command | None, payload: bytes, now_ms: int) -> None:
        keys = heard.kid.keys
        frame = seal(keys, heard.piv, payload, down=True)
        number = self._generation + len(self._made) + 1
        ident = command.id if command else None
        db.execute(
            "INSERT INTO downlink (kid, piv, frame, number, command, bridge, made_ms) VALUES (?,?,?,?,?,?,?)",
            (keys.kid, heard.piv, frame, number, ident, heard.source.board, now_ms),
        )
        db.execute("UPDATE controller SET generation = ?", (number,))
        if command:
            note = "" if command.sent == 0 else f"sent {command.sent + 1} times"
            db.execute(
                "UPDATE command SET state = 'sent', sent = sent + 1, moved_ms = ?, note = ? WHERE id = ?", (now_ms, note, ident)
            )
            self._event(heard.kid.board, command.id, commands.SENT, what=command.what)
        at_ms = 0 if heard.source.wired else (heard.t_ms + ANSWER_MS) & 0xFFFFFFFF or 1
        self._made.append(Answer(heard.source, number, frame, at_ms))
        self._fresh.add(keys.kid.hex())
        self.events.append({"ev": "answer", "board": heard.kid.board, "kid": keys.kid.hex(), "piv": heard.piv, "command": ident})

    def _event(self, board: str, command: int, state: str, **more: Any) -> None:
        self.events.append({"ev": "command", "board": board, "command": command, "state": state, **more})

    # Afterwards

    def committed(self) -> list[Answer]:
        """The transaction is on disk: count it beside the store, then the answers may leave. None leave when that fails."""
        made, self._made = self._made, []
        if not made:
            return []
        self._generation = made[-1].number
        self._used |= self._fresh
        return made if self._count() else []

    def _count(self) -> bool:
        """Write the generation beside the store. A disk that does not take it ends the answers, not the gateway."""
        try:
            self._file.write(self._generation, self._used)
        except HostError as error:
            log.error("%s", error)
            return False
        return True

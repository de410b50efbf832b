"""Frames become verified readings: the receiver's order, the windows, the dates, one transaction a group.

No socket and no clock in here: `Receiver.take` is a function of what came in, the store and the two times it is given.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import cbor2

from firmware.wire.errors import WireError
from firmware.wire.hdlc import PROTO_FRAME, PROTO_MESSAGE
from firmware.wire.host import payload as wire_payload
from firmware.wire.host.errors import DEVICE_ERRORS
from firmware.wire.host.receiver import authenticate
from firmware.wire.link import HEARD, HELLO, SENT, parse
from firmware.wire.quantities import AGE, ANSWER, COMMAND, ERROR
from gateway import quick
from gateway.clock import EARLIEST_UNIX_S
from gateway.downlink import ANSWER_MS, Answer, Controller, Heard
from gateway.errors import HostError
from gateway.ingress.source import Source
from gateway.store import DIRECT, FILLS, OPAQUE, REPEAT, Group, Kid, Store
from gateway.values import named

log = logging.getLogger("gateway.receive")

# (where it came in, our monotonic seconds then, HDLC protocol, body). Two more kinds come in the same order: the port was
# opened, and something to count by the name in its body.
Item = tuple[Source, float, int, bytes]
OPENED, COUNT = -1, -2
Event = dict[str, Any]
How = tuple[int, int | None, int | None, str]  # heard_ms, rssi_dbm, snr_x4, channel

_EARLIEST_MS = -(2**60)  # the protocol limits neither age nor step, the store does
_QUIET_S = 60.0  # between two log lines of the same alarm; every one is counted
KINDS = ("direct", "repeat", "fills", "opaque")


@dataclass(slots=True)
class Taken:
    """What a committed group asks for: `answers` to hand over first, `handled` by source the number to acknowledge,
    `asks` who must say hello.
    """

    handled: dict[Source, int] = field(default_factory=dict)
    asks: list[Source] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    readings: int = 0
    events: list[Event] = field(default_factory=list)


class Receiver:
    """Holds the key contexts (kid -> Kid) and the sources; the store holds their truth. `events`: also make events.
    `controller`: answers, where this gateway may.
    """

    def __init__(
        self, store: Store, kids: Iterable[Kid], sources: Iterable[Source], boot: str, events: bool = False, *,
        controller: Controller | None = None,
    ) -> None:  # fmt: skip
        self.kids: dict[bytes, Kid] = {kid.keys.kid: kid for kid in kids}
        self._sources = tuple(sources)
        self._store = store
        self._boot = boot
        self._want_events = events
        self._controller = controller
        self._mono_s = 0.0
        self._counts: dict[str, int] = {}
        self._group = Group()
        self._taken = Taken()
        self._quiet_until_s: dict[str, float] = {}
        self._ahead_ms = 0  # unix minus monotonic; 0 while the clock is not set
        store.load(self.kids.values())

    def flush(self) -> None:
        """Write the dirt counted since the last group. Raises HostError as the store does, and keeps it then."""
        self._fold_counts()
        if self._counts:
            self._store.write(Group(counts=self._counts))
            self._counts = {}

    def take(self, items: Iterable[Item], unix_s: float, mono_s: float) -> Taken:
        """Judge, date and commit what came in; only when this returns may it be acknowledged.

        Raises HostError (disk_full, disk_error, bad_store); then nothing has happened and the same items may come again.
        """
        known = unix_s >= EARLIEST_UNIX_S
        self._ahead_ms = round((unix_s - mono_s) * 1000) if known else 0
        self._mono_s = mono_s
        self._fold_counts()
        self._group = group = Group(None if known else self._boot, counts=dict(self._counts))
        self._taken = taken = Taken()
        before = [(source, source.numbering.save()) for source in self._sources]
        self._judge(items)
        for source, state in before:
            self._line(source, state)
        control = self._controller
        if control and control.pending:
            group.also = lambda db: self._control(db, unix_s)
        try:
            if group:
                self._store.write(group)
        except HostError:
            if control:
                control.undone()
            self._store.load(self.kids.values())
            for source, state in before:
                source.numbering.restore(state)
            raise
        self._counts = {}
        taken.readings = len(group.readings)
        if control:
            taken.answers = control.committed()
            if self._want_events:
                taken.events += control.events
            control.events = []
        return taken

    def _control(self, db: sqlite3.Connection, unix_s: float) -> None:
        assert self._controller is not None
        self._controller.decide(db, unix_s)
        for name in self._controller.counts:
            self._group.count(name)

    def _judge(self, items: Iterable[Item]) -> None:
        for source, at_s, proto, body in items:
            if proto == PROTO_MESSAGE:
                self._message(source, at_s, body)
            elif proto == PROTO_FRAME:
                self._frame(source, at_s, body, None, None, None)
            elif proto == OPENED:
                source.opened()
            elif proto == COUNT:
                self._group.count(body.decode())

    def _line(self, source: Source, before: dict[str, Any]) -> None:
        """What a line's numbers say at the end of a group."""
        numbering = source.numbering
        if source.board in self._group.links:
            self._group.links[source.board] = numbering.pack()
        # Said once more when the board sends it again: the last acknowledgement did not arrive.
        news = numbering.handled != before["handled"] or numbering.begun != before["begun"]
        if news and numbering.handled is not None:
            self._taken.handled[source] = numbering.handled
        if numbering.gaps != before["gaps"] and not numbering.synced:
            self._taken.asks.append(source)
        if lost := numbering.lost - before["lost"]:
            log.warning("%s: %d frames were lost between board and daemon", source.board, lost)
            self._group.count("line_lost", lost)

    def _fold_counts(self) -> None:
        """Dirt on the lines needs no sync of its own: it is written with the next group, or by `flush`."""
        for source in self._sources:
            for name, n in source.dirt().items():
                self._counts[name] = self._counts.get(name, 0) + n

    def _message(self, source: Source, at_s: float, body: bytes) -> None:
        try:
            # Nearly every message is a heard frame; its CRC was right, and its types are looked at below.
            message = cbor2.loads(body)
        except Exception:
            message = None
        if type(message) is list and message and message[0] == HEARD and self._heard(source, at_s, message):
            return
        try:
            message = parse(body)
        except WireError:
            self._group.count("line_message")
            return
        if message[0] == HELLO and self._hello(source, at_s, message):
            return
        if message[0] == SENT and self._sent(message):
            return
        # From a newer firmware, an answer that nobody waits for, or badly made.
        self._group.count("line_message" if message[0] in (HEARD, HELLO) else "line_unknown")

    def _sent(self, message: list[Any]) -> bool:
        if self._controller is None or len(message) < 3 or not (type(message[1]) is int and type(message[2]) is str):
            return False
        self._controller.sent(message[1], message[2])
        return True

    def _hello(self, source: Source, at_s: float, message: list[Any]) -> bool:
        if len(message) < 7 or not type(message[4]) is type(message[5]) is type(message[6]) is int:
            return False
        _, firmware, uid, _, t_ms, heard, overflow = message[:7]
        source.clock.hello(t_ms, at_s)
        source.numbering.hello(heard)
        log.info("%s: hello of %s, firmware %s, %d heard, %d overflowed", source.board, uid, firmware, heard, overflow)
        self._event("hello", board=source.board, uid=str(uid), firmware=str(firmware), heard=heard, overflow=overflow)
        return True

    def _heard(self, source: Source, at_s: float, message: list[Any]) -> bool:
        if len(message) < 6:
            return False
        _, seq, frame, rssi_dbm, snr_x4, t_ms = message[:6]
        if not (type(seq) is type(t_ms) is int and type(frame) is bytes and _whole(rssi_dbm) and _whole(snr_x4)):
            return False
        if source.numbering.heard(seq, frame):
            self._group.count("line_resent")
        else:
            self._group.links[source.board] = b""
            self._frame(source, source.clock.heard(t_ms, at_s), frame, rssi_dbm, snr_x4, t_ms)
        return True

    def _frame(  # noqa: PLR0917 - a message's parts
        self, source: Source, mono_s: float, frame: bytes, rssi_dbm: int | None, snr_x4: int | None, t_ms: int | None
    ) -> None:
        """One frame whose reception ended at `mono_s`, on the board's clock at `t_ms`."""
        try:
            accepted = authenticate(self.kids, frame)
        except WireError as refused:
            self._refused(source, frame, refused.name)
            return
        quick.read(accepted)
        kid: Kid = accepted.context
        piv: int = accepted.frame.piv
        error: str | None = accepted.error
        kid.window.accept(piv, accepted.frame.tag)
        kid.stored += 1
        group = self._group
        group.kids.add(kid)
        heard_ms = int(mono_s * 1000) + self._ahead_ms
        if error:
            group.count(error)
            opaque = (accepted.frame.kid, piv, 0, OPAQUE, heard_ms, heard_ms, rssi_dbm, snr_x4, source.board, None, frame)
            group.readings.append(opaque)
            log.warning("%s: payload of frame %d: %s", kid.board, piv, error)
            self._event("error", name=error, board=kid.board, kid=kid.keys.kid.hex(), piv=piv)
            return
        unix_ms = heard_ms
        if rssi_dbm is not None:
            unix_ms -= source.airtime_ms(len(frame))
        known = accepted.map
        if AGE in known:
            unix_ms = max(unix_ms - 1000 * known[AGE], _EARLIEST_MS)
        if ERROR in known:
            self._device_error(kid, known[ERROR])
        if self._controller and t_ms is not None and (ANSWER in known or COMMAND in known or source.wired):
            left_s = mono_s + ANSWER_MS / 1000 - self._mono_s
            self._controller.heard(Heard(source, kid, piv, known, t_ms, left_s))
        how = (heard_ms, rssi_dbm, snr_x4, source.board)
        entries = accepted.entries
        if len(entries) == 1 and not kid.recovered:
            kid.direct += 1
            values = entries[0][3]
            row = (accepted.frame.kid, piv, 0, DIRECT, unix_ms, *how, cbor2.dumps(values), frame)
            group.readings.append(row)
            if self._want_events:
                self._stored(kid, row, values)
        else:
            self._several(kid, entries, unix_ms, how, frame)

    def _several(self, kid: Kid, entries: quick.Entries, newest_ms: int, how: How, frame: bytes) -> None:
        """Rows of a frame of several readings, oldest first, or of one that may have come by a repeat before."""
        recovered = kid.recovered
        bottom = kid.window.highest - kid.window.width
        last = len(entries) - 1
        for index, (piv, kind, offset_s, values) in enumerate(entries):
            unix_ms = max(newest_ms - offset_s * 1000, _EARLIEST_MS)
            if kind == wire_payload.REPEAT:
                if piv in recovered or piv <= bottom:
                    continue
                recovered.add(piv)
                kid.repeats += 1
                key = (0, REPEAT)
                via: How = (how[0], None, None, how[3])  # the link is that of another frame
            else:
                kid.direct += 1
                key = (last - index, DIRECT)
                via = how
                if index == last and piv in recovered:
                    recovered.discard(piv)
                    kid.repeats -= 1
                    key = (0, FILLS)
            whole = frame if index == last else None
            row = (kid.keys.kid, piv, *key, unix_ms, *via, cbor2.dumps(values), whole)
            self._group.readings.append(row)
            if self._want_events:
                self._stored(kid, row, values)
        if len(recovered) > kid.window.width:
            kid.recovered = {piv for piv in recovered if piv > bottom}

    def _stored(self, kid: Kid, row: tuple[Any, ...], values: dict[int, Any]) -> None:
        _, piv, _, kind, unix_ms, _, rssi_dbm, snr_x4, *_ = row
        self._event(
            "stored",
            board=kid.board,
            kid=kid.keys.kid.hex(),
            piv=piv,
            how=KINDS[kind],
            values=named(values),
            rssi_dbm=rssi_dbm,
            snr_db=None if snr_x4 is None else snr_x4 / 4,
            time=None if self._group.boot else unix_ms / 1000,
        )

    def _refused(self, source: Source, frame: bytes, name: str) -> None:
        """Count a frame by its error; only a duplicate is surely what its kid says."""
        if name == "duplicate":
            kid = self.kids[frame[1:5] if frame[0] & 0x08 else frame[1:3]]
            kid.duplicates += 1
            self._group.kids.add(kid)
            self._event("duplicate", board=kid.board, kid=kid.keys.kid.hex())
            return
        self._group.count(name)
        if name == "reuse":
            self._alarm(name, "an authentic frame under a counter that was used: is a board cloned? %s", frame.hex())
        elif name == "old":
            self._alarm(name, "an authentic frame from below the window: has a board lost its counter? %s", frame.hex())
        else:
            log.debug("%s: %s: %s", source.board, name, frame.hex())
        self._event("error", name=name, board=source.board, frame=frame.hex())

    def _alarm(self, name: str, text: str, detail: str) -> None:
        """Log it, but not a flood of it."""
        now_s = time.monotonic()
        if now_s >= self._quiet_until_s.get(name, 0.0):
            self._quiet_until_s[name] = now_s + _QUIET_S
            log.error(text, detail)

    def _device_error(self, kid: Kid, code: int) -> None:
        name = DEVICE_ERRORS.get(code, f"device_{code}")
        self._group.count(name)
        log.warning("%s reports: %s", kid.board, name)
        self._event("error", name=name, board=kid.board, kid=kid.keys.kid.hex())

    def _event(self, kind: str, **fields: Any) -> None:
        if self._want_events:
            self._taken.events.append({"ev": kind, **fields})


def _whole(value: object) -> bool:
    return value is None or (type(value) is int and -(2**31) <= value < 2**31)

"""One frame of a reader or a controller: the receiver's order, its dates, its row. Pure state, no clock and no socket."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from firmware.wire.errors import WireError
from firmware.wire.frame import TAG_LEN
from firmware.wire.host.errors import DEVICE_ERRORS
from firmware.wire.host.receiver import authenticate
from firmware.wire.quantities import AGE, ALARM, ANSWER, COMMAND, ERROR
from gateway import fold, quick
from gateway.downlink import ANSWER_MS, Answer, Asked, Controller, Heard
from gateway.fold import EARLIEST_MS, Kid
from gateway.ingress.source import Source
from gateway.quick import Entries
from gateway.store import Group
from gateway.uplink import OPAQUE, REPEAT, Row
from gateway.values import named
from gateway.watch import Watch

log = logging.getLogger("gateway.receive")

Event = dict[str, Any]

KINDS = ("direct", "fills", "repeat")


@dataclass(slots=True)
class Taken:
    """What a committed group asks for: `answers` to hand over first, `handled` by source the number to acknowledge,
    `asks` who must say hello, `done` whom to tell that it is on disk.

    rows: what was stored and has a date; entries: of each, all entries of its payload, for gateway.fold.entries.
    """

    handled: dict[Source, int] = field(default_factory=dict)
    asks: list[Source] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    stored: int = 0
    rows: list[Row] = field(default_factory=list)
    entries: list[Entries] = field(default_factory=list)
    done: list[Callable[[], None]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


@dataclass(slots=True)
class Gathered:
    """What was judged and is not yet on disk: `group` for the store, `taken` for afterwards.

    kids, links: whose row is written, because its state is no fold of `uplink` any more. urgent: nobody may wait for it.
    openings: how often each port had been opened, and its board begun anew, when its last item was judged. stale: the disk
    did not take it at once. asked: what the controller decides. noted: work for the same transaction, of what `alarms` says.
    """

    group: Group = field(default_factory=Group)
    taken: Taken = field(default_factory=Taken)
    kids: set[Kid] = field(default_factory=set)
    links: set[Source] = field(default_factory=set)
    urgent: bool = False
    openings: dict[Source, tuple[int, int]] = field(default_factory=dict)
    stale: bool = False
    asked: Asked | None = None
    noted: Callable[[sqlite3.Connection], None] | None = None
    alarms: list[Event] = field(default_factory=list)

    def event(self, kind: str, **fields: Any) -> None:
        self.taken.events.append({"ev": kind, **fields})


class Judge:
    """Holds the key contexts (kid -> Kid). `events`: also make events. `controller`: hears what asks, where there is one.

    `watch`: hears what may become an alarm, and knows the key ids that are retired.

    ahead_ms: unix minus monotonic time; now_ms: unix time now. Both None while the clock is not set.
    """

    def __init__(self, kids: dict[bytes, Kid], events: bool, controller: Controller | None, watch: Watch) -> None:
        self.kids = kids
        self.ahead_ms: int | None = None
        self.now_ms: int | None = None
        self._want_events = events
        self._controller = controller
        self._watch = watch

    def frame(  # noqa: PLR0917 - a message's parts
        self, into: Gathered, source: Source, mono_s: float, frame: bytes,
        rssi_dbm: int | None, snr_x4: int | None, t_ms: int | None, seq: int | None,
    ) -> Kid | None:  # fmt: skip
        """One frame whose reception ended at `mono_s`, on the board's clock at `t_ms`. Whose it is, when it is accepted."""
        try:
            accepted = authenticate(self.kids, frame)
        except WireError as refused:
            self._refused(into, source, frame, refused.name)
            return None
        kid: Kid = accepted.context
        if self._watch.retired(kid.keys.kid):
            self._refused(into, source, frame, "retired")
            return None
        piv: int = accepted.frame.piv
        undated = self.ahead_ms is None
        unix_ms = heard_ms = int(mono_s * 1000) + (self.ahead_ms or 0)
        try:
            known, found = quick.parse(accepted.payload, piv)
        except WireError as error:
            self._opaque(into, kid, piv, error.name)
            known, found = {}, []
            kind, take, direct = OPAQUE, 0, 0
        else:
            if rssi_dbm is not None:
                unix_ms -= source.airtime_ms(len(frame))
            if AGE in known:
                unix_ms = max(unix_ms - 1000 * known[AGE], EARLIEST_MS)
            if ERROR in known:
                self._device_error(into, kid, known[ERROR])
            if self._controller and t_ms is not None and (ANSWER in known or COMMAND in known or source.wired):
                self._controller.heard(Heard(source, kid, piv, known, t_ms, mono_s + ANSWER_MS / 1000))
                into.urgent = True
            kind, take = fold.judge(kid, piv, found)
            direct = 1 if len(found) == 1 else fold.own(found)
        tag = accepted.frame.tag
        fold.apply(kid, piv, tag, kind, take, direct)
        urgent = bool(found) and ALARM in found[-1][3]
        if urgent:
            into.urgent = True
        row = (
            kid.keys.kid, piv, kind, take, urgent, unix_ms, heard_ms - unix_ms, undated or None, rssi_dbm, snr_x4, source.board,
            None if seq is None else seq & 0xFFFFFFFF, accepted.payload, frame[accepted.frame.end - TAG_LEN :], None,
        )  # fmt: skip
        into.group.rows.append(row)
        into.taken.entries.append(found)
        if self._want_events:
            self._stored(into, kid, Row._make((0, *row)), found)
        return kid

    def _opaque(self, into: Gathered, kid: Kid, piv: int, name: str) -> None:
        into.group.count(name)
        log.warning("%s: payload of frame %d: %s", kid.board, piv, name)
        if self._want_events:
            into.event("error", name=name, board=kid.board, kid=kid.keys.kid.hex(), piv=piv)

    def _stored(self, into: Gathered, kid: Kid, row: Row, found: Entries) -> None:
        for entry in fold.entries(row, found):
            alone = entry.kind == REPEAT  # the link is that of another frame
            into.event(
                "stored",
                board=kid.board,
                kid=kid.keys.kid.hex(),
                piv=entry.piv,
                how=KINDS[entry.kind],
                values=named(entry.values),
                rssi_dbm=None if alone else row.rssi_dbm,
                snr_db=None if alone or row.snr_x4 is None else row.snr_x4 / 4,
                time=None if row.boot else entry.unix_ms / 1000,
            )

    def _refused(self, into: Gathered, source: Source, frame: bytes, name: str) -> None:
        """Count a frame by its error; only a duplicate is surely what its kid says, and only our kids are told apart."""
        kid_bytes = frame[1:5] if frame[:1] and frame[0] & 0x08 else frame[1:3]
        if name == "duplicate":
            kid = self.kids[kid_bytes]
            kid.duplicates += 1
            into.kids.add(kid)
            if self._want_events:
                into.event("duplicate", board=kid.board, kid=kid.keys.kid.hex())
            return
        into.group.count(name)
        if self._watch.note(name, kid_bytes, self.now_ms):
            into.urgent = True
        log.debug("%s: %s: %s", source.board, name, frame.hex())
        if self._want_events:
            into.event("error", name=name, board=source.board, frame=frame.hex())

    def _device_error(self, into: Gathered, kid: Kid, code: int) -> None:
        name = DEVICE_ERRORS.get(code, f"device_{code}")
        into.group.count(name)
        log.warning("%s reports: %s", kid.board, name)
        if self._want_events:
            into.event("error", name=name, board=kid.board, kid=kid.keys.kid.hex())

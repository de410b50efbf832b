"""Frames become rows: the messages of the lines, what makes a group, and what its commit allows.

No socket and no clock in here. `judge` and `seal` belong to the event loop, `commit` to the store's thread, so that the next
group is judged while the disk syncs. A group that the disk does not take is committed again as it is: nothing of it was
acknowledged.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import cbor2

from firmware.wire.errors import WireError
from firmware.wire.hdlc import PROTO_FRAME, PROTO_MESSAGE
from firmware.wire.link import HEARD, HELLO, SENT, parse
from firmware.wire.seal import Keys
from gateway import fold
from gateway.alarms import tell
from gateway.clock import EARLIEST_UNIX_S
from gateway.downlink import Asked, Controller
from gateway.fold import NOBODY, Kid
from gateway.ingress.frames import Batch
from gateway.ingress.source import Source
from gateway.judge import Gathered, Judge, Taken
from gateway.store import Group, Store
from gateway.street import BLIND, Blind
from gateway.uplink import Row
from gateway.watch import Watch

log = logging.getLogger("gateway.receive")

# (where it came in, our monotonic seconds then, HDLC protocol, body). Two more kinds come in the same order: the port was
# opened, and something to count by the name in its body.
Item = tuple[Source, float, int, bytes]
OPENED, COUNT = -1, -2

_LINE_MAX = 32  # frames of one line that wait for a group to end; a bridge keeps 64
# Rows behind the folded contexts, which are applied when the daemon starts: so many at least, and so many for each context
# that would be written, that these writes stay a small part of all.
_FOLD_ROWS, _FOLD_ROWS_MAX, _ROWS_A_KID = 5000, 100_000, 140
_BOOT = Row._fields.index("boot") - 1  # in a row without id


class Receiver:
    """Holds the key contexts (kid -> Kid) and the sources; the store holds their truth. `events`: also make events.
    `controller`: answers, where this gateway may. `watch`: alarms and retired key ids. `role`: relay and street pass frames on
    unread, those that nothing proves at `per_min` a line.
    """

    def __init__(
        self, store: Store, kids: Iterable[Kid], sources: Iterable[Source], boot: str, events: bool = False, *,
        controller: Controller | None = None, watch: Watch | None = None, role: str = "reader", per_min: int = 240,
    ) -> None:  # fmt: skip
        self.kids: dict[bytes, Kid] = {kid.keys.kid: kid for kid in kids}
        self._sources = tuple(sources)
        self._store = store
        self._boot = boot
        self._controller = controller
        self._watch = watch or Watch(store, {kid.keys.kid: kid.board for kid in self.kids.values()})
        self._judge = Judge(self.kids, events, controller, self._watch)
        if role in BLIND:
            self.kids[NOBODY] = Kid(Keys(NOBODY), "")
            self._judge = Blind(role, self.kids, events, self._watch, per_min)
        self._want_events = events
        self._counts: dict[str, int] = {}  # dirt, which waits for company
        self._before: dict[Source, tuple[Any, ...]] = {}
        self._lines: dict[Source, int] = {}  # frames of each line in the group
        standing = fold.load(store, self.kids.values())
        # Since contexts and links were folded: rows, and whom they changed.
        self._behind, self._changed, self._used = standing.behind, standing.changed, standing.used
        self._numbers = standing.numbers
        for source in self._sources:
            source.numbering = self._numbers.setdefault(source.board, source.numbering)
        self._begin()

    def _begin(self) -> None:
        self._gathered = Gathered()
        self._lines = {}
        self._before = {source: source.numbering.progress for source in self._sources}

    @property
    def accepted(self) -> tuple[int, int]:
        """Frames and readings that were ever accepted."""
        return sum(kid.stored for kid in self.kids.values()), sum(kid.direct + kid.repeats for kid in self.kids.values())

    # In the event loop

    def judge(self, items: Iterable[Item], unix_s: float, mono_s: float) -> None:
        """Judge and date what came in; it joins the group that is being gathered."""
        self._set_clock(unix_s, mono_s)
        for source, at_s, proto, body in items:
            if proto == PROTO_MESSAGE:
                self._message(source, at_s, body)
            elif proto == PROTO_FRAME:
                self._frame(source, at_s, body, None, None, None, None)
            elif proto == OPENED:
                source.opened()
            elif proto == COUNT:
                self._gathered.group.count(body.decode())
        for source in self._sources:
            self._late(source, source.early.before(None, mono_s))

    def tick(self, unix_s: float) -> None:
        """Now and then: alarms that are over, key ids that are retired. It is written in company, or by `seal(dirt=True)`."""
        if unix_s >= EARLIEST_UNIX_S:
            self._watch.tick(lambda kid: kid in self.kids and self.kids[kid].stored > 0, round(unix_s * 1000))

    def changed(self, kids: Iterable[Kid]) -> None:
        """These contexts are written with the group."""
        self._gathered.kids |= set(kids)

    def alarm(self, name: str, unix_s: float) -> None:
        """Raise an alarm that concerns no key id; it is written as in `tick`."""
        self._watch.note(name, now_ms=round(unix_s * 1000) if unix_s >= EARLIEST_UNIX_S else None)

    def judge_elsewhere(self, batch: Batch, unix_s: float, mono_s: float) -> None:
        """The same with what another gateway heard and dated."""
        self._set_clock(unix_s, mono_s)
        self._judge.ahead_ms = 0  # they have dates
        for heard in batch.frames:
            unix_ms = heard.unix_ms if self._judge.now_ms is None else min(heard.unix_ms, self._judge.now_ms)
            how = heard.rssi_dbm, heard.snr_x4, None, None
            self._frame(heard.source, (unix_ms + 0.5) / 1000, heard.frame, *how)
        self._gathered.taken.done.append(batch.done)

    def _set_clock(self, unix_s: float, mono_s: float) -> None:
        known = unix_s >= EARLIEST_UNIX_S
        self._judge.ahead_ms = round((unix_s - mono_s) * 1000) if known else None
        self._judge.now_ms = round(unix_s * 1000) if known else None
        if not known:
            self._gathered.group.boot = self._boot

    def count(self, name: str, n: int = 1) -> None:
        """Count what happened; it is written in company."""
        self._counts[name] = self._counts.get(name, 0) + n

    @property
    def size(self) -> int:
        """Rows of the group."""
        return len(self._gathered.group.rows)

    @property
    def idle(self) -> bool:
        """Has the group nothing to write?"""
        gathered = self._gathered
        return not (gathered.group or gathered.kids or gathered.links or (self._controller and self._controller.pending))

    @property
    def urgent(self) -> bool:
        """May the group not wait for company?"""
        return self._gathered.urgent or max(self._lines.values(), default=0) >= _LINE_MAX

    def overdue(self, mono_s: float) -> bool:
        """Does a frame wait for its turn for too long? `judge` takes it then."""
        return any(source.early.overdue(mono_s) for source in self._sources)

    def give_up_order(self) -> None:
        """Judge what came before its turn, without waiting for the rest."""
        for source in self._sources:
            self._late(source, source.early.all())

    def seal(self, *, dirt: bool = False, folded: bool = False) -> Gathered:
        """End the group, to be committed, and begin the next one. dirt: write what was counted even when there is nothing else.
        folded: bring every context and link up to date.
        """
        gathered, group = self._gathered, self._gathered.group
        for source in self._sources:
            self._line(gathered, source)
        if self._controller and self._controller.pending:
            gathered.asked = self._controller.gather()
        self._behind += len(group.rows)
        if folded or self._behind >= min(max(_FOLD_ROWS, _ROWS_A_KID * len(self._changed)), _FOLD_ROWS_MAX):
            self._fold(gathered)
        group.contexts = [kid.row for kid in gathered.kids]
        for kid in gathered.kids:
            self._changed.pop(kid.keys.kid, None)
        group.links |= {source.board: source.numbering.pack() for source in gathered.links}
        gathered.noted, gathered.alarms = self._watch.drain()
        if self._counts and (dirt or group or gathered.asked or gathered.noted):
            for name, n in self._counts.items():
                group.count(name, n)
            self._counts = {}
        self._begin()
        return gathered

    def _fold(self, gathered: Gathered) -> None:
        if self._behind:
            gathered.group.folded = True
            gathered.kids |= set(self._changed.values())
            gathered.group.links = {board: self._numbers[board].pack() for board in self._used}
            self._behind, self._used = 0, set()

    def _line(self, gathered: Gathered, source: Source) -> None:
        """What a line's numbers say at the end of a group."""
        numbering, (handled, begun, gaps, lost) = source.numbering, self._before[source]
        gathered.openings[source] = source.openings, numbering.restarts
        if numbering.dirty:
            numbering.dirty = False
            gathered.links.add(source)
        # Said once more when the board sends it again: the last acknowledgement did not arrive.
        if numbering.handled is not None and (numbering.handled != handled or numbering.begun != begun):
            gathered.taken.handled[source] = numbering.handled
        if numbering.gaps != gaps and not numbering.synced:
            gathered.taken.asks.append(source)
        if lost := numbering.lost - lost:
            log.warning("%s: %d frames were lost between board and daemon", source.board, lost)
            gathered.group.count("line_lost", lost)
        for name, n in source.dirt().items():
            self._counts[name] = self._counts.get(name, 0) + n

    # In the store's thread

    def commit(self, gathered: Gathered, unix_s: float, mono_s: float) -> Taken:
        """Write a sealed group; only when this returns may it be acknowledged.

        Raises HostError (disk_full, disk_error, bad_store); then nothing has happened and the same group may come again.
        """
        group, taken, control = gathered.group, gathered.taken, self._controller
        decide = None
        if gathered.asked and control:
            decide = self._deciding(gathered.asked, group, control, unix_s, mono_s)
        works = [work for work in (gathered.noted, decide) if work]
        group.also = partial(_each, works) if works else None
        ids = self._store.write(group) if group else range(0)
        taken.stored = len(ids)
        tell(gathered.alarms)
        if self._want_events:
            taken.events += gathered.alarms
        if group.boot is None:
            taken.rows = [Row._make((number, *row)) for number, row in zip(ids, group.rows, strict=True)]
        else:
            dated = [n for n, row in enumerate(group.rows) if not row[_BOOT]]
            taken.rows = [Row._make((ids[n], *group.rows[n])) for n in dated]
            taken.entries = [taken.entries[n] for n in dated]
        if gathered.asked and control:
            taken.answers = control.committed()
            if self._want_events:
                taken.events += control.events
        return taken

    @staticmethod
    def _deciding(
        asked: Asked, group: Group, control: Controller, unix_s: float, mono_s: float
    ) -> Callable[[sqlite3.Connection], None]:
        before = dict(group.counts)

        def decide(db: sqlite3.Connection) -> None:
            group.counts = dict(before)  # of an attempt that failed, nothing counts
            control.decide(db, asked, unix_s, mono_s)
            for name in control.counts:
                group.count(name)

        return decide

    # Messages

    def _message(self, source: Source, at_s: float, body: bytes) -> None:
        try:
            # Nearly every message is a heard frame; its CRC was right, and its types are looked at below.
            message = cbor2.loads(body)
        except Exception:
            message = None
        if type(message) is list and message and message[0] == HEARD and self._heard(source, at_s, message):
            return
        count = self._gathered.group.count
        try:
            message = parse(body)
        except WireError:
            count("line_message")
            return
        if message[0] == HELLO and self._hello(source, at_s, message):
            return
        if message[0] == SENT and self._sent(message):
            return
        # From a newer firmware, an answer that nobody waits for, or badly made.
        count("line_message" if message[0] in (HEARD, HELLO) else "line_unknown")

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
        restarts = source.numbering.restarts
        source.numbering.hello(heard)
        if source.numbering.restarts != restarts:  # what came early is of another count, and does not come again
            self._late(source, source.early.all())
        log.info("%s: hello of %s, firmware %s, %d heard, %d overflowed", source.board, uid, firmware, heard, overflow)
        if self._want_events:
            said = {"uid": str(uid), "firmware": str(firmware), "heard": heard, "overflow": overflow}
            self._gathered.event("hello", board=source.board, **said)
        return True

    def _heard(self, source: Source, at_s: float, message: list[Any]) -> bool:
        if len(message) < 6:
            return False
        _, seq, frame, rssi_dbm, snr_x4, t_ms = message[:6]
        if not (type(seq) is type(t_ms) is int and type(frame) is bytes and _whole(rssi_dbm) and _whole(snr_x4)):
            return False
        resent = source.numbering.heard(seq, frame)
        if resent is None:
            source.early.add(seq, at_s, message)
            return True
        self._late(source, source.early.before(seq, at_s))
        if resent:
            self._lines[source] = self._lines.get(source, 0) + 1
            self._gathered.group.count("line_resent")
        else:
            self._take(source, at_s, message)
        return True

    def _late(self, source: Source, held: list[tuple[int, float, list[Any]]]) -> None:
        """What came before its turn, and that turn did not come: the board no longer has it."""
        for seq, at_s, message in held:
            if source.numbering.late(seq, message[2]):
                self._take(source, at_s, message)

    def _take(self, source: Source, at_s: float, message: list[Any]) -> None:
        _, seq, frame, rssi_dbm, snr_x4, t_ms = message[:6]
        self._lines[source] = self._lines.get(source, 0) + 1
        if self._frame(source, source.clock.heard(t_ms, at_s), frame, rssi_dbm, snr_x4, t_ms, seq):
            self._used.add(source.board)
        else:
            self._gathered.links.add(source)

    def _frame(  # noqa: PLR0917 - a message's parts
        self, source: Source, mono_s: float, frame: bytes,
        rssi_dbm: int | None, snr_x4: int | None, t_ms: int | None, seq: int | None,
    ) -> bool:  # fmt: skip
        kid = self._judge.frame(self._gathered, source, mono_s, frame, rssi_dbm, snr_x4, t_ms, seq)
        if kid is None:
            return False
        self._changed[kid.keys.kid] = kid
        return True


def _each(works: Iterable[Callable[[sqlite3.Connection], None]], db: sqlite3.Connection) -> None:
    for work in works:
        work(db)


def _whole(value: object) -> bool:
    return value is None or (type(value) is int and -(2**31) <= value < 2**31)

"""What the daemon knows of the board at the other end of a serial line: its numbers, its clock, its radio. Pure state."""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import islice
from typing import Any

from firmware.wire.host.hdlc import Decoder

ANSWER_MAX = 128
_TAG = 8
_SEEN = struct.Struct(f">I{_TAG}s")
_BOARD_KEEPS = 64  # frames that are not handled, which it sends again after a hello
_SEEN_MAX = 80
# How often a board must begin at the same number before we believe that it no longer has those before it: the first message
# behind a hello may be lost on a bad line that often.
_BELIEVE = 8
EARLY_S = 10.0  # what came too early waits so long for a board that answers no hello
_WRAP_MS = 1 << 32
_HALF_MS = 1 << 31
# How far the quartz of a board may run behind ours: 100 ppm, in ms a second.
_DRIFT_MS = 0.1
# A hello is on its way for less than this; more means that the board's clock began anew.
_HELLO_MAX_S = 10.0


class Numbering:
    """The numbers of `[1, seq, ...]` on one link: what may be acknowledged, what is a resend, what is missing.

    Nothing is acknowledged from the opening of the port to the board's hello, after which it sends again what is not
    handled: an acknowledgement covers every number up to it, and we do not know which ones the board still holds. The same
    after a gap (a line lost on the serial port). What comes meanwhile is early: the board will send what lies before it, and it.
    """

    def __init__(self, seen: bytes = b"") -> None:
        self.seen: dict[int, bytes] = dict(_SEEN.iter_unpack(seen))
        self.synced = False
        self.expected: int | None = None
        self.handled: int | None = None
        self.gaps = 0  # how often a hello was needed
        self.lost = 0  # numbers that never came
        self.begun = 0  # how often the board began again after a hello
        self.restarts = 0  # how often the board began to count anew
        self.dirty = False  # what is remembered has changed otherwise than by `note`
        self._waits = False  # for a hello, before which nothing is in order
        self._told = 0  # what the last hello said
        self._doubted: int | None = None
        self._doubts = 0

    def opened(self) -> None:
        """The port was opened: another board may be at its end."""
        self.synced = False
        self._waits = True
        self.expected = self.handled = self._doubted = None

    def hello(self, heard: int) -> None:
        """The board said hello, `heard` frames since its boot: what it sends next is the oldest that it holds."""
        if any(heard < seq for seq in self.seen):  # it counts anew
            self.dirty = self.dirty or bool(self.seen)
            self.seen.clear()
            self.handled = None
            self.restarts += 1
        self.synced = True
        self._waits = False
        self._told = heard
        self.expected = None

    def heard(self, seq: int, frame: bytes) -> bool | None:
        """Note a frame. True when it is a resend: handled before, and its effects stored together with this answer. None when
        it is early, and nothing is noted: it comes again in its turn, or is given to `late`.
        """
        tag = frame[-_TAG:]
        resend = self.seen.get(seq) == tag
        if seq == self.expected:
            self.expected = seq + 1
            self.handled = seq
        elif self.synced:
            if self.expected is None:
                self._first(seq)
            elif seq > self.expected:
                self._ask()
        if not resend:
            if self._waits:
                return None
            self.note(seq, tag)
        return resend

    def late(self, seq: int, frame: bytes) -> bool:
        """Note a frame that came early and never came in its turn. False: it was noted since."""
        tag = frame[-_TAG:]
        if self.seen.get(seq) == tag:
            return False
        self.note(seq, tag)
        return True

    def note(self, seq: int, tag: bytes) -> None:
        """Remember what a number ended with. The last of them are kept."""
        seen = self.seen
        seen.pop(seq, None)
        seen[seq] = tag
        if len(seen) >= 2 * _SEEN_MAX:
            self.seen = dict(islice(seen.items(), _SEEN_MAX, None))

    def _first(self, seq: int) -> None:
        """The first number after a hello: the oldest that the board holds, if nothing was lost or overtaken on the line."""
        keeps = max(1, seq - _BOARD_KEEPS, self._told - _BOARD_KEEPS + 1)
        missing = [n for n in range(keeps, seq) if n not in self.seen]
        if missing:
            # The board may hold them still, and would drop them at our word: believe it when it begins here again and again.
            self._doubts = self._doubts + 1 if seq == self._doubted else 1
            self._doubted = seq
            if self._doubts < _BELIEVE:
                self._ask()
                return
            for n in missing:
                self.note(n, bytes(_TAG))
            self.dirty = True
        if self.handled is not None and seq > self.handled + 1:
            self.lost += seq - self.handled - 1
        self.expected = seq + 1
        self.handled = seq
        self.begun += 1
        self._doubted = None

    def _ask(self) -> None:
        self.synced = False
        self._waits = True
        self.expected = None
        self.gaps += 1

    def pack(self) -> bytes:
        """The last numbers with their tags, for the store."""
        last = islice(self.seen.items(), max(0, len(self.seen) - _SEEN_MAX), None)
        return b"".join(_SEEN.pack(seq & 0xFFFFFFFF, tag) for seq, tag in last)

    @property
    def progress(self) -> tuple[int | None, int, int, int]:
        """What somebody may have to be told of: handled, begun, gaps, lost."""
        return self.handled, self.begun, self.gaps, self.lost


class Early:
    """Frames of one line that came before their turn: (number, our monotonic seconds, message), in the order of their numbers."""

    def __init__(self) -> None:
        self._held: dict[int, tuple[float, list[Any]]] = {}
        self._since_s = 0.0

    def add(self, seq: int, at_s: float, message: list[Any]) -> None:
        """Hold a frame."""
        if not self._held:
            self._since_s = at_s
        self._held[seq] = at_s, message

    def overdue(self, now_s: float) -> bool:
        """Has something waited for too long?"""
        return bool(self._held) and now_s - self._since_s > EARLY_S

    def before(self, seq: int | None, now_s: float) -> list[tuple[int, float, list[Any]]]:
        """Take out what must not wait: what lies before `seq`, which came in its turn (itself is forgotten); all of it after
        EARLY_S; the oldest of more than a board keeps.
        """
        held = self._held
        if not held:
            return []
        if self.overdue(now_s):
            return self.all()
        surplus = sorted(held)[: max(0, len(held) - _BOARD_KEEPS)]
        found = [(n, *held.pop(n)) for n in (surplus if seq is None else sorted(n for n in held if n < seq))]
        if seq is not None:
            held.pop(seq, None)
        return found

    def all(self) -> list[tuple[int, float, list[Any]]]:
        """Take out everything."""
        found = [(n, *self._held[n]) for n in sorted(self._held)]
        self._held.clear()
        return found


class BoardClock:
    """Turns a board's t_ms (monotonic, unsigned 32 bit, wraps) into our monotonic seconds.

    A message is never early: the least delay ever seen is nearest to the truth. It may grow by the drift of a quartz, so
    that the estimate follows. Resends carry old times and teach nothing.
    """

    def __init__(self) -> None:
        self._zero_ms: float | None = None  # our time at the board's 0, the least that any message allows
        self._at_s = 0.0  # when that was found

    def opened(self) -> None:
        """Another board may be at the end of the line."""
        self._zero_ms = None

    def hello(self, t_ms: int, now_s: float) -> None:
        """The board's clock shows t_ms about now."""
        if self._zero_ms is None or now_s - self.heard(t_ms, now_s) > _HELLO_MAX_S:
            self._zero_ms = now_s * 1000 - t_ms
            self._at_s = now_s

    def heard(self, t_ms: int, now_s: float) -> float:
        """Our monotonic seconds at t_ms, not later than now; now when no hello has come yet."""
        if self._zero_ms is None:
            return now_s
        zero_ms = self._zero_ms + (now_s - self._at_s) * _DRIFT_MS
        late_ms = now_s * 1000 - zero_ms - t_ms
        if not 0 <= late_ms < _HALF_MS:
            late_ms = (late_ms + _HALF_MS) % _WRAP_MS - _HALF_MS
            if late_ms < 0:
                self._zero_ms = zero_ms + late_ms
                self._at_s = now_s
                return now_s
        return now_s - late_ms / 1000


class Source:
    """One serial line: `board` by its name, `airtime_ms` of a frame of n bytes in its plan (wired: none).

    wired: the board at the end of the line is no bridge. answer_max: bytes of a frame that goes down this way.

    `feed` belongs to whoever reads the port, all the rest to the receiver.
    """

    def __init__(self, board: str, airtime_ms: Callable[[int], int] = lambda _: 0) -> None:
        self.board = board
        self.openings = 0  # of its port, as far as they were judged
        self.wired = False
        self.answer_max = ANSWER_MAX
        self.decoder = Decoder()
        self.numbering = Numbering()
        self.early = Early()
        self.clock = BoardClock()
        self._airtime_ms = airtime_ms
        self._airtimes: dict[int, int] = {}
        self._told = (0, 0, 0)

    def opened(self) -> None:
        """Another board may be at the end of the line now."""
        self.openings += 1
        self.numbering.opened()
        self.clock.opened()

    def airtime_ms(self, n_bytes: int) -> int:
        """Milliseconds on air of a frame."""
        try:
            return self._airtimes[n_bytes]
        except KeyError:
            return self._airtimes.setdefault(n_bytes, self._airtime_ms(n_bytes))

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Bytes of the line as (protocol, body), as firmware.wire.hdlc.Decoder. What was half read ends with `b"\\x7e"`."""
        return self.decoder.feed(data)  # type: ignore[no-any-return]

    def dirt(self) -> dict[str, int]:
        """What the line brought beside frames since the last call: counters by name."""
        now = (self.decoder.crc_errors, self.decoder.overlong, self.decoder.aborted)
        names = ("line_crc", "line_overlong", "line_aborted")
        found = {name: n - before for name, n, before in zip(names, now, self._told, strict=True) if n > before}
        self._told = now
        return found

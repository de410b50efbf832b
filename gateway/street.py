"""A gateway that may not read: what a relay (no keys) and a street gateway (k_hop) let pass, and what their files must say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from firmware.wire.errors import WireError
from firmware.wire.frame import TAG_LEN, Frame
from firmware.wire.host.receiver import Context, authenticate
from gateway import fold
from gateway.config import Config
from gateway.errors import Fault
from gateway.fold import NOBODY, Kid
from gateway.ingress.source import Source
from gateway.judge import Gathered, Judge
from gateway.uplink import SEALED
from gateway.watch import Watch

BLIND = ("relay", "street")


def faults(config: Config, role: str) -> Iterator[Fault]:
    """What gateway.toml must not ask of a gateway that may not read."""
    if role not in BLIND:
        return
    for index, upstream in enumerate(config.upstream):
        if upstream.format != "frames":
            what = f'a {role} cannot read: format "{upstream.format}" needs the keys of a reader'
            yield config.fault(("upstream", index, "format"), what, 'format = "frames"')
    if not config.upstream:
        yield config.fault(("gateway",), f"a {role} only passes frames on: it needs an [[upstream]]", 'format = "frames"')


class Bucket:
    """Lets `per_min` frames a minute pass, and as many at once after a quiet minute."""

    def __init__(self, per_min: int) -> None:
        self._per_min = per_min
        self._left = float(per_min)
        self._at_s: float | None = None

    def take(self, now_s: float) -> bool:
        """May one more pass at `now_s` (monotonic; a time before the last one counts as that)?"""
        if self._at_s is not None and now_s > self._at_s:
            self._left = min(self._left + (now_s - self._at_s) * self._per_min / 60, self._per_min)
        if self._at_s is None or now_s > self._at_s:
            self._at_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Passed(NamedTuple):
    """A frame to pass on. context: whose window it moves, or None; doubt: "", or "reuse" or "old" as the window says."""

    frame: Frame
    context: Context | None
    doubt: str


class Sieve:
    """Judges frames for a relay or a street gateway. What nothing proves new passes at `per_min` a channel and no faster,
    and never touches a window: whoever forges must not silence a board.
    """

    def __init__(self, role: str, contexts: Mapping[bytes, Context], per_min: int) -> None:
        self._role = role
        self._contexts = contexts
        self._per_min = per_min
        self._buckets: dict[str, Bucket] = {}

    def judge(self, buf: bytes, channel: str, now_s: float) -> Passed:
        """Raises WireError with the first name in the receiver's order; "rate": unproven, and too many of them."""
        accepted = authenticate(self._contexts, buf, self._role)
        frame, context = accepted.frame, accepted.context
        doubt = ""
        if context is not None and frame.hop:
            doubt = context.window.verdict(frame.piv) or ""
            if not doubt:
                return Passed(frame, context, "")
        if not self._buckets.setdefault(channel, Bucket(self._per_min)).take(now_s):
            raise WireError("rate")
        return Passed(frame, None, doubt)


class Blind(Judge):
    """The judge of a relay or a street gateway: the frames that pass are stored as they came, for the keys further up."""

    def __init__(self, role: str, kids: dict[bytes, Kid], events: bool, watch: Watch, per_min: int) -> None:
        super().__init__(kids, events, None, watch)
        self._sieve = Sieve(role, kids, per_min)

    def frame(  # noqa: PLR0917 - a message's parts
        self, into: Gathered, source: Source, mono_s: float, frame: bytes,
        rssi_dbm: int | None, snr_x4: int | None, t_ms: int | None, seq: int | None,
    ) -> Kid | None:  # fmt: skip
        """As of Judge. What nothing proves is nobody's: whoever sends could invent key ids without end."""
        try:
            passed = self._sieve.judge(frame, source.board, mono_s)
        except WireError as refused:
            self._refused(into, source, frame, refused.name)
            return None
        sealed = passed.frame
        kid = self.kids[NOBODY] if passed.context is None else self.kids[sealed.kid]
        if passed.doubt:
            into.group.count(passed.doubt)
            if self._watch.note(passed.doubt, sealed.kid, self.now_ms):
                into.urgent = True
        if passed.context is None:
            kid.stored += 1
        else:
            fold.apply(kid, sealed.piv, sealed.tag, SEALED, 0, 0)
        row = (
            kid.keys.kid, sealed.piv, SEALED, 0, False, int(mono_s * 1000) + (self.ahead_ms or 0), 0,
            self.ahead_ms is None or None, rssi_dbm, snr_x4, source.board, None if seq is None else seq & 0xFFFFFFFF, None,
            frame[sealed.end - TAG_LEN :], frame,
        )  # fmt: skip
        into.group.rows.append(row)
        into.taken.entries.append([])
        if self._want_events:
            proven = passed.context is not None
            into.event("passed", board=kid.board, kid=sealed.kid.hex(), piv=sealed.piv, proven=proven, doubt=passed.doubt)
        return kid

"""From the queue to the link: one frame for each reading, sealed at the moment it goes."""

import asyncio

from firmware.wire.errors import DeviceError, const
from firmware.wire.quantities import AGE, ALARM, ANSWER, BLOCK, COMMAND, ERROR, FIRMWARE, RESET_CAUSE, RESULT, TIME

from . import VERSION
from .compose import compose, shown
from .queue import SEALED

_DAY_MS = const(86400000)
_PAUSE_MS = const(60000)  # after a counter that could not be stored
_DEADLINE_MS = const(300000)  # three tries and what the ledger may hold back
_LOOK_MS = const(60000)  # the longest wait between two looks at the ledger

_ROTATE_FROM = const(1048576)  # counter from which on a key should be changed (limit of CCM with 8-byte tags)
_ROTATE = const(1)  # alarm bit 0: this board needs a new key


def _due(last_ms, now_ms):
    return last_ms is None or now_ms - last_ms >= _DAY_MS


class Uplink:
    """Takes readings (`push`) and sees them off (`run`). `link`: a SerialLink or a RadioLink.

    overhead: bytes of a frame beside payload and PIV.
    app: the Node. awaited: the PIV sealed last, until it is answered. result: (id of a command, error code or 0, or None
    while it is on trial), told until the next answer, or None. trial: a radio plan is on trial. restart: one is due.
    block: what is wanted of a release, [part, offset], or None. past: error codes of boots before, to be told.
    """

    def __init__(self, board, queue, link, sealer, counter, *, overhead, reset_cause, report_ms):
        self._faults = board.faults
        self._watch = board.supervisor.watch
        self._ladder = board.ladder
        self._uptime = board.uptime
        self._queue = queue
        self._link = link
        self._sealer = sealer
        self.counter = counter
        self._overhead = overhead
        self.reset_cause = reset_cause  # None once it was told
        self._report_ms = report_ms
        self._wake = asyncio.Event()
        self.before = None  # (piv, t_ms, reading) of the frame sealed last
        self.asked_ms = None
        self.alarmed_ms = None
        self.app = self.awaited = self.result = self.block = self.past = None
        self.trial = self.restart = False

    def push(self, reading):
        """Queue a reading {key: value}."""
        try:
            self._queue.push(self._uptime.ms(), reading)
        except DeviceError as error:
            self._faults.note(error)
        self._wake.set()

    async def obey(self, frame, piv):
        """Take the answer `frame` (bytes) to the uplink `piv`; None: it was waited for in vain. Return why not, or None."""
        if not frame and (piv != self.awaited or not (self.trial or self.restart)):
            return None
        from .orders import take

        try:
            return await take(self.app, frame, piv)
        finally:
            from .forget import forget_start

            forget_start()

    async def run(self):
        """Send for ever."""
        queue, link = self._queue, self._link
        beat = self._watch("uplink", _DEADLINE_MS)
        while True:
            beat(None)
            for ident in queue.ids:
                if ident not in link.held:
                    break
            else:
                self._wake.clear()
                await self._wake.wait()
                continue
            await link.ready()
            beat()
            try:
                wait_ms = await self.one(ident)
            except DeviceError as error:
                self._faults.note(error)
                wait_ms = _PAUSE_MS
            # then look again: the age has changed, the oldest reading may be another
            await asyncio.sleep_ms(min(wait_ms, _LOOK_MS))

    async def one(self, ident):
        """Send one entry of the queue; return 0, or how many ms the ledger holds it back. DeviceError: counter, store, ..."""
        queue, link = self._queue, self._link
        entry = queue.get(ident)
        if entry is None:
            return 0
        kind, t_ms, reading = entry
        if kind == SEALED:
            await link.deliver(ident, reading)
            return 0
        piv = self.counter.upcoming
        piv_len = 1 if piv < 1 << 8 else 2 if piv < 1 << 16 else 3 if piv < 1 << 24 else 4
        size = self._overhead + piv_len
        try:
            extras, n = self._compose(t_ms, reading, link.limit - size)
            wait = link.wait_ms(size + n)
        except DeviceError:
            queue.drop(ident)  # it would never go, and all others wait behind it
            await self.obey(None, self.awaited)
            raise
        if wait:
            if wait > self._report_ms:
                self._faults.note(DeviceError("radio_duty", "a frame waits longer than a report's period"))
            return wait
        piv = self.awaited = self.counter.next()
        frame = bytes(self._sealer.seal(piv, self._sealer.room, n))
        self._sealed(piv, t_ms, reading, extras)
        asks = ANSWER in extras
        await link.deliver(ident, frame, asks, 2 if ALARM in extras else 1)
        ladder = self._ladder
        if ladder.open and (not link.radio or link.sent):
            ladder.sent()
        if asks:
            if ladder.trial:
                ladder.asked()
            await self.obey(await link.answer(self), piv)
        return 0

    def _compose(self, t_ms, reading, limit):
        # The payload in the sealer's room: what is said beside the reading, and the length.
        faults, now = self._faults, self._uptime.ms()
        extras = {}
        age_s = (now - (t_ms or 0) + 500) // 1000
        if age_s:
            extras[AGE] = age_s
        if self.past:
            extras[ERROR] = self.past[0]
        elif faults.code and ERROR not in reading:
            extras[ERROR] = faults.code
        if self.reset_cause is not None:
            extras[RESET_CAUSE] = self.reset_cause
            extras[FIRMWARE] = VERSION
        if ALARM in reading:
            extras[ALARM] = reading[ALARM]
            if self._uptime.ahead_s is not None:
                extras[TIME] = self._uptime.ahead_s + now // 1000
        if self.counter.upcoming >= _ROTATE_FROM and _due(self.alarmed_ms, now):
            extras[ALARM] = reading.get(ALARM, 0) | _ROTATE
        if self.result:
            extras[COMMAND], code = self.result
            if code is not None:
                extras[RESULT] = code
        if self.block and ALARM not in extras:
            extras[BLOCK] = self.block
        asks = faults.ask or self.result or self.block or self.trial or self._ladder.trial
        # An alarm is sent twice, a frame that asks never: the question waits.
        if ALARM not in extras and (asks or _due(self.asked_ms, now)):
            extras[ANSWER] = True
        before, step_s = None, 0
        if self._link.repeats and self.before and t_ms is not None and ALARM not in extras:
            piv, before_ms, before = self.before
            if piv + 1 == self.counter.upcoming:
                step_s = (t_ms - before_ms + 500) // 1000
        return extras, compose(self._sealer.room, limit, reading, extras, before=before, step_s=step_s)

    def _sealed(self, piv, t_ms, reading, extras):
        faults = self._faults
        self.before = None if t_ms is None else (piv, t_ms, reading)
        self.reset_cause = None
        if ERROR in extras:
            if self.past:
                self.past.pop(0)
                if not self.past:
                    self._ladder.told()
            else:
                faults.code = None
        now = self._uptime.ms()
        if ANSWER in extras:
            faults.ask = False
            self.asked_ms = now
        if ALARM in extras and extras[ALARM] & _ROTATE:
            self.alarmed_ms = now
        faults.log("taken %d %s" % (piv, shown(reading)))

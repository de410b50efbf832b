"""From the queue to the link: one frame for each reading, sealed at the moment it goes."""

import asyncio

from firmware.wire.errors import DeviceError
from firmware.wire.frame import FRAME_MAX
from firmware.wire.quantities import AGE, ALARM, ANSWER, ERROR, FIRMWARE, RESET_CAUSE

from . import VERSION
from .compose import compose, shown
from .queue import SEALED

DAY_MS = 86_400_000
PAUSE_S = 60  # after a counter that could not be stored
LOOK_S = 60  # the longest wait between two looks at the ledger


class Uplink:
    """Takes readings (`push`) and sees them off (`run`). `link` is a SerialLink or a RadioLink."""

    def __init__(self, queue, link, sealer, counter, *, faults, uptime, overhead, reset_cause, period_ms):
        self._queue = queue
        self._link = link
        self._sealer = sealer
        self._counter = counter
        self._faults = faults
        self._uptime = uptime
        self._overhead = overhead  # bytes of a frame beside payload and PIV
        self._reset_cause = reset_cause  # None once it was told
        self._period_ms = period_ms
        self._buf = bytearray(FRAME_MAX)
        self._wake = asyncio.Event()
        self._before = None  # (piv, t_ms, reading) of the frame sealed last
        self._asked_ms = None
        self.sealed = 0

    def push(self, reading):
        """Queue a reading {key: value}."""
        try:
            self._queue.push(self._uptime.ms(), reading)
        except DeviceError as error:
            self._faults.note(error)
        self._wake.set()

    async def run(self):
        """Send for ever."""
        while True:
            ident = self._head()
            if ident is None:
                self._wake.clear()
                await self._wake.wait()
                continue
            await self._link.ready()
            try:
                await self._one(ident)
            except DeviceError as error:
                self._faults.note(error)
                await asyncio.sleep(PAUSE_S)

    def _head(self):
        for ident in self._queue.ids():
            if not self._link.holds(ident):
                return ident
        return None

    async def _one(self, ident):
        entry = self._queue.get(ident)
        if entry is None:
            return
        if entry[0] == SEALED:
            await self._link.deliver(ident, entry[2])
            return
        try:
            extras, n = self._compose(entry)
            wait = self._link.wait_ms(self._size(n))
        except DeviceError:
            self._queue.drop(ident)  # it would never go, and all others wait behind it
            raise
        if wait:
            if wait > self._period_ms:
                self._faults.note(DeviceError("radio_duty", "a frame waits %d s" % (wait // 1000)))
            await asyncio.sleep_ms(min(wait, LOOK_S * 1000))
            return  # and look again: the age has changed, the oldest reading may be another
        piv = self._counter.next()
        frame = bytes(self._sealer.seal(piv, self._buf, n))
        self._sealed(piv, entry, extras)
        asks = ANSWER in extras
        await self._link.deliver(ident, frame, asks, 2 if ALARM in entry[2] and not asks else 1)
        if asks:
            await self._link.answer(piv)

    def _size(self, n):
        piv = self._counter.upcoming
        return self._overhead + n + (1 if piv < 1 << 8 else 2 if piv < 1 << 16 else 3 if piv < 1 << 24 else 4)

    def _compose(self, entry):
        now = self._uptime.ms()
        _, t_ms, reading = entry
        extras = {}
        age_s = (now - (t_ms or 0) + 500) // 1000
        if age_s:
            extras[AGE] = age_s
        if self._faults.code is not None and ERROR not in reading:
            extras[ERROR] = self._faults.code
        if self._reset_cause is not None:
            extras[RESET_CAUSE] = self._reset_cause
            extras[FIRMWARE] = VERSION
        if self._link.answers and (self._faults.ask or self._asked_ms is None or now - self._asked_ms >= DAY_MS):
            extras[ANSWER] = True
        before, step_s = None, 0
        if self._link.repeats and self._before is not None and t_ms is not None:
            piv, before_ms, before = self._before
            step_s = (t_ms - before_ms + 500) // 1000 if piv + 1 == self._counter.upcoming else 0
        limit = self._link.limit - self._size(0)
        return extras, compose(self._buf, limit, reading, before=before, step_s=step_s, extras=extras.items())

    def _sealed(self, piv, entry, extras):
        self.sealed += 1
        self._before = None if entry[1] is None else (piv, entry[1], entry[2])
        if ERROR in extras:
            self._faults.take()
        if ANSWER in extras:
            self._faults.ask = False
            self._asked_ms = self._uptime.ms()
        self._reset_cause = None
        self._faults.log("taken %d %s" % (piv, shown(entry[2])))

"""The uplink by radio: duty ledger, bounded retransmission of identical bytes, answer window."""

import asyncio
import os
import time

from firmware.radio.airtime import symbol_us
from firmware.radio.ledger import NEVER_MS, Ledger
from firmware.wire.errors import DeviceError, WireError
from firmware.wire.frame import FRAME_MAX, LOW_RATE_MAX
from firmware.wire.downlink import accept_downlink

from .compose import LOW_RATE_SF

TRIES = 3
TRY_WAIT_MS = 30_000  # what the ledger may hold a copy back: the age in a frame must stay true
AGAIN_MS = (2000, 8000)  # a copy follows after 2 s and a random part of 8 s
WINDOW_OPEN_MS = 950  # after the uplink's end
WINDOW_MS = 100
WINDOW_SYMBOLS = 8
RESTART_S = 5  # after a radio that failed to start; doubles up to
RESTART_MAX_S = 600


def random_ms(span_ms):
    """Return a random number of milliseconds below `span_ms`."""
    return int.from_bytes(os.urandom(4), "big") % span_ms


class RadioLink:
    """Delivers through a radio (firmware/radio/README.md). `keys`: to open the answer with."""

    repeats = True
    answers = True

    def __init__(self, radio, bands, settings, *, queue, keys, faults):
        self._radio = radio
        self._settings = settings
        self._queue = queue
        self._keys = keys
        self._faults = faults
        self._ledger = Ledger(time.ticks_ms(), bands, time.ticks_diff)
        self._up = False
        self._end_ms = 0
        self.limit = LOW_RATE_MAX if settings["sf"] >= LOW_RATE_SF else FRAME_MAX
        self.sent = 0
        self.failed = 0
        self.answered = 0

    def holds(self, ident):
        """Nothing stays here: what is sealed leaves the queue before it is sent."""
        return False

    async def ready(self):
        """Wait until the radio works: no counter is spent on a radio that is known to be dead."""
        pause_s = RESTART_S
        while not self._start():
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, RESTART_MAX_S)

    def _start(self):
        if not self._up:
            try:
                self._radio.begin()
                self._radio.configure(**self._settings)
                self._radio.sleep()
                self._up = True
            except DeviceError as error:
                self._faults.note(error)
        return self._up

    def wait_ms(self, size):
        """Return the milliseconds until a frame of `size` bytes may go. DeviceError("radio_duty"): never."""
        wait = self._ledger.wait_ms(self._settings["freq_hz"], self._radio.airtime_us(size), time.ticks_ms())
        if wait >= NEVER_MS:
            raise DeviceError("radio_duty", "no hour has room for a frame of %d bytes" % size)
        return wait

    async def deliver(self, ident, frame, final=False, copies=1):
        """Send a frame (bytes). It leaves the queue first: after a power cut a reading may be lost, never sent twice.

        A transmission that fails is repeated with the identical bytes, TRIES times in all; `final`: never repeated.
        """
        try:
            self._queue.drop(ident)
        except DeviceError as error:
            self._faults.note(error)
        left = 1 if final else TRIES
        while left and copies:
            if self._start() and await self._send(frame):
                copies -= 1
            left -= 1
            if left and copies:
                await asyncio.sleep_ms(AGAIN_MS[0] + random_ms(AGAIN_MS[1]))
                wait = self.wait_ms(len(frame))
                if wait > TRY_WAIT_MS:
                    break
                await asyncio.sleep_ms(wait)
        self._sleep()

    async def _send(self, frame):
        self._ledger.spend(self._settings["freq_hz"], self._radio.airtime_us(len(frame)), time.ticks_ms())
        try:
            await self._radio.send(frame)
        except DeviceError as error:
            self._faults.note(error)
            self._up = False
            self.failed += 1
            return False
        self._end_ms = time.ticks_ms()
        self.sent += 1
        return True

    def _sleep(self):
        if self._up:
            try:
                self._radio.sleep()
            except DeviceError as error:
                self._faults.note(error)
                self._up = False

    async def answer(self, piv):
        """Listen for the one answer to `piv`, which was just sent. What it says is for later: it is only noted."""
        if not self._up:
            return
        symbols_ms = WINDOW_SYMBOLS * symbol_us(self._settings["sf"], self._settings["bw_hz"]) // 1000
        wait = WINDOW_OPEN_MS - time.ticks_diff(time.ticks_ms(), self._end_ms)
        if wait > 0:
            await asyncio.sleep_ms(wait)
        try:
            self._radio.configure(iq=True)
            packet = await self._radio.recv(WINDOW_MS + symbols_ms)
            if packet is not None:
                accept_downlink(self._keys, packet.frame, piv)
                self.answered += 1
                self._faults.log("answer to %d" % piv)
        except DeviceError as error:
            self._faults.note(error)
            self._up = False
        except WireError as error:
            self._faults.log("answer refused: %s" % error.name)
        self._radio.configure(iq=False)
        self._sleep()

"""The uplink by radio: duty ledger, bounded retransmission of identical bytes, answer window."""

import asyncio
import os
import time

from firmware.radio.airtime import symbol_us
from firmware.radio.ledger import NEVER_MS, Ledger
from firmware.wire.errors import DeviceError, const
from firmware.wire.frame import FRAME_MAX, LOW_RATE_MAX

_LOW_RATE_SF = const(10)
_TRIES = const(3)
_TRY_WAIT_MS = const(30000)  # what the ledger may hold a copy back: the age in a frame must stay true
_AGAIN_MS = const(2000)  # a copy follows after this
_AGAIN_SPAN_MS = const(8000)  # and a random part of this
_WINDOW_OPEN_MS = const(950)  # after the uplink's end
_WINDOW_MS = const(100)
_WINDOW_SYMBOLS = const(8)
_RESTART_S = const(5)  # after a radio that failed to start; doubles up to
_RESTART_MAX_S = const(600)


class RadioLink:
    """Delivers through a radio (firmware/radio/README.md). `keys`: to open the answer with; `settings`: for `configure`."""

    repeats = True
    held = ()  # what is sealed leaves the queue before it is sent

    def __init__(self, faults, queue, keys, radio, ledger, *, settings):
        self._faults = faults
        self._queue = queue
        self.keys = keys
        self.radio = radio
        self.ledger = ledger
        self.settings = settings
        self.up = False
        self.limit = LOW_RATE_MAX if settings["sf"] >= _LOW_RATE_SF else FRAME_MAX
        self.sent = 0
        self.failed = 0

    async def ready(self):
        """Wait until the radio works: no counter is spent on a radio that is known to be dead."""
        pause_s = _RESTART_S
        while not self.start():
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _RESTART_MAX_S)

    def start(self):
        """Make the radio ready; return whether it is."""
        if not self.up:
            try:
                self.radio.begin()
                self.radio.configure(**self.settings)
                self.radio.sleep()
                self.up = True
            except DeviceError as error:
                self._faults.note(error)
        return self.up

    def wait_ms(self, size):
        """Return the milliseconds until a frame of `size` bytes may go. DeviceError("radio_duty"): never."""
        wait = self.ledger.wait_ms(self.settings["freq_hz"], self.radio.airtime_us(size), time.ticks_ms())
        if wait >= NEVER_MS:
            raise DeviceError("radio_duty", "no hour has room for a frame of %d bytes" % size)
        return wait

    async def deliver(self, ident, frame, final=False, copies=1):
        """Send a frame (bytes). It leaves the queue first: after a power cut a reading may be lost, never sent twice.

        A transmission that fails is repeated with the identical bytes, three in all; `final`: never repeated.
        """
        try:
            self._queue.drop(ident)
        except DeviceError as error:
            self._faults.note(error)
        left = 1 if final else _TRIES
        while left and copies:
            if self.start():
                copies -= await self._send(frame)
            left -= 1
            if left and copies:
                await asyncio.sleep_ms(_AGAIN_MS + int.from_bytes(os.urandom(2), "big") % _AGAIN_SPAN_MS)
                wait = self.wait_ms(len(frame))
                if wait > _TRY_WAIT_MS:
                    break
                await asyncio.sleep_ms(wait)
        self._rest()

    async def _send(self, frame):
        radio = self.radio
        self.ledger.spend(self.settings["freq_hz"], radio.airtime_us(len(frame)), time.ticks_ms())
        try:
            await radio.send(frame)
        except DeviceError as error:
            self._faults.note(error)
            self.up = False
            self.failed += 1
            return 0
        self._end_ms = time.ticks_ms()
        self.sent += 1
        return 1

    def _rest(self):
        try:
            self.radio.sleep()
        except DeviceError as error:
            self._faults.note(error)
            self.up = False

    async def answer(self, uplink):
        """Listen for the one answer to what was just sent; return its bytes, or None."""
        if not self.up:
            return None
        radio, settings = self.radio, self.settings
        window_ms = _WINDOW_MS + _WINDOW_SYMBOLS * symbol_us(settings["sf"], settings["bw_hz"]) // 1000
        await asyncio.sleep_ms(_WINDOW_OPEN_MS - time.ticks_diff(time.ticks_ms(), self._end_ms))
        packet = None
        try:
            radio.configure(iq=True)
            packet = await radio.recv(window_ms)
        except DeviceError as error:
            self._faults.note(error)
            self.up = False
        radio.configure(iq=False)
        self._rest()
        return packet and packet.frame


def make(board, config, queue, keys):
    """Return the link of a board with a radio. DeviceError("config")."""
    from . import hardware, plan as law

    spec, plan = config["radio"], config["plan"]
    bands = law.bands_of(plan)
    settings = law.settings_of(plan, bands, spec.get("antenna_dbi", 0))
    ledger = Ledger(time.ticks_ms(), bands, time.ticks_diff)
    return RadioLink(board.faults, queue, keys, hardware.make_radio(spec), ledger, settings=settings)

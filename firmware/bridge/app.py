"""The application of a radio bridge (README of firmware/wire, section 3)."""

import asyncio
import gc
import time

from firmware.node import config as configuration
from firmware.node import hardware
from firmware.node.board import Board, run_role
from firmware.node.clock import diff_u32
from firmware.node.faults import guard
from firmware.node.plan import NAMES, bands_of, settings_of
from firmware.radio.ledger import Ledger
from firmware.wire import link as wire
from firmware.wire.errors import DeviceError
from firmware.wire.frame import FRAME_MAX

from .downlink import Job, insert, refusal

STAGE_MS = 20  # before its time a frame is put into the radio
SPIN_MS = 4  # before its time the bridge does nothing else
LATE_MS = 2  # an answer that is later than this is not sent: of the 5 ms allowed, the radio needs some
CLEAR_MS = 5000  # how long a job without a time waits for a frame that is coming in
RESTART_S = 5  # after a fault of the radio
IQ = {"standard": False, "inverted": True, False: False, True: True}


class Bridge:
    """The parts of a bridge, made from the files below `root`. DeviceError: config, identity."""

    def __init__(self, root="/", console=None):
        board = self.board = Board(root, configuration.BRIDGE, console)
        spec, plan = board.config["radio"], board.config["plan"]
        self._antenna_dbi = spec.get("antenna_dbi", 0)
        self._bands = bands_of(plan)
        self._settings = settings_of(plan, self._bands, self._antenna_dbi)
        self.radio = hardware.make_radio(spec)
        self._ledger = Ledger(time.ticks_ms(), self._bands, time.ticks_diff)
        self._jobs = []
        self._wake = asyncio.Event()
        self._receiver = None
        self._changed = False  # settings that the receiver does not know yet
        self._up = False
        gc.collect()

    async def run(self):
        """Work for ever."""
        board = self.board
        board.hello()
        self._receive()
        tasks = [
            asyncio.create_task(guard("send", self._send, board.faults, board.uptime)),
            asyncio.create_task(guard("console", self._listen, board.faults, board.uptime)),
        ]
        for task in tasks:
            await task

    async def _listen(self):
        await self.board.console.listen(self.message)

    def close(self):
        """Leave nothing on that sends or listens."""
        self.radio.sleep()

    # --- from the air

    def _receive(self):
        self._receiver = asyncio.create_task(guard("receive", self._hear, self.board.faults, self.board.uptime))

    async def _deafen(self):
        # Its clean-up must be over before another touches the radio.
        self._receiver.cancel()
        try:
            await self._receiver
        except asyncio.CancelledError:
            pass

    async def _hear(self):
        while True:
            try:
                self._start()
                packet = await self.radio.recv()
            except DeviceError as error:
                self.board.faults.note(error)
                self._up = False
                await asyncio.sleep(RESTART_S)
                continue
            if packet is not None:
                t_ms = self.board.uptime.of_ticks(packet.t_ms) & 0xFFFFFFFF
                self.board.outbox.add(packet.frame, packet.rssi_dbm, packet.snr_x4, t_ms)

    def _start(self):
        if not self._up:
            self.radio.begin()
            self._up = True
        self.radio.configure(**self._settings)

    # --- from the host

    def message(self, message):
        """Take a message of the host; unknown ones and those without their parts are nothing to it."""
        kind, size = message[0], len(message)
        if kind == wire.HELLO and size == 1:
            self.board.hello()
            self._again = asyncio.create_task(self.board.outbox.resend())
        elif kind == wire.HANDLED and size > 1 and type(message[1]) is int:
            self.board.outbox.handled(message[1])
        elif kind == wire.SEND and size > 4 and type(message[1]) is int:
            self._take(message)
        elif kind == wire.CONFIGURE and size > 2 and type(message[1]) is int:
            self._configure(message)

    def _merge(self, changes, iq):
        # The settings in force with a message's changes; what it names and what is no plan are refused by name.
        if type(changes) is not dict:
            raise DeviceError("config", "radio: no map")
        plan = dict(self._settings)
        for name in NAMES:
            if name in changes:
                plan[name] = changes[name]
        wanted = changes.get("iq", iq)
        if type(wanted) not in (str, bool) or wanted not in IQ:
            raise DeviceError("config", "radio: iq")
        settings = settings_of(plan, self._bands, self._antenna_dbi, IQ[wanted])
        try:
            self.radio.configure(**settings)  # says what this chip does not have; nothing reaches the chip yet
        finally:
            self.radio.configure(**self._settings)
        return settings

    def _configure(self, message):
        status = wire.OK
        try:
            self._settings = self._merge(message[2], False)
            self._changed = True
            self._wake.set()
        except DeviceError as error:
            self.board.console.log("configure: %s %s" % (error.name, error.detail))
            status = error.name
        self.board.console.write(wire.configured(message[1], status))

    def _take(self, message):
        _, ident, frame, at_ms, changes = message[:5]
        now = self.board.uptime.u32()
        try:
            settings = self._merge(changes, True)
            if type(frame) is not bytes or not 0 < len(frame) <= FRAME_MAX or type(at_ms) is not int:
                raise DeviceError("config", "send: frame or time")
        except DeviceError as error:
            self.board.console.log("send: %s %s" % (error.name, error.detail))
            self._sent(ident, error.name)
            return
        job = Job(ident, frame, at_ms or now + 2 * STAGE_MS & 0xFFFFFFFF, settings)
        job.timed = at_ms != 0
        refused = refusal(job, self._jobs, self._ledger, now, time.ticks_ms())
        if refused:
            self._sent(ident, refused)
            return
        insert(self._jobs, job)
        self._wake.set()

    def _sent(self, ident, status, toa_us=0):
        self.board.console.write(wire.sent(ident, status, toa_us))

    # --- into the air

    async def _send(self):
        while True:
            self._wake.clear()
            if self._changed:
                self._changed = False
                await self._deafen()
                self._receive()
            if not self._jobs:
                await self._wake.wait()
                continue
            ahead = diff_u32(self._jobs[0].at_ms, self.board.uptime.u32()) - STAGE_MS
            if ahead > 0:
                try:
                    await asyncio.wait_for_ms(self._wake.wait(), ahead)
                except asyncio.TimeoutError:
                    pass
                continue
            job = self._jobs.pop(0)
            await self._transmit(job)

    async def _transmit(self, job):
        if not await self._clear(job):
            self._sent(job.ident, wire.BUSY)
            return
        if self._ledger.wait_ms(job.settings["freq_hz"], job.airtime_us, time.ticks_ms()):
            self._sent(job.ident, wire.DUTY)
            return
        await self._deafen()
        status, toa_us = wire.OK, 0
        try:
            gc.collect()  # not in the middle of what follows
            self._start()
            self.radio.configure(**job.settings)
            self.radio.stage(job.frame)
            if job.timed and not await self._moment(job.at_ms):
                status = wire.LATE
            else:
                self._ledger.spend(job.settings["freq_hz"], job.airtime_us, time.ticks_ms())
                toa_us = await self.radio.send()
        except DeviceError as error:
            self.board.faults.note(error)
            self._up = False
            status = error.name
        self._receive()
        self._sent(job.ident, status, toa_us)

    async def _clear(self, job):
        # A frame that is coming in is worth more than an answer; a job without a time waits for its end.
        waited_ms = 0
        while self._up and self.radio.hearing():
            if job.timed or waited_ms >= CLEAR_MS:
                return False
            await asyncio.sleep_ms(STAGE_MS)
            waited_ms += STAGE_MS
        return True

    async def _moment(self, at_ms):
        ahead = diff_u32(at_ms, self.board.uptime.u32()) - SPIN_MS
        if ahead > 0:
            await asyncio.sleep_ms(ahead)
        while True:
            ahead = diff_u32(at_ms, self.board.uptime.u32())
            if ahead <= 0:
                return ahead >= -LATE_MS


def run(root="/"):
    """Run the bridge until Ctrl-C. DeviceError: config, identity."""
    run_role(Bridge, root)

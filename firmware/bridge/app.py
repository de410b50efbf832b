"""The application of a radio bridge (README of firmware/wire, section 3). start.py makes it."""

import asyncio
import gc
import time

from firmware.node.board import Board, run_role, together
from firmware.node.clock import diff_u32
from firmware.node.faults import guard
from firmware.node.outbox import Outbox
from firmware.node.plan import SETTINGS, settings_of
from firmware.wire import link as wire
from firmware.wire.errors import DeviceError, const
from firmware.wire.frame import FRAME_MAX

from .downlink import Job, insert, refusal

_STAGE_MS = const(20)  # before its time a frame is put into the radio
_SPIN_MS = const(4)  # before its time the bridge does nothing else
_LATE_MS = const(2)  # an answer that is later than this is not sent: of the 5 ms allowed, the radio needs some
_CLEAR_MS = const(5000)  # how long a job without a time waits for a frame that is coming in
_RESTART_S = const(5)  # after a fault of the radio
_DEADLINE_MS = const(120000)  # for one job from its turn to its end; the longest frames take 8 s
_IQ = {"standard": False, "inverted": True, False: False, True: True}


class Bridge:
    """The parts of a running bridge. settings: of the receiver; bands: the sub-bands of the plan."""

    def __init__(self, board, radio, ledger, settings, *, bands, antenna_dbi):
        board.outbox = Outbox(board.console.write)
        self.board = board
        board.app = self
        self.radio = radio
        self._ledger = ledger
        self._settings = settings
        self._law = (bands, antenna_dbi)
        self._jobs = []
        self._wake = asyncio.Event()
        self._changed = False  # settings that the receiver does not know yet
        self.up = False

    async def run(self):
        """Work for ever."""
        self.board.hello()
        self._receive()
        console = self.board.console
        await together(self.board, (("send", self._send), ("console", lambda: console.listen(self.message))))

    # --- from the air

    def _receive(self):
        self._receiver = asyncio.create_task(guard("receive", self._hear, self.board.faults))

    async def _deafen(self):
        # Its clean-up must be over before another touches the radio.
        self._receiver.cancel()
        try:
            await self._receiver
        except asyncio.CancelledError:
            pass

    async def _hear(self):
        board = self.board
        while True:
            try:
                self._start()
                if board.ladder.open:
                    board.ladder.sent()  # it has said hello, and listens: what a bridge is for
                packet = await self.radio.recv()
            except DeviceError as error:
                board.faults.note(error)
                self.up = False
                await asyncio.sleep(_RESTART_S)
                continue
            if packet:
                board.outbox.add(packet.frame, packet.rssi_dbm, packet.snr_x4, board.uptime.u32(packet.t_ms))
                if board.ladder.trial:
                    board.ladder.asked()
            else:
                await asyncio.sleep_ms(_STAGE_MS)  # a radio that stops listening by itself must not stop the others

    def _start(self):
        if not self.up:
            self.radio.begin()
            self.up = True
        self.radio.configure(**self._settings)

    # --- from the host

    def message(self, message):
        """Take a message (list) of the host; unknown ones and those without their parts are nothing to it."""
        kind, size, board = message[0], len(message), self.board
        if board.ladder.trial:
            board.ladder.answered()
        if kind == wire.HELLO and size == 1:
            board.hello(again=True)
        elif size > 1 and type(message[1]) is int:
            if kind == wire.HANDLED:
                board.outbox.handled(message[1])
            elif kind == wire.CONFIGURE and size > 2:
                self._configure(message)
            elif kind == wire.SEND and size > 4:
                self._take(message)

    def _merge(self, changes, iq):
        # The settings in force with a message's changes.
        if type(changes) is not dict:
            raise DeviceError("config", "radio: no map")
        plan = dict(self._settings)
        for name, _, _ in SETTINGS:
            if name in changes:
                plan[name] = changes[name]
        iq = changes.get("iq", iq)
        if type(iq) not in (str, bool) or iq not in _IQ:
            raise DeviceError("config", "radio: iq")
        settings = settings_of(plan, *self._law, _IQ[iq])
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
            status = self._refuse(error)
        self.board.console.write(wire.configured(message[1], status))

    def _refuse(self, error):
        self.board.console.log("refused: %s" % error.detail)
        return error.name

    def _take(self, message):
        _, ident, frame, at_ms, changes = message[:5]
        now = self.board.uptime.u32()
        try:
            settings = self._merge(changes, True)
            if type(frame) is not bytes or not 0 < len(frame) <= FRAME_MAX or type(at_ms) is not int:
                raise DeviceError("config", "send: frame or time")
            job = Job(ident, frame, at_ms, settings, now + 2 * _STAGE_MS & 0xFFFFFFFF)
            status = refusal(job, self._jobs, self._ledger, now, time.ticks_ms())
        except DeviceError as error:
            status = self._refuse(error)
        if status:
            self._sent(ident, status)
        else:
            insert(self._jobs, job)
            self._wake.set()

    def _sent(self, ident, status, toa_us=0):
        self.board.console.write(wire.sent(ident, status, toa_us))

    # --- into the air

    def _ahead(self, at_ms):
        return diff_u32(at_ms, self.board.uptime.u32())

    async def _send(self):
        jobs, wake = self._jobs, self._wake
        beat = self.board.supervisor.watch("send", _DEADLINE_MS)
        while True:
            beat()
            wake.clear()
            if self._changed:
                self._changed = False
                await self._deafen()
                self._receive()
            if not jobs:
                beat(None)
                await wake.wait()
                continue
            ahead_ms = self._ahead(jobs[0].at_ms) - _STAGE_MS
            if ahead_ms > 0:
                beat(ahead_ms)
                try:
                    await asyncio.wait_for_ms(wake.wait(), ahead_ms)
                except asyncio.TimeoutError:
                    pass
                continue
            job = jobs.pop(0)
            status, toa_us = await self._clear(job), 0
            if not status:
                await self._deafen()
                try:
                    status, toa_us = await self._transmit(job)
                except DeviceError as error:
                    self.board.faults.note(error)
                    self.up = False
                    status = error.name
                self._receive()
            self._sent(job.ident, status, toa_us)

    async def _clear(self, job):
        # A frame that is coming in is worth more than an answer; a job without a time waits for its end.
        waited_ms = 0
        while self.up and self.radio.hearing():
            if job.timed or waited_ms >= _CLEAR_MS:
                return wire.BUSY
            await asyncio.sleep_ms(_STAGE_MS)
            waited_ms += _STAGE_MS
        if self._ledger.wait_ms(job.settings["freq_hz"], job.airtime_us, time.ticks_ms()):
            return wire.DUTY
        return None

    async def _transmit(self, job):
        gc.collect()  # not in the middle of what follows
        self._start()
        self.radio.configure(**job.settings)
        self.radio.stage(job.frame)
        if job.timed:
            ahead_ms = self._ahead(job.at_ms)
            if ahead_ms > _SPIN_MS:
                await asyncio.sleep_ms(ahead_ms - _SPIN_MS)
            while ahead_ms > 0:
                ahead_ms = self._ahead(job.at_ms)
            if ahead_ms < -_LATE_MS:
                return wire.LATE, 0
        self._ledger.spend(job.settings["freq_hz"], job.airtime_us, time.ticks_ms())
        return wire.OK, await self.radio.send()


def _start(board, root):
    from .start import start

    return start(board, root)


def run(root="/", ladder=None):
    """Run the bridge until Ctrl-C. `root`: where the board's files are. DeviceError: config, identity."""
    run_role(Board("bridge", None, ladder), _start, root)

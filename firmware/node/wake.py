"""One wake of a board that loses its memory between two reports: report, send, sleep. Loaded by deep and gated boards alone.

deep: an ESP32 in deep sleep; what it must know again lies in the RTC's memory (remember.py). gated: an external gate cuts the
power, so every wake is a cold start, and the board knows nothing but its flash.
"""

import asyncio
import time

from firmware.radio.ledger import HOUR_MS, NEVER_MS
from firmware.radio.plan import band_of
from firmware.wire.errors import DeviceError, const

from .board import together
from .power import Power
from .queue import Queue

_DEADLINE_MS = const(300000)
_LOOK_MS = const(500)
_OFF_MS = const(1000)  # what a gate may take to cut the power
_LEAST_MS = const(1000)  # a shorter wait is no sleep
_START_MS = const(60000)  # from a start that nobody planned to the first sleep
_DAY_S = const(86400)
_DEEP_SLEEP = const(4)  # a cause of ladder and ports


class RamQueue(Queue):
    """Entries stay in RAM until the board sleeps: what is sent in the wake in which it was taken costs no write."""

    def _put(self, ident, entry):
        self._ram[ident] = entry

    def store(self):
        """Put on flash what is left. DeviceError("store")."""
        for ident in sorted(self._ram):
            Queue._put(self, ident, self._ram.pop(ident))


class PeriodLaw:
    """The ledger of a board that is off between two wakes: what it sends in one is within the period's duty."""

    def __init__(self, period_ms, plan):
        self._period_ms = period_ms
        self._plan = plan
        self.used_us = 0  # since the period began

    def wait_ms(self, freq_hz, airtime_us, now_ms):
        """Return 0, HOUR_MS: not in this wake, or NEVER_MS."""
        band = band_of(freq_hz, 0, self._plan)
        limit_us = self._period_ms * band[2] // 1000 if band else 0
        if airtime_us > limit_us:
            return NEVER_MS
        return 0 if self.used_us + airtime_us <= limit_us else HOUR_MS

    def spend(self, freq_hz, airtime_us, now_ms):
        """Write down a frame."""
        self.used_us += airtime_us


class Wake(Power):
    """The life of `node` from its start to its sleep. The radio's ledger and the counter are set right when it is made."""

    def __init__(self, node, config, profile):
        board, uplink = node.board, node.uplink
        cause = board.ladder.cause
        planned = cause == _DEEP_SLEEP if profile == "deep" else board.ladder.wake
        super().__init__(board, planned or profile == "gated")
        self._node = node
        self._kid = config["kid"]
        self._period_ms = config["report_s"] * 1000
        self._due_ms = board.uptime.ms()
        self._done = self._law = None
        self._quiet = False
        if profile == "deep":
            self._recall(planned)
        else:
            import machine

            self._done = machine.Pin(config["power"]["done"], machine.Pin.OUT, value=0)
            # After any other start, such as the watchdog's, the last frame may just have been sent.
            if planned:
                node.link.ledger = self._law = PeriodLaw(self._period_ms, node.link.ledger.plan)
            # Once a day, by the counter, it says who it is and asks for an answer; a board that has slept is nothing new.
            self._quiet = planned and (uplink.counter.upcoming - 1) % max(1, _DAY_S // config["report_s"]) > 0
            if self._quiet:
                uplink.reset_cause = None
                uplink.asked_ms = self._due_ms

    def _recall(self, planned):
        from .remember import recall

        node = self._node
        due_ms = recall(self.port.kept(), node, self._kid) if planned else None
        # What was kept is good for one wake: after a reset that no sleep was before, its counters are used.
        self.port.keep(b"")
        if due_ms is not None:
            self._due_ms = due_ms
        elif not planned:
            # A host may say something first, and a town-wide power cut must not become a storm.
            self._due_ms += max(_START_MS, node.schedule.first_ms)

    async def run(self):
        """Run until the board sleeps; its next start is another life."""
        node = self._node
        self.lighten()
        node.board.hello()
        console = node.board.console
        await together(node.board, (("wake", self._wake), ("console", lambda: console.listen(node.message))))

    async def _wake(self):
        board, schedule = self._node.board, self._node.schedule
        uptime = board.uptime
        beat = board.supervisor.watch("wake", _DEADLINE_MS)
        while True:
            left_ms = self._due_ms - uptime.ms()
            while left_ms > 0:
                beat()
                if left_ms >= _LEAST_MS and not self.awake():
                    self._sleep(left_ms)
                await asyncio.sleep_ms(min(left_ms, _LOOK_MS))
                left_ms = self._due_ms - uptime.ms()
            self._due_ms += (-left_ms // self._period_ms + 1) * self._period_ms
            if self._law:
                self._law.used_us = 0
            beat()
            service = schedule.service
            await schedule.once(service and service.report)
            if self._quiet:
                board.faults.ask = False  # a fault that lasts would ask in every wake
            await self._send(beat)

    async def _send(self, beat):
        # What the law, the radio or the flash holds back goes in a later wake.
        node = self._node
        queue = node.queue
        while queue.ids and node.link.start():
            beat()
            try:
                if await node.uplink.one(queue.ids[0]):
                    return
            except DeviceError as error:
                node.board.faults.note(error)
                return

    def _sleep(self, ms):
        node = self._node
        try:
            node.queue.store()
        except DeviceError as error:
            node.board.faults.note(error)
        node.board.ladder.settled()
        if self._done:
            self._done(1)
            time.sleep_ms(_OFF_MS)  # and here it ends, but for a gate that is broken
        else:
            from .remember import remember

            self.port.keep(remember(node, self._kid, self._due_ms, ms))
        self.port.deep_sleep_ms(ms)

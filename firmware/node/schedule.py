"""When the service is asked: its own samples, and the periodic report with the battery."""

import asyncio

from firmware.wire.errors import const
from firmware.wire.quantities import BATTERY, ERROR

_DEADLINE_MS = const(300000)  # for sensors and service, which wait for each other
_CONFIG = const(30)  # the code of DeviceError("config")


class Schedule:
    """Drives one service. `push(reading)` takes what is to be sent; battery: of hardware.make_battery.

    service: None when it could not be built: battery and error go out all the same.
    first_ms: when the first report is due, after the start.
    """

    def __init__(self, board, service, push, battery, *, report_ms, first_ms):
        self._faults = board.faults
        self._watch = board.supervisor.watch
        self._uptime = board.uptime
        self.service = service
        self._push = push
        self.battery = battery
        self._report_ms = report_ms
        self.first_ms = first_ms
        self.lock = asyncio.Lock()  # a driver is used by one task at a time

    async def poll(self):
        """Sample for ever; a reading that comes of it goes out at once."""
        service = self.service
        if service and service.sample_s:
            await self._work("poll", service.poll, 0, service.sample_s * 1000, False)

    async def report(self):
        """Report for ever, whatever fails."""
        service = self.service
        await self._work("report", service and service.report, self.first_ms, self._report_ms, True)

    async def _work(self, name, ask, first_ms, period_ms, always):
        # On a grid that does not drift; moments already over are left out.
        uptime = self._uptime
        beat = self._watch(name, _DEADLINE_MS)
        beat(first_ms)
        due_ms = uptime.ms() + first_ms
        await asyncio.sleep_ms(first_ms)
        while True:
            await self.once(ask, always)
            now = uptime.ms()
            due_ms += period_ms
            if due_ms <= now:
                due_ms += ((now - due_ms) // period_ms + 1) * period_ms
            beat(due_ms - now)
            await asyncio.sleep_ms(due_ms - now)

    async def once(self, ask, always=True):
        """Ask the service's `poll` or `report` (None: there is no service) and push what it says; `always`: its fault too."""
        faults = self._faults
        reading = None
        async with self.lock:
            try:
                reading = await ask(self._uptime.ms() // 1000) if ask else {ERROR: _CONFIG}
            except Exception as error:  # one bad sensor silences nothing else
                faults.note(error, "service")
                if always:
                    reading = {ERROR: faults.code}
                    faults.code = None
        if not reading:
            return
        if ERROR in reading:
            faults.seen(reading[ERROR])
        if self.battery:
            try:
                read, factor, divisor = self.battery
                # The middle of three: one reading in the middle of a radio's current step must not count.
                reading[BATTERY] = min(sorted((read(), read(), read()))[1] * factor // divisor, 65535)
            except Exception as error:
                faults.note(error, "battery")
        self._push(reading)

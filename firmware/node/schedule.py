"""When the service is asked: its own samples, and the periodic report with the battery."""

import asyncio

from firmware.wire.errors import DeviceError
from firmware.wire.quantities import BATTERY, ERROR

_CONFIG = DeviceError("config").code


class Schedule:
    """Drives one service. `push(reading)` takes what is to be sent; `battery()` returns mV, or is None.

    service: None when it could not be built (`faults` know why): battery and error go out all the same.
    first_ms: when the first report is due, after the start.
    """

    def __init__(self, service, push, battery, *, faults, uptime, report_s, first_ms):
        self._service = service
        self._push = push
        self._battery = battery
        self._faults = faults
        self._uptime = uptime
        self._report_ms = report_s * 1000
        self._first_ms = first_ms
        self._lock = asyncio.Lock()  # a driver is used by one task at a time
        self.reports = 0

    async def poll(self):
        """Sample for ever; a reading that comes of it goes out at once."""
        sample_s = self._service.sample_s if self._service else None
        if not sample_s:
            return
        due_ms = self._uptime.ms()
        while True:
            reading = await self._ask(self._service.poll, "poll")
            if reading:
                self._finish(reading)
            due_ms = await self._next(due_ms, sample_s * 1000)

    async def report(self):
        """Report for ever, whatever fails."""
        due_ms = self._uptime.ms() + self._first_ms
        await asyncio.sleep_ms(self._first_ms)
        while True:
            reading = await self._ask(self._service.report, "report") if self._service else None
            if reading is None:
                reading = {ERROR: self._faults.take() or _CONFIG}
            self._finish(reading)
            self.reports += 1
            due_ms = await self._next(due_ms, self._report_ms)

    async def _ask(self, method, where):
        """Return what the service says, None when it fails: one bad sensor silences nothing else."""
        async with self._lock:
            try:
                return await method(self._uptime.s())
            except Exception as error:
                self._faults.note(error, where)
                return None

    async def _next(self, due_ms, period_ms):
        """Sleep until the next moment of a grid that does not drift; moments already over are left out."""
        now = self._uptime.ms()
        due_ms += period_ms
        if due_ms <= now:
            due_ms += (now - due_ms) // period_ms * period_ms + period_ms
        await asyncio.sleep_ms(due_ms - now)
        return due_ms

    def _finish(self, reading):
        code = reading.get(ERROR)
        if code is not None:
            self._faults.seen(code)
        if self._battery:
            try:
                reading[BATTERY] = self._battery()
            except (OSError, ValueError, DeviceError) as error:
                self._faults.note(error, "battery")
        self._push(reading)

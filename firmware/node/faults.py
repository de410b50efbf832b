"""What went wrong: a log line at once, an error code in the next frame, and a question to the gateway."""

import asyncio
import gc
import io
import sys

from firmware.wire.errors import DeviceError

QUIET_MS = 86_400_000  # the same fault asks for an answer once a day
SAME_LINE_MS = 60_000
RETRY_MAX_S = 60


class Faults:
    """`log(text)`: where lines go. `code`: the error for the next frame, or None. `ask`: a new kind of fault came up."""

    def __init__(self, log, uptime):
        self.log = log
        self._uptime = uptime
        self._asked = {}  # code -> when it last asked
        self._said = ""
        self._said_ms = 0
        self.code = None
        self.ask = False
        self.count = 0

    def note(self, error, where=""):
        """Take a DeviceError, or any other exception as "exception": it never leaves the task that had it."""
        if not isinstance(error, DeviceError):
            gc.collect()
            trace = io.StringIO()
            sys.print_exception(error, trace)
            self.log(trace.getvalue().rstrip())
            error = DeviceError("exception", "%s: %r" % (where, error))
        elif where:
            where += ": "
        self.count += 1
        self._line("error %s %s" % (error.name, error.detail if error.name == "exception" else where + error.detail))
        self.code = error.code
        self.seen(error.code)

    def _line(self, line):
        # A sensor that is silent each second is told once a minute.
        now = self._uptime.ms()
        if line != self._said or now - self._said_ms >= SAME_LINE_MS:
            self._said = line
            self._said_ms = now
            self.log(line)

    def seen(self, code):
        """Take a code that a reading carries: ask the gateway when it is new."""
        now = self._uptime.ms()
        last = self._asked.get(code)
        if last is None or now - last >= QUIET_MS:
            self._asked[code] = now
            self.ask = True

    def take(self):
        """Return the code for the frame that is being made, and forget it."""
        code = self.code
        self.code = None
        return code


async def guard(name, run, faults, uptime):
    """Run the coroutine function `run` until it returns; what it raises is noted, then it starts again, ever slower."""
    pause_s = 1
    while True:
        since_ms = uptime.ms()
        try:
            await run()
            return
        except Exception as error:
            faults.note(error, name)
        if uptime.ms() - since_ms > 10_000 * RETRY_MAX_S:
            pause_s = 1
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, RETRY_MAX_S)

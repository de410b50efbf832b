"""What went wrong: a log line at once, an error code in the next frame, and a question to the gateway."""

import asyncio
import gc
import io
import sys

from firmware.wire.errors import DeviceError, const

_ASK_AGAIN_MS = const(86400000)  # the same fault asks for an answer once a day
_SAY_AGAIN_MS = const(60000)  # a sensor that is silent each second is told once a minute
_RETRY_MAX_S = const(60)


class Faults:
    """`log(text)`: where lines go. `code`: the error for the next frame, or None. `ask`: a new kind of fault came up.
    said: the last line.
    """

    def __init__(self, log, uptime):
        self.log = log
        self._uptime = uptime
        self.asked = {}  # code -> when it last asked
        self.said = None
        self._said_ms = 0
        self.code = None
        self.ask = False

    def note(self, error, where=""):
        """Take a DeviceError, or any other exception as "exception": it never leaves the task that had it."""
        if not isinstance(error, DeviceError):
            gc.collect()
            trace = io.StringIO()
            sys.print_exception(error, trace)
            self.log(trace.getvalue())
            error = DeviceError("exception", repr(error))
        line = "error %s %s" % (error.name, where + ": " + error.detail if where else error.detail)
        now = self._uptime.ms()
        if line != self.said or now - self._said_ms >= _SAY_AGAIN_MS:
            self.said = line
            self._said_ms = now
            self.log(line)
        self.code = error.code
        self.seen(error.code)

    def seen(self, code):
        """Take a code that a reading carries: ask the gateway when it is new."""
        now = self._uptime.ms()
        if now - self.asked.get(code, -_ASK_AGAIN_MS) >= _ASK_AGAIN_MS:
            self.asked[code] = now
            self.ask = True


async def guard(where, run, faults):
    """Run the coroutine function `run` until it returns; what it raises is noted, then it starts again, ever slower."""
    pause_s = 1
    while True:
        try:
            return await run()
        except Exception as error:
            faults.note(error, where)
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, _RETRY_MAX_S)

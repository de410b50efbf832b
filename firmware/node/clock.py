"""Time since start, of ticks that wrap after 12 days. No part of the firmware has another clock."""

import time


class Uptime:
    """Monotonic milliseconds since the board's boot. Must be looked at every six days; every loop does."""

    def __init__(self):
        self._last = time.ticks_ms()
        self._ms = 0
        self.ahead_s = None  # unix time minus this clock, in s; None while nobody has told it

    def ms(self):
        """Return the milliseconds since start (a plain int that does not wrap)."""
        now = time.ticks_ms()
        self._ms += time.ticks_diff(now, self._last)
        self._last = now
        return self._ms

    def elapse(self, ms):
        """Let `ms` go by that no ticks have shown: a deep sleep."""
        self._ms += ms

    def u32(self, ticks_ms=None):
        """Return the clock of the serial link, milliseconds, unsigned 32 bit: now, or when the ticks were `ticks_ms`."""
        now = self.ms()
        if ticks_ms is not None:
            now += time.ticks_diff(ticks_ms, self._last)
        return now & 0xFFFFFFFF


def diff_u32(a, b):
    """Return a - b, two clocks of the serial link at most 24 days apart, as a signed number."""
    return ((a - b + 0x80000000) & 0xFFFFFFFF) - 0x80000000

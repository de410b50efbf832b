"""Feeds the watchdog while every task keeps its time. When one is late, it is named and the board starts anew."""

import asyncio

from firmware.wire.errors import DeviceError, const

FEED_MS = const(3900)  # less than half of the 8 s that a Pico's watchdog can wait at most
_LOOK_MS = const(60000)  # where no ladder has armed a watchdog
_HOUR_MS = const(3600000)


class Supervisor:
    """`ladder`: the boot ladder (its feed() and crash()), or None."""

    def __init__(self, ladder, uptime):
        self._ladder = ladder
        self._uptime = uptime
        self._late_ms = {}  # name -> uptime from which on the task is late, None while it may wait for ever

    def watch(self, name, deadline_ms):
        """Return `beat(rest_ms=0)`, by which a task says that it lives, and will again in rest_ms + deadline_ms at most.

        rest_ms None: it waits for what may never come, and is not missed.
        """

        def beat(rest_ms=0):
            self._late_ms[name] = None if rest_ms is None else self._uptime.ms() + rest_ms + deadline_ms

        beat()
        return beat

    async def run(self):
        """Feed for ever. DeviceError("task_late"): the launcher resets the board, or else the watchdog does."""
        ladder, tasks = self._ladder, self._late_ms
        hours = 0
        while True:
            if ladder:
                ladder.feed()
            await asyncio.sleep_ms(FEED_MS if ladder else _LOOK_MS)
            now = self._uptime.ms()
            if ladder and now // _HOUR_MS > hours:
                hours += 1
                ladder.settled(hours)
            for name in tasks:
                if tasks[name] is not None and now > tasks[name]:
                    error = DeviceError("task_late", name)
                    if ladder:
                        ladder.crash(error.code, name)
                    raise error

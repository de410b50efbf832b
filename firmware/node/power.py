"""How a board sleeps between its tasks: lightly, in slices, and not while a host is there. Loaded where a profile asks."""

import asyncio
from time import ticks_diff, ticks_ms

from firmware.ports import port
from firmware.wire.errors import const

_SLICE_MS = const(3900)  # less than half of what a Pico's watchdog waits; the supervisor feeds it in between
_LEAST_MS = const(20)  # a shorter wait is no sleep
_GRACE_MS = const(60000)  # after a start that nobody planned: time for a host to say something
_TALK_MS = const(600000)  # after a host said something


class Power:
    """`hold()` and `release()`: the board stays awake in between, for what needs its clocks, such as a UART.

    planned: this start is a scheduled wake.
    """

    def __init__(self, board, planned):
        self.port = port()
        self._board = board
        self._held = 0
        self._messages = 0
        self._awake_ms = 0 if planned else board.uptime.ms() + _GRACE_MS
        board.console.ask = self._ask

    def hold(self):
        """Stay awake."""
        self._held += 1

    def release(self):
        """Sleep, if nobody else holds."""
        self._held -= 1

    def _ask(self, body):
        self._talked()
        self._board.ask(body)

    def _talked(self):
        self._awake_ms = self._board.uptime.ms() + _TALK_MS

    def awake(self):
        """Return whether the board must not sleep: somebody holds it, or a host is there."""
        board = self._board
        if board.console.messages != self._messages:
            self._messages = board.console.messages
            self._talked()
        return self._held > 0 or board.uptime.ms() < self._awake_ms or self.port.hosted()

    def held(self, call):
        """Return the coroutine function `call` with the board awake as long as it runs."""

        async def run(*args):
            self.hold()
            try:
                return await call(*args)
            finally:
                self.release()

        return run

    def lighten(self):
        """From now on the loop's idle waits are light sleep. What an interrupt sets meanwhile is seen after the slice."""
        queue, tasks = asyncio.core._io_queue, asyncio.core._task_queue  # type: ignore[attr-defined]
        wait = queue.wait_io_event

        def sleep(ms):
            if 0 <= ms < _LEAST_MS or self.awake():
                return wait(ms)
            wait(0)
            first = tasks.peek()
            ms = ticks_diff(first.ph_key, ticks_ms()) if first else _SLICE_MS
            if ms >= _LEAST_MS:
                self.port.sleep_ms(min(ms, _SLICE_MS))

        queue.wait_io_event = sleep


def manage(node, config, profile):
    """Let `node` sleep as its profile ("light", "deep", "gated") says."""
    board, service = node.board, node.schedule.service
    if profile == "light":
        power = Power(board, board.ladder.wake)
        run = node.run

        async def light():
            power.lighten()
            await run()

        node.run = light
    else:
        from .wake import Wake

        power = Wake(node, config, profile)
        node.run = power.run
    board.power = power
    if service:
        service.report = power.held(service.report)
        service.poll = power.held(service.poll)

"""SX126x for tasks: the thin skin around modem.py."""

import asyncio

from .modem import Modem

WATCH_MS = 2000  # how often a waiting task looks at DIO1 itself, should an edge get lost


class SX126x(Modem):
    """See Modem; needs `dio1` to be a machine.Pin with interrupts."""

    def __init__(self, spi, cs, busy, reset, dio1, **settings):
        self._risen = asyncio.ThreadSafeFlag()
        super().__init__(spi, cs, busy, reset, dio1, **settings)

    def _rose(self, pin):
        super()._rose(pin)
        self._risen.set()

    async def _wait(self, ms):
        if self._irq:  # it rose again while the last one was served
            return
        try:
            await asyncio.wait_for_ms(self._risen.wait(), ms)
        except asyncio.TimeoutError:
            pass

    async def send(self, frame=None):
        self.start_send(frame)
        pause_ms = self._toa_us // 1000 + 2
        while True:
            toa_us = self.poll_send()
            if toa_us is not None:
                return toa_us
            await self._wait(pause_ms)
            pause_ms = 10 + self._toa_us // 16000

    async def recv(self, timeout_ms=None):
        # A receiver that listens already, as it is asked to, must not miss the frame that is coming in.
        if not self.receiving or timeout_ms is not None or self._window_ms is not None or self._changed:
            self.start_recv(timeout_ms)
        while True:
            packet = self.poll_recv()
            if packet is not None or not self.receiving:
                return packet
            await self._wait(WATCH_MS if timeout_ms is None else min(WATCH_MS, timeout_ms + 10))

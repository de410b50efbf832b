"""The uplink of a board with a host on its serial line: frames stay on flash until the daemon has them on disk."""

import asyncio

from firmware.wire.errors import DeviceError
from firmware.wire.frame import FRAME_MAX

WINDOW = 8  # sealed and not yet handled; what waits longer stays unsealed, so that its age is right when it goes


class SerialLink:
    """Delivers through the outbox. `handled` of the outbox must come here (the console's message [7])."""

    repeats = False  # the line is acknowledged
    answers = False  # and what a host wants to say needs no window
    limit = FRAME_MAX

    def __init__(self, outbox, queue, uptime, faults):
        self._outbox = outbox
        self._queue = queue
        self._uptime = uptime
        self._faults = faults
        self._room = asyncio.Event()
        self._held = []

    def holds(self, ident):
        """Whether an entry of the queue is on its way."""
        return ident in self._held

    async def ready(self):
        """Wait until one more frame may be sealed."""
        while len(self._held) >= WINDOW:
            self._room.clear()
            await self._room.wait()

    def wait_ms(self, size):
        """No law limits a cable."""
        return 0

    async def deliver(self, ident, frame, final=False, copies=1):
        """Send a frame (bytes) and keep it, on flash too, until it is handled."""
        self._held.append(ident)
        try:
            self._queue.seal(ident, frame)
        except DeviceError as error:
            self._faults.note(error)
        self._outbox.add(frame, None, None, self._uptime.u32(), ident)

    def handled(self, seq):
        """The daemon has every frame up to `seq`."""
        for ident in self._outbox.handled(seq):
            if ident in self._held:
                self._held.remove(ident)
            try:
                self._queue.drop(ident)
            except DeviceError as error:
                self._faults.note(error)
        self._room.set()

"""The uplink of a board with a host on its serial line: frames stay on flash until the daemon has them on disk."""

import asyncio

from firmware.wire.errors import DeviceError, const
from firmware.wire.frame import FRAME_MAX

from .outbox import Outbox

_WINDOW = const(8)  # sealed and not yet handled; what waits longer stays unsealed, so that its age is right when it goes


class SerialLink:
    """Delivers through the board's outbox; `handled` takes the console's message [7]."""

    repeats = False  # the line is acknowledged
    answers = False  # and what a host wants to say needs no window
    limit = FRAME_MAX
    radio = None

    def __init__(self, board, queue):
        board.outbox = Outbox(board.console.write)
        self._board = board
        self._queue = queue
        self._room = asyncio.Event()
        self.held = []  # entries of the queue that are on their way

    async def ready(self):
        """Wait until one more frame may be sealed."""
        while len(self.held) >= _WINDOW:
            self._room.clear()
            await self._room.wait()

    def wait_ms(self, size):
        """No law limits a cable."""
        return 0

    async def deliver(self, ident, frame, final=False, copies=1):
        """Send a frame (bytes) and keep it, on flash too, until it is handled."""
        self.held.append(ident)
        try:
            self._queue.seal(ident, frame)
        except DeviceError as error:
            self._board.faults.note(error)
        self._board.outbox.add(frame, None, None, self._board.uptime.u32(), ident)

    def handled(self, seq):
        """The daemon has every frame up to `seq`."""
        for ident in self._board.outbox.handled(seq):
            if ident in self.held:
                self.held.remove(ident)
            try:
                self._queue.drop(ident)
            except DeviceError as error:
                self._board.faults.note(error)
        self._room.set()


def make(board, config, queue, keys):
    """Return the link of a wired board."""
    return SerialLink(board, queue)

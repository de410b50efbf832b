"""The uplink of a board with a host on its serial line: frames stay on flash until the daemon has them on disk."""

import asyncio

from firmware.wire.errors import DeviceError, const
from firmware.wire.frame import FRAME_MAX
from firmware.wire.link import HANDLED, OK, SEND, sent

from .outbox import Outbox

_ANSWER_MS = const(5000)  # what a host has for an answer that was asked for
_LOOK_MS = const(100)
_WINDOW = const(8)  # sealed and not yet handled; what waits longer stays unsealed, so that its age is right when it goes


class SerialLink:
    """Delivers through the board's outbox; `handled` takes the console's message [7]."""

    repeats = False  # the line is acknowledged
    limit = FRAME_MAX
    radio = None

    def __init__(self, board, queue, keys):
        board.outbox = Outbox(board.console.write)
        self._board = board
        self._queue = queue
        self.keys = keys
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

    async def answer(self, uplink):
        """The answer comes by the console: nothing waits for it but a restart, which more commands hold back."""
        left = _ANSWER_MS
        while left and uplink.restart and uplink.awaited:
            left -= _LOOK_MS
            await asyncio.sleep_ms(_LOOK_MS)

    def message(self, app, message):
        """Take what a host says: a list whose second element is a number."""
        if message[0] == HANDLED:
            self.handled(message[1])
            ladder = app.board.ladder
            if ladder.trial and app.uplink.awaited and not self.held:
                ladder.answered()  # what this release has sealed is on the daemon's disk
        elif message[0] == SEND and len(message) > 2:
            self._answering = asyncio.create_task(self._answer(app, message))

    async def _answer(self, app, message):
        status = await app.uplink.obey(message[2], app.uplink.awaited)
        self._board.console.write(sent(message[1], status or OK, 0))

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
    return SerialLink(board, queue, keys)

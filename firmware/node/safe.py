"""The safe mode: what is left of a board that has failed at everything else. It says hello, answers, and waits to try again."""

import asyncio

from firmware.ports import port
from firmware.wire.errors import DeviceError, const
from firmware.wire.link import HELLO

from .board import together

_FIRST_S = const(300)  # doubles with each round, up to
_MOST_S = const(3600)


class Safe:
    """Stands where the Node or the Bridge would be."""

    radio = None

    def __init__(self, board):
        self.board = board

    def message(self, message):
        """Take a message (list) of the host."""
        if message[0] == HELLO and len(message) == 1:
            self.board.hello(again=True)

    async def run(self):
        """Wait, then let the ladder try the application again."""
        board = self.board
        board.hello()
        await together(board, (("console", lambda: board.console.listen(self.message)), ("wait", self._wait)))

    async def _wait(self):
        await asyncio.sleep(min(_FIRST_S << self.board.ladder.safe - 1, _MOST_S))
        self.board.ladder.retry()


def start(board, root):
    """Return the Safe. The configuration is not needed, and not touched."""
    board.root = root
    board.uid = port().unique_id()
    board.console.log("boot %s firmware in safe mode, round %d" % (board.role, board.ladder.safe))
    for code, text in board.ladder.crashes():
        board.console.log("before: %d %s" % (code, text))
    board.faults.note(DeviceError("safe_mode", "the application has failed too often"))
    return Safe(board)

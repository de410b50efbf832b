"""The application of a node: a service's readings, sealed, to the gateway. start.py makes it."""

from firmware.wire.link import HELLO

from .board import Board, run_role, together


class Node:
    """The parts of a running node. link: a SerialLink, or a RadioLink with its `radio`; root: where its files are."""

    root = "/"

    def __init__(self, board, queue, link, uplink, schedule):
        uplink.app = self
        self.board = board
        board.app = self
        self.queue = queue
        self.link = link
        self.uplink = uplink
        self.schedule = schedule
        self.radio = link.radio

    def message(self, message):
        """Take a message (list) of the host."""
        kind = message[0]
        if kind == HELLO and len(message) == 1:
            self.board.hello(again=True)
        elif not self.radio and len(message) > 1 and type(message[1]) is int:
            self.link.message(self, message)

    async def run(self):
        """Work for ever."""
        self.board.hello()
        await together(
            self.board,
            (
                ("poll", self.schedule.poll),
                ("report", self.schedule.report),
                ("uplink", self.uplink.run),
                ("console", lambda: self.board.console.listen(self.message)),
            ),
        )


def _start(board, root):
    from .start import start

    return start(board, root)


def run(root="/", ladder=None):
    """Run the node until Ctrl-C. `root`: where the board's files are. DeviceError: those of start."""
    run_role(Board("node", None, ladder), _start, root)

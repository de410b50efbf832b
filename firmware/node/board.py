"""What a node and a radio bridge have in common while they run: console, clock, faults, outbox, hello."""

import asyncio

from firmware.wire import link
from firmware.wire.errors import DeviceError

from . import VERSION
from .clock import Uptime
from .console import Console
from .faults import Faults, guard
from .supervisor import Supervisor


class Board:
    """Everything that exists before the configuration is read, which sets `uid` and `root`. outbox: None on a radio node.

    app: the Node or Bridge, once it is made. refused: requests of the service console that were too many.
    power: of power.py, None on a board that does not sleep.
    ladder: of firmware/ladder.py, made before all this; without one a NoLadder, which does nothing.
    """

    def __init__(self, role, console=None, ladder=None):
        self.console = console or Console()
        self.uptime = Uptime()
        self.faults = Faults(self.console.log, self.uptime)
        self.supervisor = Supervisor(ladder, self.uptime)
        if not ladder:
            from .noladder import NoLadder

            ladder = NoLadder()
        self.ladder = ladder
        self.outbox = None
        self.role = role
        self.uid = self.root = ""
        self.app = self.talk = self.power = None
        self.refused = 0
        self.console.ask = self.ask

    def ask(self, body):
        """Take a request (bytes) of the service console: serve.py, which is loaded for it, answers."""
        if not self.talk:
            from .serve import Talk

            self.talk = Talk(self)
        self.talk.take(body)

    def hello(self, again=False):
        """Say who this board is, and then all that is not handled, `again`."""
        outbox = self.outbox
        heard, overflow = (outbox.heard, outbox.overflow) if outbox else (0, 0)
        self.console.write(link.hello(VERSION, self.uid, [self.role], self.uptime.u32(), heard, overflow))
        if outbox and again:
            self._task = asyncio.create_task(outbox.resend())


def run_role(board, start, root):
    """Make the application by start(board, root) and run it until Ctrl-C; its radio sleeps afterwards.

    DeviceError: config, identity, state_lost, counter, store.
    """
    from .forget import forget_start

    app = None
    try:
        if board.ladder.safe:
            from .safe import start
        app = start(board, root)
        forget_start()
        asyncio.run(app.run())
    except DeviceError as error:
        board.faults.note(error)
        raise
    finally:
        asyncio.new_event_loop()
        if app and app.radio:
            try:
                app.radio.sleep()
            except DeviceError as error:
                board.faults.note(error)


async def together(board, work):
    """Run all of `work`, (name, coroutine function) pairs; what one of them raises ends none. DeviceError("task_late")."""
    _tasks = [asyncio.create_task(guard(name, run, board.faults)) for name, run in work]
    await board.supervisor.run()

"""What a node and a radio bridge have in common: console, clock, faults, identity, hello."""

import asyncio

from firmware.ports import port
from firmware.wire import link
from firmware.wire.errors import DeviceError

from . import VERSION, config as configuration
from .clock import Uptime
from .console import Console
from .faults import Faults
from .outbox import Outbox


class Board:
    """Everything that exists before the role is known. `root`: where the board's files are, with a slash at its end.

    DeviceError config or identity: this board must not send.
    """

    def __init__(self, root, role, console=None):
        self.console = console or Console()
        self.uptime = Uptime()
        self.faults = Faults(self.console.log, self.uptime)
        self.outbox = Outbox(self.console.write)
        self.reset_cause = port.reset_cause()
        self.config = configuration.load(root)
        self.console.log(
            "boot %s %s firmware %s reset %d" % (self.config["board"], role, VERSION, self.reset_cause)
        )
        configuration.check_identity(port.unique_id(), self.config["uid"], "the chip")
        self._role = role

    def hello(self):
        """Say who this board is."""
        outbox = self.outbox
        self.console.write(
            link.hello(VERSION, self.config["uid"], [self._role], self.uptime.u32(), outbox.heard, outbox.overflow)
        )


def run_role(make, root):
    """Make the application by make(root) and run it until Ctrl-C; whatever ends it leaves the radio asleep."""
    app = None
    try:
        app = make(root)
        asyncio.run(app.run())
    except DeviceError as error:
        Console().log("error %s %s" % (error.name, error.detail))
        raise
    finally:
        if app is not None:
            app.close()
        asyncio.new_event_loop()

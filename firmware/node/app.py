"""The application of a node: a service's readings, sealed, to the gateway."""

import asyncio
import gc

from firmware.wire import link as wire
from firmware.wire.errors import DeviceError
from firmware.wire.frame import HOP_LEN, TAG_LEN
from firmware.wire.seal import Sealer, derive

from . import config as configuration
from . import files, hardware
from .board import Board, run_role
from .counter import Counter
from .faults import guard
from .queue import Queue
from .schedule import Schedule
from .uplink import Uplink


class Node:
    """The parts of a node, made from the files below `root`. DeviceError: config, identity, counter, store."""

    def __init__(self, root="/", console=None):
        board = self.board = Board(root, configuration.NODE, console)
        config = board.config
        kid, secret = configuration.load_secret(root, config)
        hop = bool(config.get("hop"))
        keys = derive(secret, kid)
        self.counter = make_counter(root, config)
        self.queue = Queue(root + "state/queue")
        self.radio = None
        self.wired = config["link"] == configuration.SERIAL
        self.link = self._serial_link() if self.wired else self._radio_link(keys)
        self.uplink = Uplink(
            self.queue, self.link, Sealer(keys, hop), self.counter,
            faults=board.faults, uptime=board.uptime, overhead=1 + len(kid) + TAG_LEN + (HOP_LEN if hop else 0),
            reset_cause=board.reset_cause, period_ms=config["report_s"] * 1000,
        )  # fmt: skip
        self.schedule = Schedule(
            self._service(), self.uplink.push, hardware.make_battery(config.get("battery")),
            faults=board.faults, uptime=board.uptime, report_s=config["report_s"], first_ms=self._first_ms(),
        )  # fmt: skip
        gc.collect()

    def _serial_link(self):
        from .serial_link import SerialLink

        board = self.board
        return SerialLink(board.outbox, self.queue, board.uptime, board.faults)

    def _radio_link(self, keys):
        from .plan import bands_of, settings_of
        from .radio_link import RadioLink

        spec, plan = self.board.config["radio"], self.board.config["plan"]
        bands = bands_of(plan)
        settings = settings_of(plan, bands, spec.get("antenna_dbi", 0))
        self.radio = hardware.make_radio(spec)
        return RadioLink(self.radio, bands, settings, queue=self.queue, keys=keys, faults=self.board.faults)

    def _service(self):
        try:
            return hardware.make_service(self.board.config)
        except DeviceError as error:
            self.board.faults.note(error)
            return None

    def _first_ms(self):
        # A power cut of the whole town must not become a storm on the air.
        if self.wired:
            return 0
        from .radio_link import random_ms

        return random_ms(self.board.config["report_s"] * 1000)

    def message(self, message):
        """Take a message of the host."""
        if message[0] == wire.HELLO and len(message) == 1:
            self.board.hello()
            self._again = asyncio.create_task(self.board.outbox.resend())
        elif message[0] == wire.HANDLED and len(message) > 1 and type(message[1]) is int and self.wired:
            self.link.handled(message[1])

    async def run(self):
        """Work for ever."""
        board = self.board
        board.hello()
        tasks = []
        for name, task in (
            ("poll", self.schedule.poll),
            ("report", self.schedule.report),
            ("uplink", self.uplink.run),
            ("console", self._listen),
        ):
            tasks.append(asyncio.create_task(guard(name, task, board.faults, board.uptime)))
        for task in tasks:
            await task

    async def _listen(self):
        await self.board.console.listen(self.message)

    def close(self):
        """Leave nothing on that eats current or sends."""
        if self.radio is not None:
            self.radio.sleep()


def make_counter(root, config):
    """Return the counter of the configuration's kid; `gated`: the board is powered off between wakes."""
    try:
        files.make_folder(root + "state")
    except OSError as error:
        raise DeviceError("store", "counter: %s" % error)
    name = "counter-" + config["kid"]
    return Counter((root + "state/" + name, root + name), 1 if config.get("gated") else 16)


def run(root="/"):
    """Run the node until Ctrl-C. DeviceError: config, identity, counter, store."""
    run_role(Node, root)

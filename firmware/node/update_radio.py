"""A release by radio: each uplink asks for one block (key -11), its answer brings it. Loaded for each, and forgotten.

Order 5 [name] begins it, [b""] ends it; the name lies with what commands changed (settings.py), so a restart goes on.
"""

import asyncio

from firmware.wire.errors import DeviceError

from . import config, manifest
from .update import Updater


def first(board, root, name):
    """Return the block that the release `name` wants, [part, offset], when a board starts; None where it cannot be had."""
    try:
        to = _updater(board, root, name)
        want = ()
        while want == ():
            board.ladder.feed()
            want = to.wanted()
        return list(want or (0, 0))  # all is there: the next answer ends it, whatever it brings
    except DeviceError as error:
        board.faults.note(error, "update")
        return None


def _updater(board, root, name):
    to = Updater(root, board.ladder, manifest.kind_of(config.load(root)))
    to.begin(name)
    return to


async def take(app, name, block):
    """Take `block` ([part, offset, bytes]); return the one wanted next, True: the ladder tries it from the next boot on.

    None: it was refused, and the fault noted.
    """
    board = app.board
    try:
        to = _updater(board, app.root, name)
        want = await _look(to)
        if want and type(block) is list and len(block) == 3 and type(block[2]) is bytes:
            to.take(*block)
            want = await _look(to)
        if want:
            return list(want)
        to.finish()
        return True
    except DeviceError as error:
        board.faults.note(error, "update")
        return app.uplink.block if error.name == "store" else None


async def _look(to):
    while True:
        want = to.wanted()
        if want != ():
            return want
        await asyncio.sleep_ms(0)  # a file was looked at

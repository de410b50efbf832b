"""Op of the service console that brings a release: block by block, as far as it got before, until the board restarts with it."""

import asyncio

from firmware.wire.errors import DeviceError

from . import config, manifest
from .update import Updater


async def update(talk, name, part=None, offset=0, data=b""):
    """Take a block of the release `name` (bytes: the first eight of its manifest's SHA-256); without a part, none.

    Returns [part, offset], which block is wanted now, or [] when all is there: then the board restarts, and tries it.
    """
    if type(name) is not bytes or type(data) is not bytes:
        raise DeviceError("console_request", "update")
    known, to = talk.kept.get("update", (None, None))
    if known != name or (to and part is None):
        to = Updater(talk.board.root, talk.board.ladder, manifest.kind_of(config.load(talk.board.root)))
        to.begin(name)
        talk.kept["update"] = name, to
    if not to:
        return []
    if part is not None:
        to.take(part, offset, data)
    while True:
        want = to.wanted()
        if want:
            return list(want)
        if want is None:
            break
        await asyncio.sleep_ms(0)  # a file was looked at
    to.finish()
    talk.kept["update"] = name, None
    talk.kept["restart"] = asyncio.create_task(_restart(talk.board))
    return []


async def _restart(board):
    await asyncio.sleep_ms(1000)  # the answer goes first
    board.faults.log("restart")
    board.ladder.reboot()

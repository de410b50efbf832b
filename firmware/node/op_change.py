"""Ops of the service console that change the board. What an order does as well is done by the code of orders (orders.py)."""

import asyncio

import micropython

from firmware.wire.errors import CODES, DeviceError, const
from firmware.wire.quantities import INTERVAL, ORDER

_REBOOT = const(1)
_CALIBRATE = const(2)
_SET = const(3)
_PAUSE_MS = const(1000)  # before a restart: the answer goes first
_CTRL_C = const(3)


async def _order(talk, payload):
    from . import orders

    app = talk.board.app
    if not hasattr(app, "uplink"):
        raise DeviceError("console_request", "this board runs no node")
    code = await orders.Orders(app).apply(None, payload)
    if code:
        words = CODES.split()
        raise DeviceError(words[words.index(str(code)) + 1], "the log says why")
    if app.uplink.restart:
        app.uplink.later = asyncio.create_task(orders.restart(app))


async def calibrate(talk):
    """Take what the sensors see now for the empty bin, the free bay; return {setting: value} as it is in force afterwards."""
    await _order(talk, {ORDER: [_CALIBRATE]})
    return _settings(talk)


async def set(talk, *pairs):
    """Set name, value, name, value ...; return the settings as they are in force after the restart that follows."""
    await _order(talk, {ORDER: [_SET] + list(pairs)})
    return _settings(talk)


async def interval(talk, seconds):
    """Report every so many seconds, after the restart that follows."""
    if type(seconds) is not int:
        raise DeviceError("console_request", "seconds")
    await _order(talk, {INTERVAL: seconds})


def _settings(talk):
    from . import config

    return config.load(talk.board.root)["settings"]


async def reboot(talk):
    """Start anew, in a moment."""
    talk.board.faults.log("restart")
    talk.board.later = asyncio.create_task(_reboot(talk.board))


async def _reboot(board):
    await asyncio.sleep_ms(_PAUSE_MS)
    board.ladder.reboot()


def production(talk, on):
    """Close the REPL for good: Ctrl-C is nothing, from now on and after each boot; or open it again. Return whether it is."""
    if type(on) is not bool:
        raise DeviceError("console_request", "true or false")
    if on and not talk.identity()[0]:
        raise DeviceError("console_request", "a board without a key could not be opened again")
    ladder = talk.board.ladder
    ladder.close(on)
    ladder.crashes()  # and what is on flash now?
    if ladder.closed != on:
        raise DeviceError("store", "production")
    micropython.kbd_intr(-1 if on else _CTRL_C)
    return on


def open(talk):
    """Let Ctrl-C lead to the REPL until the next boot."""
    micropython.kbd_intr(_CTRL_C)

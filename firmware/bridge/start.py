"""Makes a radio bridge of its file: read once, then freed (node/forget.py)."""

import time

from firmware.node import hardware
from firmware.node.config import identify
from firmware.node.plan import bands_of, settings_of
from firmware.radio.ledger import Ledger

from .app import Bridge


def start(board, root):
    """Return the Bridge. DeviceError: config, identity."""
    config = identify(board, root)
    if board.ladder.untold:
        board.ladder.told()  # the log line is all that a board without a key can say
    spec, plan = config["radio"], config["plan"]
    bands = bands_of(plan)
    antenna_dbi = spec.get("antenna_dbi", 0)
    settings = settings_of(plan, bands, antenna_dbi)
    return Bridge(
        board, hardware.make_radio(spec), Ledger(time.ticks_ms(), bands, time.ticks_diff), settings,
        bands=bands, antenna_dbi=antenna_dbi,
    )  # fmt: skip

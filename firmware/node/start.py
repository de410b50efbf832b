"""Makes a node of its files: read once, then freed (forget.py)."""

import os

from firmware.wire.errors import DeviceError, const
from firmware.wire.frame import HOP_LEN, TAG_LEN
from firmware.wire.seal import Sealer, derive

from . import config as configuration, hardware, settings
from .app import Node
from .queue import Queue
from .restore import make_counter, make_queue, profile_of
from .schedule import Schedule
from .uplink import Uplink

_SOON_MS = const(30000)


def start(board, root):
    """Return the Node. DeviceError: config, identity, state_lost, counter, store."""
    config = configuration.identify(board, root)
    ladder, report_s = board.ladder, config["report_s"]
    profile = profile_of(config) if config["link"] == "radio" else "always"  # a board on a cable does not sleep
    ladder.about(profile == "gated", list(config.get("sensors", {})), ladder.wake and daily(report_s))
    kid, secret = configuration.load_secret(root, config)
    keys = derive(secret, kid)
    hop = bool(config.get("hop"))
    counter = make_counter(root, config)
    kind = Queue
    if profile in ("deep", "gated"):
        from .wake import RamQueue as kind
    queue = make_queue(root + "state/queue", kind)
    report_ms = report_s * 1000
    link = __import__("firmware.node.%s_link" % config["link"], None, None, ("make",)).make(board, config, queue, keys)
    # A power cut of the whole town must not become a storm on the air; the restart that a command asked for is none.
    result, trial, release = _told(root, kid)
    first_ms = int.from_bytes(os.urandom(4), "big") % (min(report_ms, _SOON_MS) if result else report_ms) if link.radio else 0
    uplink = Uplink(
        board, queue, link, Sealer(keys, hop), counter,
        overhead=1 + len(kid) + TAG_LEN + (HOP_LEN if hop else 0), reset_cause=ladder.cause, report_ms=report_ms,
    )  # fmt: skip
    battery = hardware.make_battery(config.get("battery"))
    schedule = Schedule(board, _service(board, config), uplink.push, battery, report_ms=report_ms, first_ms=first_ms)
    if ladder.wake:
        board.faults.ask = False  # what the start finds is nothing new
    uplink.result, uplink.trial = result, trial
    if ladder.untold:
        uplink.past = [code for code, _ in ladder.crashes()]
        board.faults.ask = True
    if release and link.radio and not board.ladder.trial:
        from .update_radio import first

        uplink.block = first(board, root, release)
    node = Node(board, queue, link, uplink, schedule)
    node.root = root
    if profile != "always":
        from .power import manage

        manage(node, config, profile)
    return node


def daily(report_s):
    """Return True about once a day when it is asked each `report_s`: a board that sleeps in between counts no hours."""
    return int.from_bytes(os.urandom(4), "big") % 86400 < report_s


def _told(root, kid):
    # What is still to be told of the last command: (its id, result or None) or None; is a radio plan on trial; the name of
    # a release on its way.
    changed = settings.load(root)[0]
    done, trial = changed.get("done"), "trial" in changed
    if not done or done[0] != kid or done[3]:
        return None, trial, changed.get("update")
    return (done[1], None if trial else done[2]), trial, changed.get("update")


def _service(board, config):
    # A node whose service cannot be built says so, and how its battery is.
    try:
        return hardware.make_service(config, board)
    except DeviceError as error:
        board.faults.note(error)
        return None

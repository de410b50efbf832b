"""Ops of the service console that look: who the board is, how it is, what it counted, what went wrong."""

import gc

from firmware.wire.errors import DeviceError

from . import RELEASE, VERSION, config


def challenge(talk):
    """Return [nonce, kid, board's name, uid, role]: what a host needs to find its key. A radio bridge's kid is b"".

    A board whose configuration is damaged, which is in safe mode, has no name.
    """
    board = talk.board
    return [talk.challenge(), talk.identity()[0], _config(board).get("board", ""), board.uid, board.role]


def _config(board):
    try:
        return config.load(board.root)
    except DeviceError as error:
        return {"config": error.detail}


def status(talk):
    """Return how the board is, a map; what a board does not have is not in it."""
    board = talk.board
    node, settings = board.app, _config(board)
    ladder = board.ladder
    gc.collect()
    out = {
        "board": settings.get("board", ""), "role": board.role, "uid": board.uid, "firmware": VERSION, "release": RELEASE,
        "uptime_s": board.uptime.ms() // 1000, "reset_cause": ladder.cause, "error": board.faults.code or 0,
        "heap_free": gc.mem_free(), "production": bool(ladder.closed), "slot": ladder.slot, "trial": bool(ladder.trial),
        "safe": bool(ladder.safe), "strikes": ladder.strikes, "quarantine": list(ladder.quarantine),
    }  # fmt: skip
    for key in ("kid", "service", "link", "report_s", "config"):
        if settings.get(key):
            out[key] = settings[key]
    if hasattr(node, "queue"):
        out["queued"] = len(node.queue.ids)
        out["piv"] = node.uplink.counter.upcoming
    return out


def counters(talk):
    """Return what was counted since the boot, a map."""
    board = talk.board
    node, console, outbox = board.app, board.console, board.outbox
    out = {"messages": console.messages, "garbage": console.garbage, "refused": board.refused}
    if outbox:
        out.update({"heard": outbox.heard, "overflow": outbox.overflow, "unhandled": len(outbox.waiting)})
    if hasattr(node, "queue"):
        queue = node.queue
        out.update({"piv": node.uplink.counter.upcoming, "queue_dropped": queue.dropped, "queue_damaged": queue.damaged})
    link = getattr(node, "link", None)
    for key in ("sent", "failed", "answered"):
        if hasattr(link, key):
            out[key] = getattr(link, key)
    if node and node.radio:
        out["radio"] = dict(node.radio.counters)
    return out


def log(talk):
    """Return {"last": the last fault's line, "kinds": {code: seconds since it last was new}, "crashes": [[code, text]]}.

    Crashes are those of earlier boots that the gateway has not heard of, the oldest first.
    """
    faults = talk.board.faults
    now = talk.board.uptime.ms()
    kinds = {code: (now - faults.asked[code]) // 1000 for code in faults.asked}
    crashes = [list(crash) for crash in talk.board.ladder.crashes()]
    return {"last": faults.said or "", "kinds": kinds, "crashes": crashes}

"""What a board keeps in the RTC's memory over a deep sleep, with a CRC, and how it finds its way back.

The record is CBOR: version, key id, uptime and length of the sleep in ms, when the next report is due, counter (limit on flash,
next), first entry of the queue whose time is known, what the uplink and the faults remember, and the duty ledger.
"""

from binascii import crc32
from time import ticks_ms

from firmware.radio.ledger_state import freeze, thaw
from firmware.wire import cbor
from firmware.wire.errors import WireError, const

_VERSION = const(1)
_MOST = const(1000)  # bytes that every port keeps
_RESERVE = const(16)


def remember(node, kid, due_ms, sleep_ms):
    """Return the record (bytes) of a board that will sleep for `sleep_ms`; b"" when it would be too long."""
    uplink, faults, counter = node.uplink, node.board.faults, node.uplink.counter
    data = cbor.dumps_link([
        _VERSION, kid, node.board.uptime.ms(), sleep_ms, due_ms, counter.limit, counter.upcoming, node.queue.boot,
        uplink.reset_cause, uplink.asked_ms, uplink.alarmed_ms, uplink.before, faults.code, faults.ask, faults.asked,
        freeze(node.link.ledger, ticks_ms()),
    ])  # fmt: skip
    return data + crc32(data).to_bytes(4, "little") if len(data) <= _MOST - 4 else b""


def recall(record, node, kid):
    """Make `node` know what the record says; return when its next report is due, or None for a record that is not good."""
    uplink, board, counter = node.uplink, node.board, node.uplink.counter
    data = record[:-4]
    if crc32(data).to_bytes(4, "little") != record[-4:]:
        return None
    try:
        version, of, uptime_ms, slept_ms, due_ms, limit, upcoming, *rest = cbor.loads_link(data)
        # The counter on flash decides: a record of another reservation is of another time.
        if version != _VERSION or of != kid or limit != counter.limit or not limit - _RESERVE <= upcoming <= limit:
            return None
        boot, cause, asked_ms, alarmed_ms, before, code, ask, asked, ledger = rest
        thaw(node.link.ledger, ledger, slept_ms)
    except (WireError, ValueError, TypeError, AttributeError):
        return None
    counter.upcoming = upcoming
    board.uptime.elapse(uptime_ms + slept_ms)
    node.queue.boot = min(boot, node.queue.boot)
    uplink.reset_cause, uplink.asked_ms, uplink.alarmed_ms = cause, asked_ms, alarmed_ms
    uplink.before = before
    board.faults.code, board.faults.ask, board.faults.asked = code, ask, asked
    return due_ms

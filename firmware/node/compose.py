"""From readings to one payload: the newest reading, the one before it as a repeat, and what the board has to say.

Pure functions (README of firmware/wire, section 2, Batch and Repeats).
"""

from firmware.wire import cbor
from firmware.wire.errors import DeviceError
from firmware.wire.quantities import (
    AGE,
    BATTERY,
    COMMAND,
    BLOCK,
    FIRMWARE,
    REPEATS,
    RESET_CAUSE,
    RESULT,
    SCALARS,
    STEP,
    TIME,
)


def with_repeat(payload, before, step_s):
    """Return `payload` with the reading before it in arrays of two; None where the two have nothing in common.

    step_s: seconds between the two readings, at least 1. Control keys, quantities of one moment, the battery and bytes
    are never in arrays.
    """
    out = None
    for key, value in payload.items():
        old = before.get(key)
        kind = type(value)
        if kind is type(old) and kind in (int, bool) and key > BATTERY and key not in SCALARS:
            out = out or dict(payload)
            out[key] = [old, value] if kind is bool else [old, value - old]
    if out:
        out[STEP] = step_s
        out[REPEATS] = 1
    return out


def compose(buf, limit, reading, extras, *, before=None, step_s=0):
    """Write the payload into `buf` and return its length, at most `limit`; the repeat is the first thing left out.

    reading, before: {key: value}; extras: the same, of control keys and AGE.
    DeviceError("config"): the reading alone does not fit.
    """
    payload = dict(reading)
    payload.update(extras)
    if before and step_s > 0:
        doubled = with_repeat(payload, before, step_s)
        n = doubled and _fits(buf, limit, doubled)
        if n:
            return n
    # What can wait is left out next, in this order.
    for key in (None, FIRMWARE, RESET_CAUSE, BLOCK, TIME, RESULT, COMMAND):
        payload.pop(key, None)
        n = _fits(buf, limit, payload)
        if n:
            return n
    raise DeviceError("config", "a reading of %d keys does not fit into %d bytes" % (len(payload), limit))


def _fits(buf, limit, payload):
    try:
        n = cbor.dump_into(buf, 0, payload)
    except IndexError:
        return 0
    return n if n <= limit else 0


def shown(reading):
    """Return a reading as JSON for the log: quantities by key, without age and control keys."""
    parts = []
    for key in sorted(reading):
        if key > 0 and key != AGE:
            value = reading[key]
            if type(value) is bool:
                value = "true" if value else "false"
            elif not isinstance(value, int):
                value = '"%s"' % value.hex()
            parts.append('"%d":%s' % (key, value))
    return "{" + ",".join(parts) + "}"

"""From readings to one payload: the newest reading, the one before it as a repeat, and what the board has to say.

Pure functions (README of firmware/wire, section 2, Batch and Repeats).
"""

from firmware.wire import cbor
from firmware.wire.errors import DeviceError
from firmware.wire.quantities import (
    AGE,
    ALARM,
    BATTERY,
    BY_KEY,
    FIRMWARE,
    REPEATS,
    RESET_CAUSE,
    SCALARS,
    STEP,
)

LOW_RATE_SF = 10
# What is left out, in this order, when a frame would be too long.
_SPARE = (FIRMWARE, RESET_CAUSE)


def in_array(key, value):
    """Whether a key may be in an array: quantities of one moment, control keys and bytes never are."""
    return key > 0 and key != BATTERY and key not in SCALARS and key in BY_KEY and type(value) in (int, bool)


def with_repeat(newest, before, step_s):
    """Return `newest` (dict) with the reading before it in arrays of two, or None where the two have nothing in common.

    step_s: seconds between the two readings, at least 1.
    """
    out = None
    for key, value in newest.items():
        old = before.get(key)
        if old is not None and in_array(key, value) and type(old) is type(value):
            if out is None:
                out = dict(newest)
            out[key] = [old, value] if type(value) is bool else [old, value - old]
    if out is not None:
        out[STEP] = step_s
        out[REPEATS] = 1
    return out


def compose(buf, limit, newest, *, before=None, step_s=0, extras=()):
    """Write the payload into `buf` and return its length, at most `limit`; the repeat is the first thing left out.

    newest, before: {key: value}; extras: (key, value) pairs of control keys and AGE.
    DeviceError("config"): the reading alone does not fit.
    """
    payload = dict(newest)
    for key, value in extras:
        payload[key] = value
    if before and step_s > 0 and ALARM not in newest:
        doubled = with_repeat(payload, before, step_s)
        n = _fits(buf, limit, doubled) if doubled else 0
        if n:
            return n
    n = _fits(buf, limit, payload)
    for key in _SPARE:
        if not n and key in payload:
            del payload[key]
            n = _fits(buf, limit, payload)
    if not n:
        raise DeviceError("config", "a reading of %d keys does not fit into %d bytes" % (len(payload), limit))
    return n


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

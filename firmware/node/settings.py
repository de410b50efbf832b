"""What commands and calibration changed on this board: a map in two generations that lies over the configuration.

Whoever changes it imports this module and forgets it afterwards (forget.py). The map is CBOR by the rules of link messages:
text keys, no floats. Names of OVER replace the configuration's, a map entry by entry; other keys are their owner's.
"""

import os

from firmware.wire import cbor
from firmware.wire.errors import DeviceError, WireError

from .pair import Pair

OVER = ("report_s", "settings", "plan")


def pair(root):
    """Return the Pair of the board whose files are below `root`."""
    return Pair((root + "state/settings-0", root + "state/settings-1"))


def load(root):
    """Return (what was changed, a dict; whether a damaged record gave way to the one before it)."""
    found = pair(root)
    data = found.load()
    try:
        changed = cbor.loads_link(data) if data else {}
    except WireError:
        changed = None
    if type(changed) is not dict:
        return {}, True
    return changed, found.older


def save(root, changed):
    """Put `changed` (a dict, all of it) in force: on flash when this returns. DeviceError("store"): nothing changed."""
    try:
        os.mkdir(root + "state")
    except OSError:
        pass  # it exists, or the next line fails
    try:
        pair(root).save(cbor.dumps_link(changed))
    except OSError as error:
        raise DeviceError("store", "settings: %s" % error)


def over(config, changed):
    """Return `config` with what was changed in its place."""
    out = dict(config)
    for name in OVER:
        if name in changed:
            value, old = changed[name], config.get(name)
            if type(value) is dict and type(old) is dict:
                value = dict(old, **value)
            out[name] = value
    return out

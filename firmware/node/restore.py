"""What a boot finds of counter and queue on flash. Only the start needs it, so it is freed with it (forget.py)."""

import os

from firmware.wire.errors import DeviceError, const

from . import files
from .counter import Counter
from .queue import Queue

_RESERVE_MAX = const(64)


def profile_of(config):
    """Return the power profile of a configuration."""
    return (config.get("power") or {}).get("profile", "always")


def make_counter(root, config):
    """Return the counter of the configuration's kid, without a reservation where power is cut between wakes.

    DeviceError: state_lost (no slot is there), counter (none is whole), store.
    """
    folder = root + "state"
    try:
        if "state" not in os.listdir(root):
            os.mkdir(folder)
    except OSError as error:
        raise DeviceError("store", "%s: %s" % (folder, error))
    name = "counter-" + config["kid"]
    paths = folder + "/" + name, root + name
    found = [files.read(path) for path in paths]
    limits = [int.from_bytes(record or b"", "big") for record in found]
    best = max(limits)
    if found == [None, None]:
        raise DeviceError("state_lost", "the counter of this key is gone: this board needs a new key")
    if not best:
        raise DeviceError("counter", "both records are damaged: this board needs a new key")
    if not min(limits):
        # The slot that is gone may have been the newer one, by one reservation.
        best += _RESERVE_MAX
    return Counter(paths, limits, best, 1 if profile_of(config) == "gated" else 16)


def make_queue(folder, kind=Queue, depth=64):
    """Return the queue (a `kind`, at most `depth` entries) of a folder with what an earlier boot left there.

    DeviceError("store").
    """
    try:
        os.mkdir(folder)
    except OSError:
        pass  # it exists, or listing it fails next
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise DeviceError("store", "queue: %s" % error)
    ids = []
    for name in names:
        try:
            ids.append(int(name, 16))
        except ValueError:
            pass
    ids.sort()
    return kind(folder, depth, ids)

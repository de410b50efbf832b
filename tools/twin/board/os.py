"""`os` of a simulated board: the real one, with chance from the town's seed."""

import hashlib
from uos import *  # noqa: F403

_pool = {"seed": b"", "n": 0}  # set by boot.py


def urandom(n):
    out = b""
    while len(out) < n:
        out += hashlib.sha256(_pool["seed"] + _pool["n"].to_bytes(8, "big")).digest()
        _pool["n"] += 1
    return out[:n]


def sync():
    pass

"""Put this process on a clock of its own: `import virtual` before asyncio, with this folder first on MICROPYPATH.

    import virtual
    virtual.port.at(5_000_000, fn)   # fn() at five seconds of town time

Sleeping costs nothing, and 3600 s of waiting tasks pass in milliseconds. `_town` says more.
"""

import sys

import _town
import time  # noqa: F401 - ours, by the path
import select  # noqa: F401
import tasks

sys.modules["_asyncio"] = tasks
port = _town.port

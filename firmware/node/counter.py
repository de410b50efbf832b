"""The frame counter (PIV): it never repeats under a key, across any power cut.

Counters are reserved ahead: `limit` is stored before the first counter at or above it is used, and a boot begins at the
stored limit. Two slots take turns and lie in two folders, so that neither a failing write nor a hand that empties the
folder /state sets the counter back. Each kid has slots of its own, so an old key that returns goes on where it was. Only
provisioning makes them (tools/flash): a board that has none has lost its files, and a counter that began again would break
the key.
"""

from firmware.wire.errors import DeviceError

from . import files

LAST = 0xFFFFFFFF


class Counter:
    """`paths`: the two slots, `limits`: what they hold; `limit`: where the counter goes on; upcoming: what `next` will return.

    `reserve`: counters per write; 1 for a board that is powered off between wakes. restore.py makes it.
    """

    def __init__(self, paths, limits, limit, reserve):
        self._paths = paths
        self._reserve = reserve
        self._slot = 0 if limits[0] < limits[1] else 1  # the older one is written next
        self.upcoming = self.limit = limit

    def next(self):
        """Return a counter that was never used. DeviceError: counter (none is left), store (nothing may be sent)."""
        if self.upcoming >= self.limit:
            if self.upcoming > LAST:
                raise DeviceError("counter", "the last counter of this key is used: this board needs a new key")
            self._store(min(self.upcoming + self._reserve, LAST + 1))
        self.upcoming += 1
        return self.upcoming - 1

    def _store(self, limit):
        try:
            files.write(self._paths[self._slot], limit.to_bytes(8, "big"))
        except OSError as error:
            raise DeviceError("store", "counter: %s" % error)
        self.limit = limit
        self._slot ^= 1

"""The frame counter (PIV): it never repeats under a key, across any power cut.

Counters are reserved ahead: `limit` is stored before the first counter at or above it is used, and a boot begins at the
stored limit. Two slots take turns and lie in two folders, so that neither a failing write nor a hand that empties the
folder /state sets the counter back. Each kid has slots of its own, so an old key that returns goes on where it was.
"""

from firmware.wire.errors import DeviceError

from . import files

LAST = 0xFFFFFFFF
RESERVE_MAX = 64
ROTATE_FROM = 1 << 20  # from here on the board asks for a new key (key limits of CCM with 8-byte tags)


class Counter:
    """`paths`: the two slots. `reserve`: counters per write; 1 for a board that is powered off between wakes.

    `first`: where a key that was never used begins.
    """

    def __init__(self, paths, reserve=16, first=1):
        self._paths = paths
        self._reserve = reserve
        found = [files.read(path) for path in paths]
        limits = [int.from_bytes(f, "big") if f and len(f) == 8 else 0 for f in found]
        best = max(limits)
        if not best:
            if files.exists(paths[0]) or files.exists(paths[1]):
                raise DeviceError("counter", "both records are damaged: this board needs a new key")
            best = first
        elif not min(limits):
            # The slot that is gone may have been the newer one, by one reservation.
            best += RESERVE_MAX
        self._slot = 0 if limits[0] < limits[1] else 1  # the older one is written next
        self._next = self._limit = best

    @property
    def upcoming(self):
        """The counter that `next` will return."""
        return self._next

    def next(self):
        """Return a counter that was never used. DeviceError: counter (none is left), store (nothing may be sent)."""
        if self._next >= self._limit:
            self._store()
        self._next += 1
        return self._next - 1

    def _store(self):
        if self._next > LAST:
            raise DeviceError("counter", "the last counter of this key is used: this board needs a new key")
        limit = min(self._next + self._reserve, LAST + 1)
        try:
            files.write(self._paths[self._slot], limit.to_bytes(8, "big"))
        except OSError as error:
            raise DeviceError("store", "counter: %s" % error)
        self._limit = limit
        self._slot ^= 1

"""Readings that wait to be sent: one small file each, so that a reboot loses none and a full backlog costs no RAM.

A file holds CBOR `[kind, t_ms, map]` (a reading; t_ms: uptime when it was taken) or `[kind, t_ms, frame]` (sealed, and
not yet acknowledged: a wired board's). The name is a running number, odd for an alarm; what is in the folder at boot comes
first.
"""

from firmware.wire import cbor
from firmware.wire.errors import DeviceError, WireError, const
from firmware.wire.quantities import ALARM

from . import files

READING = 0
SEALED = 1
_SPARE = const(4)


def _weakest(ids):
    # What gives way: the oldest reading; an alarm only where there are alarms alone.
    for ident in ids:
        if not ident & 1:
            return ident
    return ids[0]


class Queue:
    """At most `depth` entries below `folder`; the oldest reading gives way, and then the oldest alarm. restore.py makes it.

    Where flash refuses, up to SPARE entries wait in RAM: a full disk does not silence a board.
    ids: the entries, oldest first; whoever reads it leaves it as it is. dropped: [readings, alarms] that gave way since boot;
    damaged: entries that could not be read, such as one whose writing was cut off.
    """

    def __init__(self, folder, depth, ids):
        self._path = folder + "/%08x"
        self._depth = depth
        self._ram = {}
        self.ids = ids
        self.dropped = [0, 0]
        self.damaged = 0
        self._next = self.boot = (ids[-1] | 1) + 1 if ids else 0

    def push(self, t_ms, reading):
        """Queue a reading {key: value}, on flash when this returns.

        DeviceError("queue_full") when one had to give way, or "store" when it is in RAM only; else it is queued.
        """
        ident = self._next | (ALARM in reading)
        self._next += 2
        self.ids.append(ident)
        full = len(self.ids) > self._depth
        if full:
            self._give_way(self.ids)
        if ident in self.ids:
            self._put(ident, [READING, t_ms, reading])
        if full:
            raise DeviceError("queue_full", "%d readings and %d alarms dropped since boot" % tuple(self.dropped))

    def _give_way(self, ids):
        ident = _weakest(ids)
        self.dropped[ident & 1] += 1
        self.drop(ident)

    def _put(self, ident, entry):
        try:
            files.write(self._path % ident, cbor.dumps(entry))
        except OSError as error:
            self._ram[ident] = entry
            if len(self._ram) > _SPARE:
                self._give_way(sorted(self._ram))
            raise DeviceError("store", "queue: %s" % error)

    def get(self, ident):
        """Return [kind, t_ms or None when of an earlier boot, map or frame], or None for a damaged entry (dropped)."""
        entry = self._ram.get(ident)
        if entry is None:
            try:
                entry = cbor.loads_link(files.read(self._path % ident) or b"")
            except WireError:
                self.damaged += 1
                self.drop(ident)
                return None
        if ident < self.boot:
            entry[1] = None
        return entry

    def seal(self, ident, frame):
        """Put the sealed frame (bytes) in the place of its reading. DeviceError("store")."""
        self._put(ident, [SEALED, 0, frame])

    def drop(self, ident):
        """Forget an entry: it is sent, or handled. DeviceError("store") when flash would remember it."""
        if ident in self.ids:
            self.ids.remove(ident)
        self._ram.pop(ident, None)
        if not files.remove(self._path % ident):
            raise DeviceError("store", "queue: an entry cannot be removed")

"""Readings that wait to be sent: one small file each, so that a reboot loses none and a full backlog costs no RAM.

A file holds CBOR `[kind, t_ms, map]` (a reading; t_ms: uptime when it was taken) or `[kind, t_ms, frame]` (sealed, and
not yet acknowledged: a wired board's). The name is a running number; what is in the folder at boot comes first.
"""

import os

from firmware.wire import cbor
from firmware.wire.errors import DeviceError, WireError, const

from . import files

READING = 0
SEALED = 1
_SPARE = const(4)


class Queue:
    """At most `depth` entries below `folder`; the oldest gives way, counted in `dropped`.

    Where flash refuses, up to SPARE entries wait in RAM: a full disk does not silence a board.
    ids: the entries, oldest first; whoever reads it leaves it as it is.
    """

    def __init__(self, folder, depth=64):
        self._path = folder + "/%08x"
        self._depth = depth
        self._ram = {}
        self.ids = []
        self.dropped = 0
        self.damaged = 0
        try:
            os.mkdir(folder)
        except OSError:
            pass  # it exists, or listing it fails next
        try:
            names = os.listdir(folder)
        except OSError as error:
            raise DeviceError("store", "queue: %s" % error)
        for name in names:
            try:
                self.ids.append(int(name, 16))
            except ValueError:
                pass
        self.ids.sort()
        self._next = self._boot = self.ids[-1] + 1 if self.ids else 0

    def push(self, t_ms, reading):
        """Queue a reading {key: value}, on flash when this returns.

        DeviceError("queue_full") when the oldest had to give way, or "store" when it is in RAM only; it is queued.
        """
        full = len(self.ids) >= self._depth
        if full:
            self.dropped += 1
            self.drop(self.ids[0])
        ident = self._next
        self._next += 1
        self.ids.append(ident)
        self._put(ident, [READING, t_ms, reading])
        if full:
            raise DeviceError("queue_full", "%d readings dropped since boot" % self.dropped)

    def _put(self, ident, entry):
        try:
            files.write(self._path % ident, cbor.dumps(entry))
        except OSError as error:
            if len(self._ram) >= _SPARE:
                self.dropped += 1
                self.drop(min(self._ram))
            self._ram[ident] = entry
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
        if ident < self._boot:
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

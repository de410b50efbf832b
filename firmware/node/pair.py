"""Records that must never be lost: two generations, in two files. Only for who loads or changes them; then forgotten."""

from . import files


class Pair:
    """Two generations of one record, in two files that take turns: a write that fails leaves the one before in force.

    A record is a generation (4 bytes, big endian) and the data. `older`: a record was damaged, so what is in force may be
    the generation before the last; whoever loads it says so.
    """

    def __init__(self, paths):
        self._paths = paths
        self._generation = 0
        self._next = 0
        self.older = False

    def load(self):
        """Return the newest data that is whole (bytes), or None."""
        found = [files.read(path) for path in self._paths]
        self.older = b"" in found
        found = [record or b"" for record in found]
        newest = max(found, key=lambda record: record[:4])
        if len(newest) < 4:
            return None
        self._generation = int.from_bytes(newest[:4], "big")
        self._next = 1 - found.index(newest)
        return newest[4:]

    def save(self, data):
        """Put `data` in force: on flash when this returns. OSError: then the generation before it still is."""
        if not self._generation:
            self.load()
        generation = self._generation + 1
        files.write(self._paths[self._next], generation.to_bytes(4, "big") + data)
        self._generation = generation
        self._next = 1 - self._next

"""Small records on flash: written whole, with a CRC, and read back."""

import os
from binascii import crc32


def write(path, data):
    """Write `data` and its CRC-32 to `path`. OSError when it is not on flash afterwards.

    On littlefs a file that is rewritten keeps its old content until it is closed, and `close` is one commit.
    """
    with open(path, "wb") as file:
        file.write(data)
        file.write(crc32(data).to_bytes(4, "little"))
    if read(path) != data:
        raise OSError(5)


def read(path):
    """Return the record in `path`; None when there is none, b"" when it is damaged."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        return None
    return data[:-4] if crc32(data[:-4]).to_bytes(4, "little") == data[-4:] else b""


def remove(path):
    """Remove a file that may be missing; return whether it is gone."""
    try:
        os.remove(path)
    except OSError:
        pass
    return read(path) is None


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
        found = [read(path) for path in self._paths]
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
        write(self._paths[self._next], generation.to_bytes(4, "big") + data)
        self._generation = generation
        self._next = 1 - self._next

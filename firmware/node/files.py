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
    """Return the record in `path`; None when there is none (or its making was cut off), b"" when it is damaged."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        return None
    if not data:
        return None
    return data[:-4] if crc32(data[:-4]).to_bytes(4, "little") == data[-4:] else b""


def remove(path):
    """Remove a file that may be missing; return whether it is gone."""
    try:
        os.remove(path)
    except OSError:
        pass
    return read(path) is None

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
    """Return the record in `path`, or None when there is none or its CRC is wrong."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        return None
    if len(data) < 4 or crc32(data[:-4]).to_bytes(4, "little") != data[-4:]:
        return None
    return data[:-4]


def remove(path):
    """Remove a file that may be missing; return whether it is gone."""
    try:
        os.remove(path)
    except OSError:
        return not exists(path)
    return True


def exists(path):
    """Whether there is a file, readable or not."""
    try:
        os.stat(path)
    except OSError:
        return False
    return True


def make_folder(path):
    """Make a folder that may exist already. OSError when it cannot be made."""
    try:
        os.mkdir(path)
    except OSError:
        os.stat(path)

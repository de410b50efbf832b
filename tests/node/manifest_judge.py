"""What a text is to the manifest's parser; the same file for CPython and MicroPython."""

import io

from firmware.node import manifest


def judge(text):
    """[head, entries] of a text (bytes), None where it is refused."""
    file = io.BytesIO(text)
    try:
        head = manifest.head(file)
        return [list(head), [[digest.hex(), size, path] for digest, size, path in manifest.entries(file)]]
    except ValueError:
        return None

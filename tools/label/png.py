"""A label as PNG: black and white, a module and a dot of a letter whole dots of the printer, whose resolution the file says."""

import struct
import zlib

from tools.label import letters
from tools.label.layout import Layout, Measure, Text

_CAPITAL = 0.72  # of a type's size


def measure_at(dpi: int) -> Measure:
    """What measures a text as it will be drawn at that resolution."""

    def measure(text: str, size: float, bold: bool) -> float:
        scale = _scale(size, dpi)
        count = len(letters.spelled(text))
        return (count * letters.ADVANCE * scale - scale + (scale + 1) // 2 * bold) / dpi * 25.4 if count else 0.0

    return measure


def document(label: Layout, dpi: int) -> bytes:
    """A PNG file of one label. Its layout was made with `measure_at` the same resolution."""
    width, height = (round(mm * dpi / 25.4) for mm in (label.width, label.height))
    canvas = [bytearray(width) for _row in range(height)]
    module = round(label.module * dpi / 25.4)
    left, top = round(label.x * dpi / 25.4), round(label.y * dpi / 25.4)
    for y, row in enumerate(label.modules):
        for x, dark in enumerate(row):
            if dark:
                _fill(canvas, left + x * module, top + y * module, module, module)
    for text in label.texts:
        _draw(canvas, text, dpi)
    return _file(canvas, dpi)


def _scale(size: float, dpi: int) -> int:
    return max(1, round(size * _CAPITAL * dpi / 25.4 / 7))


def _draw(canvas: list[bytearray], text: Text, dpi: int) -> None:
    scale = _scale(text.size, dpi)
    left = round(text.x * dpi / 25.4)
    top = round(text.y * dpi / 25.4) - (letters.ABOVE + 7) * scale
    for x, y in letters.dots(text.words):
        _fill(canvas, left + x * scale, top + y * scale, scale + (scale + 1) // 2 * text.bold, scale)


def _fill(canvas: list[bytearray], x: int, y: int, width: int, height: int) -> None:
    for row in canvas[max(0, y) : max(0, y + height)]:
        end = min(len(row), x + width)
        if 0 <= x < end:
            row[x:end] = b"\1" * (end - x)


def _file(canvas: list[bytearray], dpi: int) -> bytes:
    """One bit a dot, 0 black."""
    size = (len(canvas[0]) + 7) // 8
    digits = bytes.maketrans(b"\0\1", b"10")
    rows = b"".join(b"\0" + int(bytes(row).translate(digits).ljust(size * 8, b"0"), 2).to_bytes(size) for row in canvas)
    per_metre = round(dpi / 0.0254)
    head = struct.pack(">2I5B", len(canvas[0]), len(canvas), 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"pHYs", struct.pack(">2IB", per_metre, per_metre, 1)), (b"IDAT", zlib.compress(rows, 9)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in (*chunks, (b"IEND", b"")))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

"""An SQLite file as bytes, read without SQLite: pages, the write-ahead log, cells, records. Written from SQLite's "Database
File Format". Pure; for gateway/carve.py, which says what is to be found.

Pages carry no checksum: one counts as whole when every byte of it is accounted for (cells, free blocks, fragments), a record
when its header accounts for every byte of it. Frames of the log count when their salts and their checksums are right, which
run through the whole log, and a commit follows.
"""

from __future__ import annotations

import functools
import itertools
import struct
from typing import BinaryIO, NamedTuple

Value = int | float | str | bytes | None
Values = tuple[Value, ...]

LEAF, INNER, KEY_LEAF, KEY_INNER = 13, 5, 10, 2
MAGIC = b"SQLite format 3\0"
_LOG_MAGIC = 0x377F0682  # its lowest bit says how the checksums read the words: 1 big endian
_PAGE_SIZE = 4096
_FRAME = struct.Struct(">6I")
_WORD = 0xFFFFFFFF
_NUMBERS = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)  # bytes of serial types 0 to 9


class DamagedError(Exception):
    """These bytes are not what they should be."""


class Cell(NamedTuple):
    """child: the page below, 0 in a leaf. rowid: the key where rows have one. values: None where there is no whole record."""

    child: int
    rowid: int | None
    values: Values | None


class Tree(NamedTuple):
    """A page of a tree. right: the last page below, 0 in a leaf. whole: all of it is accounted for."""

    kind: int
    whole: bool
    cells: list[Cell]
    right: int

    @property
    def keyed(self) -> bool:
        """Is it of an index or of a table WITHOUT ROWID?"""
        return self.kind in (KEY_LEAF, KEY_INNER)


def varint(data: bytes, at: int) -> tuple[int, int]:
    """(unsigned value, position behind it). IndexError beyond the end."""
    value = 0
    for i in range(8):
        byte = data[at + i]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + i + 1
    return value << 8 | data[at + 8], at + 9


@functools.lru_cache(4096)
def _layout(header: bytes) -> tuple[tuple[int, int, int], ...]:
    """(serial type, first byte, byte behind it) of each column, from the beginning of the record."""
    columns = []
    _, at = varint(header, 0)
    place = len(header)
    while at < len(header):
        serial, at = varint(header, at)
        if serial in (10, 11):
            raise DamagedError
        size = (serial - 12) // 2 if serial > 11 else _NUMBERS[serial]
        columns.append((serial, place, place + size))
        place += size
    return tuple(columns)


def record(data: bytes) -> Values:
    """The values of a record, which is all of `data`. Raises DamagedError."""
    try:
        size = varint(data, 0)[0]
        if not 0 < size <= len(data):
            raise DamagedError
        layout = _layout(data[:size])
        if (layout[-1][2] if layout else size) != len(data):
            raise DamagedError
        return tuple([_value(serial, data[start:end]) for serial, start, end in layout])
    except (IndexError, UnicodeDecodeError):
        raise DamagedError from None


def _value(serial: int, data: bytes) -> Value:
    if serial > 11:
        return data.decode() if serial & 1 else data
    if serial == 7:
        return float(struct.unpack(">d", data)[0])
    if serial > 7:
        return serial - 8
    return int.from_bytes(data, "big", signed=True) if serial else None


def _sum(data: bytes, seed: tuple[int, int], order: str) -> tuple[int, int]:
    """The checksum of the log, carried on from `seed` over `data`."""
    first, second = seed
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for i in range(0, len(words), 2):
        first = first + words[i] + second & _WORD
        second = second + words[i + 1] + first & _WORD
    return first, second


class Image:
    """The pages of a database file and its write-ahead log.

    torn: places in the log, behind a break in its checksums, of pages that look committed all the same. They are from before a
    power cut, or from after damage; nobody can say, so they stand for no page. torn_commits: how many transactions these are.
    """

    def __init__(self, db: BinaryIO, wal: BinaryIO | None = None) -> None:
        self._db, self._wal = db, wal
        self._frames: dict[int, int] = {}  # page -> place of its newest content in the log
        self.torn: list[int] = []
        self.torn_commits = 0
        head = _read(db, 0, 100)
        size = int.from_bytes(head[16:18], "big")
        self.page_size = _page_size(1 << 16 if size == 1 else size) if head.startswith(MAGIC) else 0
        if wal:
            self._log(wal)
        self.page_size = self.page_size or _PAGE_SIZE
        self.count = max(-(-db.seek(0, 2) // self.page_size), 0, *self._frames)

    def page(self, number: int) -> bytes:
        """The newest committed content; shorter than `page_size` where the file ends or the medium fails."""
        if number in self._frames and self._wal:
            return _read(self._wal, self._frames[number], self.page_size)
        return _read(self._db, (number - 1) * self.page_size, self.page_size)

    def tree(self, number: int) -> Tree | None:
        """A page as part of a tree, or None where it is none."""
        return self._parse(self.page(number), 100 if number == 1 else 0)

    def torn_trees(self) -> list[Tree]:
        """What of `torn` is part of a tree."""
        pages = (_read(self._wal, place, self.page_size) for place in self.torn if self._wal)
        return [tree for page in pages if (tree := self._parse(page, 0))]

    def _log(self, wal: BinaryIO) -> None:
        head = _read(wal, 0, 32)
        if len(head) < 32:
            return
        magic, _, size, _, *salts = struct.unpack_from(">6I", head)
        seed: tuple[int, int] = struct.unpack_from(">2I", head, 24)
        order = ">" if magic & 1 else "<"
        # SQLite reads nothing of a log whose header is wrong, so neither is it the truth here.
        chained = magic | 1 == _LOG_MAGIC | 1 and _sum(head[:24], (0, 0), order) == seed
        if not chained:
            order, size, salts = "<", 0, list(struct.unpack(">2I", _read(wal, 40, 8).ljust(8)))
        self.page_size = size = _page_size(size) or self.page_size or _PAGE_SIZE
        pending: dict[int, int] = {}
        loose: list[int] = []
        for at in range(32, wal.seek(0, 2) - size - 23, 24 + size):
            frame = _read(wal, at, 24 + size).ljust(24 + size)
            number, commit, salt_1, salt_2, *given = _FRAME.unpack_from(frame)
            # The sum of the frame before stands in it: damage breaks the chain, yet what follows can be judged.
            right = [salt_1, salt_2] == salts and number > 0 and _sum(frame[:8] + frame[24:], seed, order) == tuple(given)
            seed = (given[0], given[1])
            chained = chained and right
            if chained:
                pending[number] = at + 24
            else:
                loose += [*pending.values(), *([at + 24] if right else ())]
                pending = {}
            if right and commit:
                self._frames.update(pending)
                self.torn += loose
                self.torn_commits += not chained
                pending, loose = {}, []

    def _parse(self, data: bytes, at: int) -> Tree | None:
        """A page of a tree whose header begins at `at`, or None."""
        if len(data) != self.page_size:
            return None
        kind, free, count, start, fragments = struct.unpack_from(">BHHHB", data, at)
        inner = kind in (INNER, KEY_INNER)
        head = at + (12 if inner else 8)
        start = start or 1 << 16
        if kind not in (LEAF, INNER, KEY_LEAF, KEY_INNER) or not head + 2 * count <= start <= len(data):
            return None
        taken = []
        cells = []
        for place in struct.unpack_from(f">{count}H", data, head):
            try:
                if place < start:
                    raise DamagedError
                cell, end = self._cell(data, place, kind)
                taken.append((place, max(end, place + 4)))
                cells.append(cell)
            except (DamagedError, IndexError):
                taken.append((0, 0))
        whole = _accounted(data, start, free, fragments, taken)
        if kind in (LEAF, INNER):
            ids = [cell.rowid or 0 for cell in cells]
            whole = whole and all(a < b for a, b in itertools.pairwise(ids))
        return Tree(kind, whole, cells, int.from_bytes(data[at + 8 : at + 12], "big") if inner else 0)

    def _cell(self, data: bytes, at: int, kind: int) -> tuple[Cell, int]:
        """(cell, position behind it). Raises DamagedError or IndexError where it cannot even be measured."""
        child = 0
        if kind in (INNER, KEY_INNER):
            child = int.from_bytes(data[at : at + 4], "big")
            at += 4
        size, at = varint(data, at) if kind != INNER else (0, at)
        rowid = None
        if kind in (LEAF, INNER):
            rowid, at = varint(data, at)
            rowid -= (rowid >> 63) << 64
        if kind == INNER:
            return Cell(child, rowid, None), at
        payload, end = self._payload(data, at, size, kind != LEAF)
        if end > len(data):
            raise DamagedError
        try:
            return Cell(child, rowid, record(payload)), end
        except DamagedError:
            return Cell(child, rowid, None), end

    def _payload(self, data: bytes, at: int, size: int, keyed: bool) -> tuple[bytes, int]:
        """(content of a cell, position behind the cell), put together from its overflow pages; empty when one is missing."""
        room = len(data)
        most = (room - 12) * 64 // 255 - 23 if keyed else room - 35
        if size <= most:
            return data[at : at + size], at + size
        least = (room - 12) * 32 // 255 - 23
        local = least + (size - least) % (room - 4)
        local = local if local <= most else least
        parts, left = [data[at : at + local]], size - local
        number = int.from_bytes(data[at + local : at + local + 4], "big")
        while left > 0 and 1 < number <= self.count:
            page = self.page(number)
            if len(page) < room:
                break
            number = int.from_bytes(page[:4], "big")
            parts.append(page[4 : 4 + left])
            left -= len(parts[-1])
        return (b"" if left or number else b"".join(parts)), at + local + 4


def _page_size(size: int) -> int:
    return size if 512 <= size <= 1 << 16 and size & (size - 1) == 0 else 0


def _read(file: BinaryIO, at: int, size: int) -> bytes:
    try:
        file.seek(at)
        return file.read(size)
    except OSError:  # a place that the medium no longer gives
        return b""


def _accounted(data: bytes, start: int, free: int, fragments: int, taken: list[tuple[int, int]]) -> bool:
    """Do cells, free blocks and fragments fill the page from `start` to its end, without overlap?"""
    spans = list(taken)
    while free:
        if not start <= free <= len(data) - 4:
            return False
        following, size = struct.unpack_from(">2H", data, free)
        spans.append((free, free + size))
        if following and following <= free:
            return False
        free = following
    spans.sort()
    if any(a[1] > b[0] for a, b in itertools.pairwise(spans)) or (spans and spans[-1][1] > len(data)):
        return False
    return sum(end - begin for begin, end in spans) + fragments == len(data) - start

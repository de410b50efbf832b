"""How far an upstream came: sets of row ids, and a file of marks beside the store that tells them after any death.

A mark is 28 bytes, written and not synced: a killed process loses none, a power cut some, which costs repeats and never a
reading. Each checksum goes on from the one before, so a torn or foreign record ends the file for its reader.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import cbor2

from gateway.errors import HostError

Span = tuple[int, int]  # ids, both inclusive

HANDED, DONE, DROPPED = 0, 1, 2
_MAGIC = b"jdmarks1"
_HEAD = struct.Struct("<8s16sH")
_MARK = struct.Struct("<BBxxIQQ")
_CRC = struct.Struct("<I")
_SIZE = _MARK.size + _CRC.size
# Kept for the file from its beginning, so that a full disk can still be emptied upstream.
_ROOM = 1 << 17


class Intervals:
    """A set of ids as disjoint spans with gaps between, in order. `spans` of (first, last), both inclusive."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in spans:
            self.add(first, last)

    def add(self, first: int, last: int) -> None:
        """Put in every id from `first` to `last`."""
        if last < first:
            raise ValueError(f"a span from {first} to {last}")
        firsts, lasts = self._firsts, self._lasts
        if lasts and lasts[-1] + 1 == first:  # nearly always
            lasts[-1] = last
            return
        low = bisect_left(lasts, first - 1)
        high = bisect_right(firsts, last + 1)
        if low < high:
            first, last = min(first, firsts[low]), max(last, lasts[high - 1])
        firsts[low:high] = [first]
        lasts[low:high] = [last]

    def __contains__(self, number: int) -> bool:
        at = bisect_left(self._lasts, number)
        return at < len(self._firsts) and self._firsts[at] <= number

    def __iter__(self) -> Iterator[Span]:
        return zip(self._firsts, self._lasts, strict=True)

    def __len__(self) -> int:
        """How many spans."""
        return len(self._firsts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Intervals) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Intervals({list(self)})"

    @property
    def last(self) -> int:
        """The highest id, 0 when it is empty."""
        return self._lasts[-1] if self._lasts else 0

    @property
    def count(self) -> int:
        """How many ids."""
        return sum(self._lasts) - sum(self._firsts) + len(self._firsts)

    def copy(self) -> Intervals:
        found = Intervals()
        found._firsts, found._lasts = self._firsts.copy(), self._lasts.copy()
        return found

    def gap(self, after: int, before: int) -> Span | None:
        """The first run of ids between `after` and `before`, both exclusive, that are not in the set."""
        first = after + 1
        at = bisect_left(self._lasts, first)
        if at < len(self._firsts) and self._firsts[at] <= first:
            first = self._lasts[at] + 1
            at += 1
        last = min(before, self._firsts[at]) - 1 if at < len(self._firsts) else before - 1
        return (first, last) if first <= last else None

    def gaps(self, after: int, before: int) -> Iterator[Span]:
        """All such runs, in order; the set must stay as it is meanwhile."""
        while found := self.gap(after, before):
            yield found
            after = found[1]

    def within(self, first: int, last: int) -> list[Span]:
        """What of `first` to `last` is in the set."""
        low, high = bisect_left(self._lasts, first), bisect_right(self._firsts, last)
        return [(max(first, self._firsts[at]), min(last, self._lasts[at])) for at in range(low, high)]

    def pack(self) -> bytes:
        """As bytes: a CBOR array of distances, gap and length in turn."""
        numbers, end = [], 0
        for first, last in self:
            numbers += [first - end, last - first]
            end = last
        return cbor2.dumps(numbers)

    @classmethod
    def unpack(cls, data: bytes) -> Intervals:
        """The set of `pack`. Raises ValueError for other bytes."""
        found, end = cls(), 0
        try:
            numbers = cbor2.loads(data)
            for distance, length in zip(numbers[::2], numbers[1::2], strict=True):
                if type(distance) is not int or type(length) is not int or length < 0 or distance <= (1 if end else 0):
                    raise ValueError("no spans in order")
                found.add(end + distance, end + distance + length)
                end += distance + length
        except Exception as error:
            raise ValueError(f"no set of ids: {error}") from None
        return found


def runs(ids: Iterable[int]) -> Iterator[Span]:
    """Ascending ids as the fewest spans."""
    first = last = None
    for number in ids:
        if first is None or last is None:
            first = number
        elif number != last + 1:
            yield first, last
            first = number
        last = number
    if first is not None and last is not None:
        yield first, last


class Mark(NamedTuple):
    """`upstream`: its place in the header's list; kind: HANDED (left for the broker), DONE (acknowledged), DROPPED (cannot be
    sent); batch: number of the last one.
    """

    upstream: int
    kind: int
    batch: int
    first: int
    last: int


class Upstream(NamedTuple):
    """How the header names an upstream. opaque: it forwards frames that are not understood."""

    name: str
    opaque: bool


class Marks:
    """Begins a file of marks at `path`, in place of what is there. `epoch`: 16 bytes that say which state the marks follow.

    Raises HostError disk_full or disk_error, here and in `write`; what was not written whole is not there.
    """

    def __init__(self, path: Path, epoch: bytes, upstreams: Sequence[Upstream]) -> None:
        self.path = path
        self.size = 0  # bytes of marks
        body = cbor2.dumps([list(upstream) for upstream in upstreams])
        head = _HEAD.pack(_MAGIC, epoch, len(body)) + body
        self._crc = crc32(head)
        fresh = path.with_name(path.name + ".new")
        try:
            self._fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                _reserve(self._fd)
                os.write(self._fd, head + _CRC.pack(self._crc))
                self._at = len(head) + _CRC.size
                os.rename(fresh, path)
            except OSError:
                os.close(self._fd)
                raise
        except OSError as error:
            raise _named(error, path) from error

    def write(self, marks: Iterable[Mark]) -> None:
        """Append these marks, all of them or none."""
        data, crc = bytearray(), self._crc
        for mark in marks:
            body = _MARK.pack(*mark)
            crc = crc32(body, crc)
            data += body + _CRC.pack(crc)
        try:
            if os.pwrite(self._fd, data, self._at) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise _named(error, self.path) from error
        self._at += len(data)
        self._crc = crc
        self.size += len(data)

    def close(self) -> None:
        os.close(self._fd)


def _reserve(fd: int) -> None:
    with contextlib.suppress(AttributeError, OSError):  # where none can be kept, a mark that has none says so
        os.posix_fallocate(fd, 0, _ROOM)


def _named(error: OSError, path: Path) -> HostError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "nothing is lost: what is upstream already may be sent again; make room on the disk"
        return HostError("disk_full", "no room to note what was sent", str(path), hint)
    what = f"cannot note what was sent: {error.strerror}"
    return HostError("disk_error", what, str(path), "look at the disk and its mount")


class Noted(NamedTuple):
    """What a file of marks says: its epoch, its upstreams, and its marks."""

    epoch: bytes
    upstreams: tuple[Upstream, ...]
    marks: list[Mark]


def read(path: Path) -> Noted | None:
    """What is whole of the file at `path`, up to the first byte that is not; None where no header is."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if len(data) < _HEAD.size:
        return None
    magic, epoch, length = _HEAD.unpack_from(data)
    at = _HEAD.size + length
    crc = crc32(data[:at])
    if magic != _MAGIC or len(data) < at + _CRC.size or _CRC.unpack_from(data, at)[0] != crc:
        return None
    try:
        upstreams = tuple(Upstream(str(name), bool(opaque)) for name, opaque in cbor2.loads(data[_HEAD.size : at]))
    except Exception:  # a right checksum over what is none of ours
        return None
    marks = []
    for start in range(at + _CRC.size, len(data) - _SIZE + 1, _SIZE):
        end = start + _MARK.size
        crc = crc32(data[start:end], crc)
        if _CRC.unpack_from(data, end)[0] != crc:
            break
        marks.append(Mark(*_MARK.unpack_from(data, start)))
    return Noted(epoch, upstreams, marks)

"""The town's one clock: a heap of things that will happen, in microseconds since the town began."""

from __future__ import annotations

import heapq
import mmap
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOREVER_US = 1 << 60

_PAIR = struct.Struct("<dd")


class Handle:
    """A thing that will happen, until it has or is cancelled."""

    __slots__ = ("_args", "_fn")

    def __init__(self, fn: Callable[..., object], args: tuple[Any, ...]) -> None:
        self._fn: Callable[..., object] | None = fn
        self._args = args

    def cancel(self) -> None:
        """Let it not happen; harmless when it has."""
        self._fn = None

    @property
    def alive(self) -> bool:
        """Is it still to come?"""
        return self._fn is not None

    def run(self) -> None:
        """Let it happen, once."""
        fn, self._fn = self._fn, None
        if fn is not None:
            fn(*self._args)


class Clock:
    """`now_us` never goes back; things of one moment happen in the order in which they were asked for."""

    def __init__(self) -> None:
        self.now_us = 0
        self._heap: list[tuple[int, int, Handle]] = []
        self._order = 0

    def at(self, t_us: int, fn: Callable[..., object], *args: Any) -> Handle:
        """Call fn(*args) at `t_us`, or now if that is past."""
        handle = Handle(fn, args)
        self._order += 1
        heapq.heappush(self._heap, (max(t_us, self.now_us), self._order, handle))
        return handle

    def next_us(self) -> int:
        """When the next thing happens; FOREVER_US if nothing will."""
        heap = self._heap
        while heap and not heap[0][2].alive:
            heapq.heappop(heap)
        return heap[0][0] if heap else FOREVER_US

    def step(self) -> bool:
        """Move to the next thing and let it happen. False when there is none."""
        if self.next_us() == FOREVER_US:
            return False
        t_us, _, handle = heapq.heappop(self._heap)
        self.now_us = max(self.now_us, t_us)
        handle.run()
        return True

    def run_until(self, t_us: int) -> None:
        """Let everything before `t_us` happen; then it is `t_us`."""
        while self.next_us() < t_us:
            self.step()
        self.now_us = max(self.now_us, t_us)


class ClockFile:
    """The town's time for another process: a file of two doubles, unix seconds and monotonic seconds."""

    def __init__(self, path: Path, epoch_unix_s: float) -> None:
        self.path = path
        self._epoch = epoch_unix_s
        path.write_bytes(_PAIR.pack(epoch_unix_s, 0.0))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _PAIR.size)

    def set(self, now_us: int) -> None:
        """Let the other process see this time."""
        seconds = now_us / 1e6
        self._map[: _PAIR.size] = _PAIR.pack(self._epoch + seconds, seconds)

    def close(self) -> None:
        """Give up the mapping; the file stays."""
        self._map.close()

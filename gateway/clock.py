"""The one clock of the daemon: dates and intervals are asked here, so that the twin can serve both.

Sockets, MQTT, serial pacing and syncs keep real time.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import struct
import time
from pathlib import Path
from typing import Protocol

# A Raspberry Pi without a battery clock wakes in 1970 or at its last shutdown: an earlier date is no date.
EARLIEST_UNIX_S = 1_735_689_600  # 2025-01-01T00:00:00Z

_PAIR = struct.Struct("<dd")
_POLL_S = 0.01


class Clock(Protocol):
    """Where dates and intervals come from."""

    def unix(self) -> float:
        """Seconds since 1970, as far as this host knows."""

    def monotonic(self) -> float:
        """Seconds that never jump, comparable between processes of one boot."""

    async def sleep(self, seconds: float) -> None:
        """Return when `seconds` of `monotonic` have passed."""


class SystemClock:
    """The host's clocks."""

    def unix(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class FileClock:
    """A clock that another process keeps in a file of two little-endian doubles: unix seconds, monotonic seconds."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), _PAIR.size, access=mmap.ACCESS_READ)

    def _read(self) -> tuple[float, float]:
        # The writer stores 16 bytes without a lock: two equal reads are a whole pair.
        before: bytes = self._map[: _PAIR.size]
        while (now := self._map[: _PAIR.size]) != before:
            before = now
        unix, monotonic = _PAIR.unpack(now)
        return unix, monotonic

    def unix(self) -> float:
        return self._read()[0]

    def monotonic(self) -> float:
        return self._read()[1]

    async def sleep(self, seconds: float) -> None:
        end = self._read()[1] + seconds
        while self._read()[1] < end:
            await asyncio.sleep(_POLL_S)


def write_pair(buffer: mmap.mmap, unix: float, monotonic: float) -> None:
    """Set the clock of a FileClock: `buffer` maps its file writable."""
    buffer[: _PAIR.size] = _PAIR.pack(unix, monotonic)


def boot_id() -> str:
    """Names the stretch over which `SystemClock.monotonic` is comparable: the kernel's boot, else this process."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return f"pid-{os.getpid()}-{time.time():.0f}"

"""The one clock of the daemon: dates and intervals are asked here, so that the twin can serve both.

Sockets, MQTT, serial pacing and syncs keep real time.
"""

from __future__ import annotations

import asyncio
import ctypes
import mmap
import os
import struct
import sys
import time
from pathlib import Path
from typing import Protocol

# A Raspberry Pi without a battery clock wakes in 1970 or at its last shutdown: an earlier date is no date.
EARLIEST_UNIX_S = 1_735_689_600  # 2025-01-01T00:00:00Z

# How far a host's date is to be believed: set by others over the network, kept by a battery, or just anything.
SYNCED, KEPT, ANYTHING = "synced", "kept", "anything"

_PAIR = struct.Struct("<dd")
_POLL_S = 0.01


class Clock(Protocol):
    """Where dates and intervals come from."""

    def unix(self) -> float:
        """Seconds since 1970, as far as this host knows."""

    def monotonic(self) -> float:
        """Seconds that never jump, comparable between processes of one boot."""

    def standing(self) -> str:
        """SYNCED, KEPT or ANYTHING: what `unix` rests on now."""

    async def sleep(self, seconds: float) -> None:
        """Return when `seconds` of `monotonic` have passed."""


class SystemClock:
    """The host's clocks."""

    def standing(self) -> str:
        if synchronised():
            return SYNCED
        return KEPT if _RTC.exists() else ANYTHING

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

    def standing(self) -> str:
        return SYNCED

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


class _Timex(ctypes.Structure):
    """struct timex of <sys/timex.h>, as glibc and musl lay it out where a long holds a time (64-bit Linux)."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        *((name, ctypes.c_long) for name in ("offset", "freq", "maxerror", "esterror")),
        ("status", ctypes.c_int),
        *((name, ctypes.c_long) for name in ("constant", "precision", "tolerance", "sec", "usec", "tick")),
        *((name, ctypes.c_long) for name in ("ppsfreq", "jitter")),
        ("shift", ctypes.c_int),
        *((name, ctypes.c_long) for name in ("stabil", "jitcnt", "calcnt", "errcnt", "stbcnt")),
        ("tai", ctypes.c_int),
        ("reserved", ctypes.c_int * 11),
    )


_STA_UNSYNC = 0x40
_RTC = Path("/sys/class/rtc/rtc0")
# Where a sandbox forbids to ask the kernel, systemd's own client has left word.
_TIMESYNCD = Path("/run/systemd/timesync/synchronized")


def synchronised() -> bool:
    """Has the kernel's clock been set by a time server since the boot? False too where nobody can be asked."""
    return _kernel_says() or _TIMESYNCD.exists()


def _kernel_says() -> bool:
    ask = getattr(ctypes.CDLL(None), "adjtimex", None) if sys.platform == "linux" and sys.maxsize > 2**32 else None
    if ask is None:
        return False
    found = _Timex()  # modes 0: ask, set nothing
    return ask(ctypes.byref(found)) >= 0 and not found.status & _STA_UNSYNC

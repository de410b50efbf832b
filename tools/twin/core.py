"""One processor core for the town: of twin and boards only one works at a time, and a request that stays on its core
costs a fifth of one that wakes another. Daemon and broker keep the others."""

from __future__ import annotations

import os
from pathlib import Path


class Core:
    """Chooses the idlest core between its making and `take`. Where cores cannot be chosen (macOS) it does nothing."""

    def __init__(self) -> None:
        getaffinity = getattr(os, "sched_getaffinity", None)
        self.all: set[int] = getaffinity(0) if getaffinity else set()
        self.mine: int | None = None
        self._before = _busy()

    def take(self) -> None:
        """Keep this thread on the idlest core."""
        if len(self.all) < 2:
            return
        after = _busy()
        self.mine = min(sorted(self.all), key=lambda cpu: after.get(cpu, 0) - self._before.get(cpu, 0))
        self.keep(0)

    def keep(self, pid: int) -> None:
        """Keep a process on the town's core."""
        if self.mine is not None:
            os.sched_setaffinity(pid, {self.mine})

    def free(self, pid: int = 0) -> None:
        """Give a process (0: this thread) all cores again."""
        if self.mine is not None:
            os.sched_setaffinity(pid, self.all)


def _busy() -> dict[int, int]:
    """Ticks that each core has worked since the machine's start."""
    found = {}
    try:
        for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
            name, *ticks = line.split()
            if name.startswith("cpu") and name != "cpu":
                found[int(name[3:])] = sum(map(int, ticks[:3]))  # user, nice, system
    except (OSError, ValueError):
        pass
    return found

"""One clock for a chip and for a command that waits for it: `python -P chip_time.py CLOCK_FILE words of jourdain`.

The emulated chip takes some twenty times as long as a real one while it works, and no command has that patience. So the command
gets the chip's clock: every wait of it lasts as long as it would beside a real board, and every duration that it measures is
what a real board would take. Nothing of the command is changed but the clock under it.
"""

import mmap
import select
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SLICE_S = 0.002  # of wall time, between two looks at the clock


class Clock:
    """Seconds in a file of eight bytes, which one process advances and others read."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(8))
        with path.open("r+b") as file:
            self._seconds = memoryview(mmap.mmap(file.fileno(), 8)).cast("d")

    def now(self) -> float:
        """Seconds since the clock was made."""
        return self._seconds[0]

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._seconds[0] += seconds


def install(clock: Clock) -> None:
    """Make it the clock of this process: of `time.monotonic`, of sleeps, and of waits for sockets."""
    wall_sleep, wall_select = time.sleep, select.select

    def sleep(seconds: float) -> None:
        end = clock.now() + seconds
        while clock.now() < end:
            wall_sleep(SLICE_S)

    def wait(read: Sequence[Any], write: Sequence[Any], wrong: Sequence[Any], timeout: float | None = None) -> Any:
        end = None if timeout is None else clock.now() + timeout
        while True:
            ready = wall_select(read, write, wrong, SLICE_S if timeout is None or timeout > 0 else 0)
            if any(ready) or (end is not None and clock.now() >= end):
                return ready

    time.monotonic, time.sleep, select.select = clock.now, sleep, wait


if __name__ == "__main__":
    install(Clock(Path(sys.argv.pop(1))))
    from tools.cli import main

    main()

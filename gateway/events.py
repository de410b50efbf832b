"""One JSON line an event on standard output, for whoever watches the daemon live."""

from __future__ import annotations

import json
import os
import queue
import threading
from typing import Any

_WAITING_MAX = 10_000


class Events:
    """Writes lines from a thread of its own: a reader that sleeps must not stop the gateway. What is too much is counted
    in the next line's "missed".
    """

    def __init__(self, fd: int = 1) -> None:
        self._fd = fd
        self._queue: queue.Queue[bytes | None] = queue.Queue(_WAITING_MAX)
        self._missed = 0
        self._thread = threading.Thread(target=self._write, name="events", daemon=True)
        self._thread.start()

    def say(self, event: dict[str, Any]) -> None:
        """Write an event: "ev" names it."""
        if self._missed:
            event = {**event, "missed": self._missed}
        try:
            self._queue.put_nowait(json.dumps(event, separators=(",", ":"), default=str).encode() + b"\n")
            self._missed = 0
        except queue.Full:
            self._missed += 1

    def close(self, timeout_s: float = 1.0) -> None:
        """Write what waits, at most so long."""
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(timeout_s)

    def _write(self) -> None:
        while (line := self._queue.get()) is not None:
            try:
                while line:
                    line = line[os.write(self._fd, line) :]
            except OSError:
                return  # nobody listens any more

"""The daemon, dying by its own hand: `python -m tools.twin.killer POINT:N run ...` is `kill -9` at the N-th POINT.

The product has no fail-points; this wraps the store's moments from outside, in the twin's child process alone.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Moments of the store: inside a transaction, before its commit, and just after it.
POINTS = {
    "heard": "in the transaction that stores what was heard",
    "heard-done": "stored, and the bridge not yet told",
    "handed-done": "a batch is noted as handed over, and not yet given to the broker",
    "sent": "the broker has acknowledged, and the transaction that marks it is open",
    "sent-done": "marked, and not yet known to the batcher",
}
# Moments of a controller, which come only where a board asks.
ANSWERS = {
    "counted": "the generation beside the store is written, and no bridge has the answer",
    "given": "the line has the answer, and the uplink is not acknowledged",
}


def _deadly(where: str, n: int) -> Callable[[str], None]:
    left = n

    def point(name: str) -> None:
        nonlocal left
        if name == where:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return point


def arm(where: str, n: int) -> None:
    """Let every Store of this process die at its n-th `where`."""
    from gateway import store  # noqa: PLC0415 - not before the arguments are read

    if where in ANSWERS:
        _arm_answers(where, _deadly(where, n))
        return
    original = store.Store.__init__

    @functools.wraps(original)
    def patched(self: store.Store, path: Path, max_mb: float = 1024.0, point: Any = None) -> None:
        original(self, path, max_mb, _deadly(where, n))

    store.Store.__init__ = patched  # type: ignore[method-assign]


def _arm_answers(where: str, point: Callable[[str], None]) -> None:
    from gateway import downlink, intake  # noqa: PLC0415

    committed, answer = downlink.Controller.committed, intake.Intake._answers

    def counted(self: downlink.Controller) -> list[downlink.Answer]:
        made = committed(self)
        if made:
            point("counted")
        return made

    def given(self: intake.Intake, taken: Any, openings: Any) -> None:
        answer(self, taken, openings)
        if taken.answers:
            point("given")

    downlink.Controller.committed = counted  # type: ignore[method-assign]
    intake.Intake._answers = given  # type: ignore[method-assign]


def main() -> None:
    """Arm, then become the daemon."""
    where, _, n = sys.argv.pop(1).partition(":")
    if where not in POINTS | ANSWERS:
        sys.exit(f"unknown moment {where}; known: {', '.join(POINTS | ANSWERS)}")
    arm(where, int(n))
    from gateway.command import main as daemon  # noqa: PLC0415

    daemon()


if __name__ == "__main__":
    main()

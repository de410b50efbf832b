"""The daemon, dying by its own hand: `python -m tools.twin.killer POINT:N run ...` is `kill -9` at the N-th POINT.

The product has no fail-points; this wraps the moments of store and marks from outside, in the twin's child process alone.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Moments of every life: inside the transaction of the store, before its commit, and just after it; and around each mark.
POINTS = {
    "heard": "in the transaction that stores what was heard",
    "heard-done": "stored, and the bridge not yet told",
    "handed-done": "a batch is marked as handed over, and not yet given to the broker",
    "sent": "the broker has acknowledged, and nothing says so yet",
    "sent-done": "marked as acknowledged, and nobody knows it yet",
}
# Moments that come at the beginning, at the end and once a minute.
FOLDS = {
    "marked": "in the transaction that moves the marks into the tables",
    "marked-done": "they are in the tables, and their file is still there",
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
    if where in ("handed-done", "sent", "sent-done"):
        _arm_marks(_deadly(where, n))
        return
    original = store.Store.__init__

    @functools.wraps(original)
    def patched(self: store.Store, path: Path, max_mb: float = 1024.0, point: Any = None) -> None:
        original(self, path, max_mb, _deadly(where, n))

    store.Store.__init__ = patched  # type: ignore[method-assign]


def _arm_marks(point: Callable[[str], None]) -> None:
    from gateway.upstream.ledger import Ledger  # noqa: PLC0415

    hand, finish = Ledger.hand, Ledger.finish

    def handed(self: Ledger, *args: Any) -> list[int]:
        found = hand(self, *args)
        point("handed-done")
        return found

    def finished(self: Ledger, *args: Any) -> None:
        point("sent")
        finish(self, *args)
        point("sent-done")

    Ledger.hand = handed  # type: ignore[assignment, method-assign]
    Ledger.finish = finished  # type: ignore[assignment, method-assign]


def _arm_answers(where: str, point: Callable[[str], None]) -> None:
    from gateway import downlink, intake  # noqa: PLC0415

    committed, answer = downlink.Controller.committed, intake.Intake._answers

    def counted(self: downlink.Controller) -> list[downlink.Answer]:
        made = committed(self)
        if made:
            point("counted")
        return made

    def given(self: intake.Intake, taken: Any, gathered: Any) -> None:
        answer(self, taken, gathered)
        if taken.answers:
            point("given")

    downlink.Controller.committed = counted  # type: ignore[method-assign]
    intake.Intake._answers = given  # type: ignore[method-assign]


def main() -> None:
    """Arm, then become the daemon."""
    where, _, n = sys.argv.pop(1).partition(":")
    if where not in POINTS | FOLDS | ANSWERS:
        sys.exit(f"unknown moment {where}; known: {', '.join(POINTS | FOLDS | ANSWERS)}")
    arm(where, int(n))
    from gateway.command import main as daemon  # noqa: PLC0415

    daemon()


if __name__ == "__main__":
    main()

"""Sends a release to a running board over its service console, from where an earlier attempt ended."""

from collections.abc import Callable
from typing import Protocol

from gateway.bundle import Bundle
from gateway.errors import HostError
from tools.i18n import _

BLOCK = 440  # bytes: on the line at most twice as many and a little, and a board drops runs above 1024
ANSWER_S = 20.0  # a board looks at every file of two slots, or verifies all of it, before it answers
TRIES = 3


class Asks(Protocol):
    """A talk with a board (service.Service)."""

    def ask(self, op: str, *args: object, answer_s: float | None = None) -> object: ...


def send(service: Asks, found: Bundle, step: Callable[[int, int], None]) -> int:
    """Send what the board wants until it restarts with the release; returns the number of bytes sent.

    step: called with (bytes done, bytes in all). Raises HostError: device_fault when the board refuses, by name; transfer.
    """
    name, sent, stalled = found.digest, 0, 0
    sizes = [len(part) for part in found.parts]
    want = service.ask("update", name, answer_s=ANSWER_S)
    while want:
        part, offset = _place(want, len(sizes))
        step(sum(sizes[:part]) + offset, sum(sizes))
        data = found.block(part, offset, BLOCK)
        before, want = want, service.ask("update", name, part, offset, data, answer_s=ANSWER_S)
        sent += len(data)
        stalled = stalled + 1 if want == before else 0
        if stalled >= TRIES:
            what = _("the board asks for the same block again and again: part {part}, byte {offset}")
            raise HostError("transfer", what.format(part=part, offset=offset), "", _("run the command again"))
    step(sum(sizes), sum(sizes))
    return sent


def _place(want: object, parts: int) -> tuple[int, int]:
    if isinstance(want, list) and len(want) == 2:
        part, offset = want
        if type(part) is int and type(offset) is int and 0 <= part < parts and offset >= 0:
            return part, offset
    raise HostError("transfer", _("the board asks for what is no block: {want}").format(want=want), "",
                    _("flash this board with matching tools"))  # fmt: skip

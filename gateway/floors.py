"""Floors: the highest counter of each key id, told to upstream and asked there by a gateway whose windows are short.

Retained at jourdain/<site>/<gateway>/windows, as CBOR {kid: PIV}. A counter is told when every frame up to it is acknowledged, so
that nothing below it can be missing there; after the loss of a store what is at or below is refused as `old`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import cbor2

from firmware.wire.host.window import Window

TOLD_S = 300.0  # between two tellings
CONTENT_TYPE = "application/cbor"
_PIV_MAX = 2**32 - 1
_KIDS_MAX = 1_000_000
_KID_LENGTHS = (2, 4)

Floors = Mapping[bytes, int]


def topic(site: str, gateway: str) -> str:
    """Where they are told."""
    return f"jourdain/{site}/{gateway}/windows"


def pack(floors: Floors) -> bytes:
    """As the message has them."""
    return cbor2.dumps(dict(sorted(floors.items())), canonical=True)


def unpack(data: bytes) -> dict[bytes, int]:
    """What a message says. Raises ValueError for anything but {kid: PIV}."""
    try:
        found = cbor2.loads(data)
    except Exception as error:
        raise ValueError(f"no CBOR: {error}") from None
    if not isinstance(found, dict) or len(found) > _KIDS_MAX:
        raise ValueError("no map of key ids")
    for kid, piv in found.items():
        if type(kid) is not bytes or len(kid) not in _KID_LENGTHS or type(piv) is not int or not 1 <= piv <= _PIV_MAX:
            raise ValueError("no map of key ids to counters")
    return found


def highest(window: Window) -> int:
    """The highest counter that a window knows to have been taken, 0: none. A raised window begins above its floor."""
    if not window.bitmap:
        return max(0, int(window.highest) - int(window.width))
    return int(window.highest) - (int(window.bitmap & -window.bitmap).bit_length() - 1)


def raised(window: Window, floor: int) -> Window | None:
    """The window with everything up to `floor` below it, so that it is `old`; None where it knows of something higher."""
    if floor <= highest(window):
        return None
    found = Window(window.width)
    found.highest = min(floor + window.width, _PIV_MAX)
    found.bitmap = (1 << window.width) - (1 << (found.highest - floor))  # 0, but at the end of all counters
    return found


@dataclass(slots=True)
class Teller:
    """What one upstream is told, and when. `told`: what it has; pure, times are monotonic seconds."""

    told: dict[bytes, int] = field(default_factory=dict)
    told_s: float | None = None
    _upto: int = 0
    _next: dict[bytes, int] | None = None

    def look(self, last: int, windows: Callable[[], Iterable[tuple[bytes, int]]]) -> None:
        """Note the windows as they are after row `last`, unless older ones still wait to be told."""
        if self._next is None:
            found = {kid: piv for kid, piv in windows() if piv}
            if found != self.told:
                self._upto, self._next = last, found

    def due(self, done: int, now_s: float, *, stopping: bool = False) -> dict[bytes, int] | None:
        """What is to be told now. done: every row up to it is acknowledged."""
        if self._next is None or done < self._upto:
            return None
        soon = stopping or self.told_s is None or now_s - self.told_s >= TOLD_S
        return self._next if soon else None

    def has(self, floors: dict[bytes, int], now_s: float) -> None:
        """The upstream has acknowledged these."""
        self.told, self.told_s, self._next = floors, now_s, None

"""Floors: the highest counter of each key id, told to upstream and asked there by a gateway whose windows are short.

Retained at jourdain/<site>/<gateway>/windows, as CBOR {kid: PIV}. A counter is told when every frame up to it is acknowledged, so
that nothing below it can be missing there; after the loss of a store what is at or below is refused as `old`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import cbor2

from firmware.wire.host.window import Window
from gateway import windows
from gateway.clock import Clock
from gateway.fold import Kid
from gateway.intake import Intake
from gateway.store import Group, Store
from gateway.upstream.asking import ask
from gateway.upstream.pump import Pump
from gateway.upstream.upstreams import Upstreams

log = logging.getLogger("gateway.floors")

TOLD_S = 300.0  # between two tellings
METERED_S = 3600.0  # where each byte costs
LOOK_S = 10.0
ASK_S = 10.0
FAREWELL_S = 2.0
CONTENT_TYPE = "application/cbor"
_PIV_MAX = 2**32 - 1
_KIDS_MAX = 1_000_000
_KID_LENGTHS = (2, 4)

Told = Mapping[bytes, int]


def topic(site: str, gateway: str) -> str:
    """Where they are told."""
    return f"jourdain/{site}/{gateway}/windows"


def pack(floors: Told) -> bytes:
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
    """What one upstream is told, `every_s` after `told_s` at the soonest. `told`: what it has. Pure, in monotonic seconds."""

    told_s: float
    every_s: float = TOLD_S
    told: dict[bytes, int] = field(default_factory=dict)
    _seen: int = -1
    _upto: int = 0
    _next: dict[bytes, int] | None = None

    def look(self, last: int, windows: Callable[[], Iterable[tuple[bytes, int]]]) -> None:
        """Note the windows as they are after row `last`, unless older ones still wait to be told."""
        if self._next is None and last != self._seen:
            self._seen = last
            found = {kid: piv for kid, piv in windows() if piv}
            if found != self.told:
                self._upto, self._next = last, found

    def due(self, done: int, now_s: float, *, stopping: bool = False) -> dict[bytes, int] | None:
        """What is to be told now. done: every row up to it is acknowledged."""
        if self._next is None or done < self._upto:
            return None
        return self._next if stopping or now_s - self.told_s >= self.every_s else None

    def has(self, floors: dict[bytes, int], now_s: float) -> None:
        """The upstream has acknowledged these."""
        self.told, self.told_s, self._next = floors, now_s, None


class Floors:
    """Of one daemon: `begin` before anything is taken, `tick` now and then. `kids`: the key contexts as they are.

    An upstream that could not be asked is told nothing until it was: what it knows must not be written over.
    """

    def __init__(  # noqa: PLR0917 - the parts of a daemon
        self, store: Store, run: Callable[..., Awaitable[Any]], kids: Mapping[bytes, Kid], upstreams: Upstreams, clock: Clock,
        topic: str,
    ) -> None:  # fmt: skip
        self._store = store
        self._run = run
        self._kids = kids
        self._clock = clock
        self._topic = topic
        self._looked_s = clock.monotonic()
        self._tellers: dict[Pump, Teller] = {}
        self._unasked: list[Pump] = []
        self._work: asyncio.Task[None] | None = None
        for pump in upstreams.pumps:
            self._tellers[pump] = Teller(clock.monotonic(), METERED_S if pump.config.metered else TOLD_S)
            pump.farewell = partial(self._farewell, pump)

    async def begin(self) -> str:
        """Where the windows are short, raise them to what each upstream was told, within ASK_S seconds.

        Returns why they were short (windows.NEW ...), or "". Raises HostError as the store does.
        """
        short: str = await self._run(self._store.within, windows.short, "looked")
        if not short or not self._kids:
            return short
        answers = await asyncio.gather(*map(self._ask, self._tellers))
        self._unasked = [pump for pump, known in zip(self._tellers, answers, strict=True) if known is None]
        changed = self._raise(known for known in answers if known)
        log.warning("windows are short: %s", short)
        also = _nothing if self._unasked else windows.whole
        await self._run(self._store.write, Group(contexts=[kid.row for kid in changed], also=also))
        return windows.NEW if changed and short == windows.FIRST else short

    async def _ask(self, pump: Pump) -> dict[bytes, int] | None:
        """What an upstream was told last; None: it could not be asked."""
        name = pump.config.name
        data = await ask(pump.config, pump.password, self._topic, ASK_S)
        if data is None:
            log.warning("%s: could not be asked for the windows within %d s; asked again when it is there", name, ASK_S)
            return None
        try:
            return unpack(data) if data else {}
        except ValueError as error:
            log.warning("%s: what lies at %s is none of ours: %s", name, self._topic, error)
            return {}

    def _raise(self, answers: Iterable[Told]) -> list[Kid]:
        """Whose window was raised."""
        changed: dict[bytes, Kid] = {}
        for known in answers:
            for kid, floor in known.items():
                context = self._kids.get(kid)
                if context is not None and (window := raised(context.window, floor)) is not None:
                    context.window = window
                    changed[kid] = context
        if changed:
            log.warning("upstream knows of more frames than we: the windows of %d key ids are raised", len(changed))
        return list(changed.values())

    def tick(self, intake: Intake) -> None:
        """Tell what is due; ask who could not be asked."""
        now_s = self._clock.monotonic()
        if now_s - self._looked_s < LOOK_S or (self._work and not self._work.done()):
            return
        self._looked_s = now_s
        self._work = asyncio.create_task(self._round(intake, now_s))
        self._work.add_done_callback(_ended)

    async def _round(self, intake: Intake, now_s: float) -> None:
        for pump in [pump for pump in self._unasked if pump.connected]:
            if (known := await self._ask(pump)) is not None:
                intake.changed(self._raise([known]))
                self._unasked.remove(pump)
                if not self._unasked and await intake.settle():
                    await self._run(self._store.within, windows.whole, "whole")
        for pump in self._tellers:
            await self._tell(pump, now_s)

    async def _farewell(self, pump: Pump) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                await self._tell(pump, self._clock.monotonic(), stopping=True)

    async def _tell(self, pump: Pump, now_s: float, *, stopping: bool = False) -> None:
        if pump in self._unasked:
            return
        teller, last = self._tellers[pump], self._store.last
        teller.look(last, lambda: ((kid, highest(context.window)) for kid, context in self._kids.items()))
        gap = pump.account.done.gap(0, last + 1)
        floors = teller.due(gap[0] - 1 if gap else last, now_s, stopping=stopping)
        if floors is not None and await pump.tell(self._topic, pack(floors), CONTENT_TYPE):
            teller.has(floors, now_s)


def _nothing(_: sqlite3.Connection) -> None:
    """Windows stay short while somebody was not asked."""


def _ended(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("windows: %s", error)

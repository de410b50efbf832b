"""From the store to one broker: a sliding window of batches, exact counts, nothing marked before it is acknowledged.

`handed` moves in the store before a batch leaves and `acked` after its PUBACK, so after any cut what lies between the two is
known to be sent again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from firmware.wire.seal import Keys
from gateway import fold
from gateway.clock import Clock, boot_id
from gateway.config import Upstream
from gateway.errors import HostError
from gateway.store import Store, Tally
from gateway.uplink import OPAQUE, SEALED, Row
from gateway.upstream import frames, senml
from gateway.upstream.batcher import Batcher
from gateway.upstream.session import Publish, Session

log = logging.getLogger("gateway.upstream")

RETRY_S = 1.0

# Runs a function of the store in the store's own thread.
Run = Callable[..., Awaitable[Any]]


class Names(NamedTuple):
    """How we are called upstream: gateway, its site, and the board of each key id; and the keys that are held."""

    gateway: str
    site: str
    boards: Mapping[bytes, str]
    keys: Mapping[bytes, Keys] = MappingProxyType({})


class _Batch(NamedTuple):
    rows: list[Row]
    task: asyncio.Future[None]


class Pump:
    """One upstream. `news()` tells that rows were stored; `run()` works until `stop()` and until everything left."""

    def __init__(
        self, config: Upstream, names: Names, store: Store, run: Run, clock: Clock, *, on_event: Callable[..., None]
    ) -> None:
        self.config = config
        self._names = names
        self._store = store
        self._run = run
        self._clock = clock
        self._on_event = on_event
        self._wake = asyncio.Event()
        self._stopping = False
        self.connected = False
        self._handed, self.acked = store.cursor(config.name)
        password = config.password_file.read_text(encoding="utf-8").strip() if config.password_file else None
        client_id = config.client_id or f"jourdain-{names.gateway}-{config.name}"
        status = f"jourdain/{names.site}/{names.gateway}/status"
        self._session = Session(config, client_id, password, self._state, status=status, unix=clock.unix)
        self._topic = f"jourdain/{names.site}/{names.gateway}/{config.format}"

    def news(self) -> None:
        """Rows were stored."""
        self._wake.set()

    def stop(self) -> None:
        """Send what there is without waiting for a batch to fill, then end."""
        self._stopping = True
        self._wake.set()

    def renew(self) -> None:
        """Look at the certificates now; new ones are taken."""
        self._session.renew()

    async def run(self) -> None:
        await self._session.run(self._pump)

    def _state(self, name: str, detail: str) -> None:
        self.connected = name == "connected"
        level = logging.INFO if name == "connected" else logging.WARNING
        log.log(level, "%s: %s: %s", self.config.name, name, detail)
        self._on_event("broker", upstream=self.config.name, state=name, detail=detail)

    async def _pump(self, publish: Publish) -> None:
        """One connection: begin again behind what is acknowledged."""
        window: deque[_Batch] = deque()
        batcher: Batcher[Row] = Batcher(self.config.batch_readings, self.config.batch_age_s)
        taken = self.acked
        try:
            while True:
                self._wake.clear()
                full = len(window) >= self.config.in_flight
                found = [] if full or not batcher.room else await self._run(self._store.rows, taken, self._floor(), batcher.room)
                now_s = self._clock.monotonic()
                for row in found:
                    taken = row.id
                    batcher.add(row, now_s, urgent=bool(row.urgent))
                wait_s = batcher.wait_s(now_s)
                if wait_s is not None and not full and (wait_s <= 0 or self._stopping):
                    await self._send(window, batcher.take(), publish)
                    continue
                if self._stopping and not window and wait_s is None:
                    return
                await self._wait(window, None if full else wait_s)
                await self._settle(window)
        finally:
            for batch in window:
                batch.task.cancel()
            await asyncio.gather(*(batch.task for batch in window), return_exceptions=True)

    def _floor(self) -> int:
        """Rows of this boot that have no date yet are not overtaken."""
        query = "SELECT min(id) FROM uplink WHERE boot = (SELECT id FROM boot WHERE name = ?)"
        return self._store.read(query, (boot_id(),))[0][0] or 2**63 - 1

    async def _send(self, window: deque[_Batch], rows: list[Row], publish: Publish) -> None:
        again = [row for row in rows if row.id <= self._handed]
        number = await self._stored(self._store.hand, self.config.name, rows[-1].id, self._tally(again))
        self._handed = max(self._handed, rows[-1].id)
        if again:
            self._on_event("republished", upstream=self.config.name, batch=number, readings=len(again))
        if self.config.format == "senml":
            empty = all(row.kind in (OPAQUE, SEALED) for row in rows)
            payload, content_type = senml.pack(rows, self._base_name), senml.CONTENT_TYPE
        else:
            whole = [(row, fold.frame(row, self._names.keys.get(row.kid))) for row in rows]
            empty = all(frame is None for _, frame in whole)
            payload, content_type = frames.pack(whole, self._names.gateway, number), frames.CONTENT_TYPE
        task = asyncio.ensure_future(_nothing() if empty else publish(self._topic, payload, content_type))
        task.add_done_callback(lambda _: self._wake.set())
        window.append(_Batch(rows, task))
        await asyncio.sleep(0)  # the packet leaves before the next one is made: order is kept

    def _base_name(self, kid: bytes) -> str:
        return f"{self.config.prefix}{self._names.site}-{self._names.boards.get(kid, kid.hex())}_"

    async def _wait(self, window: deque[_Batch], wait_s: float | None) -> None:
        """Until something was stored, a batch was answered, or the gathered batch is old enough."""
        if window and window[0].task.done():
            return
        if wait_s is None:
            await self._wake.wait()
            return
        tasks = [asyncio.create_task(self._wake.wait()), asyncio.create_task(self._clock.sleep(wait_s))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    async def _settle(self, window: deque[_Batch]) -> None:
        """Mark the batches at the head of the window that were acknowledged, in one transaction."""
        rows: list[Row] = []
        while window and window[0].task.done():
            window[0].task.result()  # raises what the session has to handle
            rows += window.popleft().rows
        if not rows:
            return
        sent = self._tally(rows)
        await self._stored(self._store.mark, self.config.name, rows[-1].id, sent)
        self.acked = rows[-1].id
        readings = {kid.hex(): n.readings for kid, n in sent.items()}
        self._on_event("published", upstream=self.config.name, readings=sum(readings.values()), kids=readings)

    def _tally(self, rows: Iterable[Row]) -> dict[bytes, Tally]:
        return tally(rows, opaque=self.config.format == "frames")

    async def _stored(self, work: Callable[..., Any], *args: Any) -> Any:
        """A write that must succeed before anything else happens upstream."""
        while True:
            try:
                return await self._run(work, *args)
            except HostError as error:
                if error.name == "bad_store":
                    raise
                self._on_event("error", name=error.name)
                await asyncio.sleep(RETRY_S)


def tally(rows: Iterable[Row], *, opaque: bool) -> dict[bytes, Tally]:
    """Frames and readings by kid: a reading counts once even when it is filled later.

    `opaque`: frames that are not understood count too.
    """
    whole: Counter[bytes] = Counter()
    readings: Counter[bytes] = Counter()
    for row in rows:
        whole[row.kid] += row.tag is not None and (opaque or row.kind not in (OPAQUE, SEALED))
        readings[row.kid] += row.readings
    return {kid: Tally(whole[kid], readings[kid]) for kid in whole}


async def _nothing() -> None:
    """What a batch without content waits for."""

"""All upstreams of one daemon: each with its own connection and cursor, so that a dead one delays no other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from gateway.clock import Clock
from gateway.config import Upstream
from gateway.errors import HostError
from gateway.quick import Entries
from gateway.store import Store
from gateway.uplink import Row
from gateway.upstream import cursor
from gateway.upstream.account import everywhere
from gateway.upstream.cursor import Intervals, Span
from gateway.upstream.ledger import Ledger
from gateway.upstream.packs import Names
from gateway.upstream.pump import Pump

log = logging.getLogger("gateway.upstream")

T = TypeVar("T")

TICK_S = 1.0
FOLD_S = 60.0
RETRY_S = 5.0  # after a disk that was full


class Upstreams:
    """`run` runs a function in the store's thread; `accepted`: frames and readings that the store ever took.

    Raises HostError bad_store, or as Pump does.
    """

    def __init__(  # noqa: PLR0917 - what an upstream lives by
        self, configs: Sequence[Upstream], names: Names, store: Store, run: Callable[..., Awaitable[Any]], clock: Clock,
        accepted: tuple[int, int], on_event: Callable[..., None],
    ) -> None:  # fmt: skip
        self.ledger = Ledger(store, [cursor.Upstream(c.name, c.format == "frames") for c in configs], accepted)
        self._run = run
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="reader")
        self._folding = asyncio.Lock()
        self.pumps = [Pump(c, names, store, self._read, clock, self.ledger, on_event=on_event) for c in configs]

    def take(self, rows: Sequence[Row], entries: Sequence[Entries]) -> None:
        """Rows that were stored just now, in their order, and all entries of the payload of each."""
        for pump in self.pumps:
            pump.take(rows, entries)

    def again(self) -> None:
        """Rows on disk may leave that could not before: they got their date."""
        for pump in self.pumps:
            pump.again()

    def moved(self) -> None:
        """Rows on disk have other dates than before."""
        for pump in self.pumps:
            pump.moved()

    def done(self) -> list[Span]:
        """Ids of rows that every upstream has, and the tables know it; all ids, where nothing goes upstream."""
        return everywhere([pump.account for pump in self.pumps])

    def busy(self) -> Intervals:
        """Ids of rows that an upstream holds, has in the air, or is just reading."""
        found = Intervals()
        for pump in self.pumps:
            for first, last in pump.busy():
                found.add(first, last)
        return found

    def leave(self, spans: Sequence[Span]) -> None:
        """These rows are about to be dropped: none of them is read any more."""
        for pump in self.pumps:
            pump.leave(spans)

    def gone(self, spans: Sequence[Span]) -> None:
        """These rows were dropped, and that is counted."""
        for pump in self.pumps:
            for first, last in spans:
                pump.account.done.add(first, last)

    async def keep(self) -> None:
        """Move the marks into the tables now and then, until cancelled. HostError bad_store ends it."""
        loop = asyncio.get_running_loop()
        folded_s = loop.time()
        while True:
            await asyncio.sleep(TICK_S)
            if self.ledger.due or loop.time() - folded_s >= (RETRY_S if self.ledger.behind else FOLD_S):
                folded_s = loop.time()
                await self.fold()

    async def fold(self) -> None:
        """Move the marks into the tables; what the disk does not take now it takes later. Raises HostError bad_store."""
        async with self._folding:
            try:
                await self.ledger.fold(self._run)
            except HostError as error:
                if error.name == "bad_store":
                    raise
                log.warning("%s", error)

    async def close(self) -> None:
        """After the last pump has ended, and before the store is closed."""
        await self.fold()
        self.ledger.close()
        self._reader.shutdown()

    async def _read(self, work: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._reader, partial(work, *args))

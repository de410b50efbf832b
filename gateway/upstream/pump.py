"""From the store to one broker: a window of batches out of three lanes, exact counts, nothing done before it is acknowledged.

A mark is written before a batch leaves and another one after its PUBACK, so after any cut what lies between the two is known to
be sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from gateway.clock import Clock
from gateway.config import Upstream
from gateway.errors import HostError
from gateway.quick import Entries
from gateway.store import Store
from gateway.uplink import Row
from gateway.upstream.account import Account, Counts, add, intervals, spans, tally
from gateway.upstream.connection import LostError
from gateway.upstream.cursor import Span
from gateway.upstream.lanes import ALARM, Batch, Lanes, Read, Rules
from gateway.upstream.ledger import Ledger
from gateway.upstream.packs import Names, Packs
from gateway.upstream.session import Publish, Session

log = logging.getLogger("gateway.upstream")

RETRY_S = 1.0
_YIELD = 150  # after so many readings others have their turn; fewer, and a burst outruns us and is read again from disk
_HEAD_BYTES = 300  # of a PUBLISH: topic and properties, at the most
_READING_BYTES = 500  # hardly any has more

# Runs a function in a thread that may read the store.
Run = Callable[..., Awaitable[Any]]


class _Flight(NamedTuple):
    """A message in the air: its lane, the rows that are done with it, and what is counted then."""

    lane: str
    spans: list[Span]
    counts: Counts
    size: int


class Pump:
    """One upstream. `take` gives it what was stored, `again` says that rows got their date; `run()` works until `stop()` and
    until everything left. `run` runs a function in a thread that may read the store.
    """

    def __init__(  # noqa: PLR0917 - what an upstream lives by
        self, config: Upstream, names: Names, store: Store, run: Run, clock: Clock, book: Ledger, *, on_event: Callable[..., None]
    ) -> None:  # fmt: skip
        self.config = config
        self.account: Account = book.accounts[config.name]
        self.connected = False
        self._packs = Packs(config, names)
        self._store = store
        self._run = run
        self._clock = clock
        self._book = book
        self._on_event = on_event
        self._lanes: Lanes[Row] | None = None
        self._flying = 0
        self._landed: list[_Flight] = []
        self._failed: BaseException | None = None
        self._look_again = self._anew = False
        self._publish_now: Publish | None = None
        self.farewell: Callable[[], Awaitable[None]] | None = None  # when all has left, before the connection ends
        self._reading: asyncio.Task[None] | None = None
        self._timer: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._stopping = False
        self.password = config.password_file.read_text(encoding="utf-8").strip() if config.password_file else None
        client_id = config.client_id or f"jourdain-{names.gateway}-{config.name}"
        status = f"jourdain/{names.site}/{names.gateway}/status"
        self._session = Session(config, client_id, self.password, self._state, status=status, unix=clock.unix)
        self._topic = f"jourdain/{names.site}/{names.gateway}/{config.format}"

    def take(self, rows: Sequence[Row], entries: Sequence[Entries]) -> None:
        """Rows that were stored just now, in their order, and all entries of the payload of each."""
        if self._lanes is None:
            return
        self._packs.know(rows, entries)
        self._lanes.offer(rows, self._clock.monotonic())
        self._wake.set()

    def again(self) -> None:
        """Rows on disk may leave that could not before."""
        self._look_again = True
        self._wake.set()

    def moved(self) -> None:
        """Rows on disk have other dates: what is held in memory is read again."""
        self._anew = True
        self._wake.set()

    async def tell(self, topic: str, payload: bytes, content_type: str) -> bool:
        """Publish something retained, beside what is counted. False: it is not there."""
        if self._publish_now is None:
            return False
        try:
            await self._publish_now(topic, payload, content_type, retain=True)
        except (HostError, LostError) as error:
            log.info("%s: %s not told: %s", self.config.name, topic, error)
            return False
        return True

    def busy(self) -> Iterator[Span]:
        """Ids of rows that it holds, has in the air, or is just reading."""
        if self._lanes is not None:
            for first, last in self._lanes.taken:
                yield from self.account.done.gaps(first - 1, last + 1)
            yield from self._lanes.reading

    def leave(self, spans: Sequence[Span]) -> None:
        """Read none of these rows any more: they are about to be dropped."""
        if self._lanes is not None:
            self._lanes.leave(spans)

    def stop(self) -> None:
        """Send what there is without waiting for a batch to fill, then end."""
        self._stopping = True
        self._wake.set()

    def renew(self) -> None:
        """Certificates may have been renewed."""
        self._session.renew()

    async def run(self) -> None:
        await self._session.run(self._pump)

    def _state(self, name: str, detail: str) -> None:
        self.connected = name == "connected"
        level = logging.INFO if name == "connected" else logging.WARNING
        log.log(level, "%s: %s: %s", self.config.name, name, detail)
        self._on_event("broker", upstream=self.config.name, state=name, detail=detail)

    async def _pump(self, publish: Publish) -> None:
        """One connection: everything that the broker has not acknowledged, old or new."""
        rules = self._rules()
        lanes = self._lanes = Lanes(rules, self.account.done, self._store.last)
        self._flying, self._failed, self._look_again, self._anew = 0, None, False, False
        self._publish_now = publish
        try:
            while True:
                self._wake.clear()
                await self._noted(self._settle)
                if self._failed is not None:
                    raise self._failed
                if self._anew:
                    if self._flying or self._reading is not None:  # what is on its way lands first
                        await self._wake.wait()
                        continue
                    self._anew = False
                    self._packs.forget()
                    lanes = self._lanes = Lanes(rules, self.account.done, self._store.last)
                self._read(lanes)
                batches = self._due(lanes)
                if batches:
                    await self._send(batches, publish)
                    continue
                if self._stopping and lanes.idle and not self._flying and self._reading is None:
                    if self.farewell:
                        await self.farewell()
                    return
                self._set_timer(lanes)
                await self._wake.wait()
        finally:
            self._publish_now = None
            self._lanes = None
            self._packs.forget()
            self._cancel(self._reading)
            self._cancel(self._timer)
            self._reading = self._timer = None
            with contextlib.suppress(HostError):  # what cannot be marked now is sent again
                self._settle()

    def _rules(self) -> Rules:
        """As set, within what this broker takes."""
        config, session = self.config, self._session
        window = min(config.in_flight, session.window or config.in_flight)
        batch = config.batch_readings
        if session.packet_max_bytes:
            batch = min(batch, max(1, (session.packet_max_bytes - _HEAD_BYTES) // _READING_BYTES))
        return Rules(batch, config.batch_age_s, window, config.order == "strict")

    @staticmethod
    def _cancel(task: asyncio.Task[None] | None) -> None:
        if task is not None:
            task.cancel()

    def _set_timer(self, lanes: Lanes[Row]) -> None:
        """Wake when the gathered batch is old enough. It only ever becomes due later than it was."""
        wait_s = lanes.wait_s(self._clock.monotonic())
        if wait_s is not None and wait_s > 0 and self._timer is None:
            self._timer = asyncio.create_task(self._sleep(wait_s))

    async def _sleep(self, wait_s: float) -> None:
        await self._clock.sleep(wait_s)
        self._timer = None
        self._wake.set()

    # The disk

    def _read(self, lanes: Lanes[Row]) -> None:
        if self._reading is not None:
            return
        if self._look_again:
            self._look_again = False
            lanes.again(self._store.last)
        if (wanted := lanes.want()) is not None:
            self._reading = asyncio.create_task(self._bring(lanes, wanted))

    async def _bring(self, lanes: Lanes[Row], wanted: Read) -> None:
        try:
            rows, upto, void = await self._asked(wanted)
            if void:
                await self._noted(self._book.finish, self.account, void, {})
            lanes.came(rows, upto, self._clock.monotonic(), void)
            self._reading = None
        except HostError as error:
            self._failed = error
        self._wake.set()

    async def _asked(self, wanted: Read) -> tuple[list[Row], int, list[Span]]:
        """What is on the disk; one that does not answer now is asked again. Raises HostError bad_store."""
        while True:
            try:
                found: tuple[list[Row], int, list[Span]] = await self._run(look, self._store, wanted)
                return found
            except HostError as error:
                if error.name == "bad_store":
                    raise
                self._on_event("error", name=error.name)
                await asyncio.sleep(RETRY_S)

    # What leaves

    def _due(self, lanes: Lanes[Row]) -> list[Batch[Row]]:
        now_s, flying = self._clock.monotonic(), self._flying
        found: list[Batch[Row]] = []
        while batch := lanes.next(now_s, flying + len(found), stopping=self._stopping):
            found.append(batch)
        return found

    async def _send(self, batches: list[Batch[Row]], publish: Publish) -> None:
        """Note what leaves, and let it leave."""
        told = []
        for lane, rows in batches:
            ready, silent, lost = self._packs.sort(rows)
            if silent:
                await self._noted(self._book.finish, self.account, list(spans(silent)), tally(self.account, silent))
            if lost:
                await self._noted(self._book.drop, self.account, lost)
            if ready:
                told.append(Batch(lane, ready))
        if not told:
            return
        number = self.account.batch
        again = await self._noted(self._book.hand, self.account, [batch.rows for batch in told])
        readings = 0
        for batch, n in zip(told, again, strict=True):
            number += 1
            if n:
                self._on_event("republished", upstream=self.config.name, batch=number, readings=n)
            self._publish(batch, number, publish)
            readings += len(batch.rows)
            if readings >= _YIELD:
                readings = 0
                await asyncio.sleep(0)

    def _publish(self, batch: Batch[Row], number: int, publish: Publish) -> None:
        rows = batch.rows
        payload = self._packs.pack(rows, number)
        properties = {"lane": batch.lane, "encoding": "deflate"} if self.config.metered else {"lane": batch.lane}
        most = self._session.packet_max_bytes
        if most and len(payload) + _HEAD_BYTES > most and len(rows) > 1:
            half = len(rows) // 2
            self._publish(Batch(batch.lane, rows[:half]), number, publish)
            self._publish(Batch(batch.lane, rows[half:]), number, publish)
            return
        flight = _Flight(batch.lane, list(spans(rows)), tally(self.account, rows), len(payload))
        self._flying += 1
        future = asyncio.ensure_future(publish(self._topic, payload, self._packs.content_type, properties))
        future.add_done_callback(partial(self._answered, self._lanes, flight))

    # What comes back

    def _answered(self, lanes: Lanes[Row] | None, flight: _Flight, future: asyncio.Future[None]) -> None:
        if future.cancelled():
            return
        error = future.exception()
        if lanes is not self._lanes:
            return  # of a connection that is gone: its rows are sent again, and counted when that is answered
        self._flying -= 1
        if error is None:
            self._landed.append(flight)
        elif self._failed is None:
            self._failed = error
        self._wake.set()

    def _settle(self) -> None:
        """Mark what was acknowledged since the last time."""
        landed, account = self._landed, self.account
        if not landed:
            return
        counts: Counts = {}
        for flight in landed:
            add(counts, flight.counts)
        self._book.finish(account, [span for flight in landed for span in flight.spans], counts)
        self._landed = []
        size = sum(flight.size for flight in landed)
        account.bytes += size
        readings = {kid.hex(): numbers[1] for kid, numbers in counts.items()}
        self._on_event("published", upstream=self.config.name, readings=sum(readings.values()), kids=readings, bytes=size)

    async def _noted(self, work: Callable[..., Any], *args: Any) -> Any:
        """A mark that must be written before anything else happens upstream."""
        while True:
            try:
                return work(*args)
            except HostError as error:
                self._on_event("error", name=error.name)
                await asyncio.sleep(RETRY_S)


def look(store: Store, wanted: Read) -> tuple[list[Row], int, list[Span]]:
    """(rows, up to which id was looked, ids of it that no row has or will have): what `Lanes.came` wants to know."""
    dated = not store.read("SELECT 1 FROM uplink WHERE boot IS NOT NULL LIMIT 1")  # first: a date may come between
    find = store.alarms if wanted.lane == ALARM else store.rows
    rows: list[Row] = []
    for first, last in wanted.spans:
        rows += find(first - 1, last + 1, wanted.limit - len(rows))
        if len(rows) >= wanted.limit:
            break
    upto = rows[-1].id if len(rows) >= wanted.limit else wanted.spans[-1][1]
    void: list[Span] = []
    if dated and wanted.lane != ALARM:
        there = intervals(rows)
        for first, last in wanted.spans:
            void += there.gaps(first - 1, min(last, upto) + 1)
    return rows, upto, void

"""What comes in: the inbox of all lines, one group at a time to the store, and what its commit allows to be said.

The store works in one thread of its own, so a slow disk delays acknowledgements and nothing else. What comes in while a group
is being committed makes the next group.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, TypeVar

from firmware.wire import link
from firmware.wire.hdlc import PROTO_FRAME, PROTO_MESSAGE
from gateway.clock import Clock
from gateway.config import SerialPort
from gateway.errors import HostError
from gateway.events import Events
from gateway.fold import Kid
from gateway.ingress.frames import Batch
from gateway.ingress.serial import Line
from gateway.ingress.source import Source
from gateway.judge import Gathered, Taken
from gateway.receive import COUNT, OPENED, Item, Receiver

log = logging.getLogger("gateway")
board_log = logging.getLogger("gateway.board")

# Runs a function in the store's own thread.
Run = Callable[..., Awaitable[Any]]

T = TypeVar("T")

RETRY_S = 1.0
INBOX_MAX = 4096
JUDGE_MAX = 256
TIMER_S = 0.001  # by which a timer of the loop may be early


class Intake:
    """The receive path of one daemon. `run`: runs a function in the store's thread; `make_room`: when it is full;
    `news`: called with what was stored; `events`: where to say what happens, or None.

    While one group is being committed the next one is judged. `window_s`: how long a group waits for company, to save writes.
    """

    def __init__(
        self, receiver: Receiver, run: Run, clock: Clock, events: Events | None, *,
        make_room: Callable[[], Awaitable[None]], news: Callable[[Taken], None], window_s: float = 0.0,
    ) -> None:  # fmt: skip
        self.lines: dict[Source, Line] = {}
        self._receiver = receiver
        self._in_store = run
        self._clock = clock
        self._events = events
        self._make_room = make_room
        self._tell = news
        self._window_s = window_s
        self._inbox: list[Item] = []
        self._batches: deque[Batch] = deque()  # of other gateways; their broker sends no more than may wait
        self._news = asyncio.Event()
        self._since_s: float | None = None  # since when the gathered group waits
        self._written_s = 0.0
        self._sealed: deque[Gathered] = deque()
        self._committing = asyncio.Lock()
        self._closing = False
        self._full = ""  # why the store takes nothing
        self._holding = False

    async def run(self) -> None:
        """Group after group, until cancelled. HostError bad_store ends it."""
        committing: asyncio.Task[bool] | None = None
        while True:
            await self._news.wait()
            await asyncio.sleep(0)  # others have to do as well, however much comes in
            self._news.clear()
            self._judge()
            if committing is None or committing.done():
                if committing and not committing.result():
                    await asyncio.sleep(RETRY_S)
                committing = self._start()

    def _judge(self) -> None:
        """What came in joins the group, not too much at a time; what the disk is far behind with has to wait."""
        if self._holding:
            return
        items, self._inbox = self._inbox[:JUDGE_MAX], self._inbox[JUDGE_MAX:]
        if self._receiver.size > INBOX_MAX:
            items, self._inbox = [], items + self._inbox
        elif items or self._receiver.overdue(self._clock.monotonic()):
            self._receiver.judge(items, self._clock.unix(), self._clock.monotonic())
            self._gathering()
        if self._batches and self._receiver.size <= INBOX_MAX:
            self._receiver.judge_elsewhere(self._batches.popleft(), self._clock.unix(), self._clock.monotonic())
            self._gathering()

    def _gathering(self) -> None:
        """There is a group, and its time runs."""
        if self._since_s is None:
            self._since_s = self._now()
            if self._window_s:
                asyncio.get_running_loop().call_later(self._window_s, self._news.set)
        if self._inbox or self._batches:
            self._news.set()

    def _start(self) -> asyncio.Task[bool] | None:
        """Commit what is due, and come back afterwards."""
        if not self._sealed:
            if self._since_s is None or self._may_wait():
                return None
            self._seal()
        task = asyncio.create_task(self._commit())
        task.add_done_callback(lambda _: self._news.set())
        return task

    def _may_wait(self) -> bool:
        waited_s = self._now() - (self._since_s or 0.0)
        return waited_s < self._window_s - TIMER_S and not self._receiver.idle and not self._receiver.urgent

    @staticmethod
    def _now() -> float:
        """Windows are of real time, as syncs are."""
        return asyncio.get_running_loop().time()

    def _seal(self, *, dirt: bool = False, folded: bool = False) -> None:
        self._since_s = None
        self._sealed.append(self._receiver.seal(dirt=dirt, folded=folded))

    async def _commit(self) -> bool:
        """The sealed groups, in their order. False: the store takes nothing now; what it did not take comes again."""
        async with self._committing:
            while self._sealed:
                unix_s, mono_s = self._clock.unix(), self._clock.monotonic()
                try:
                    taken = await self._in_store(self._receiver.commit, self._sealed[0], unix_s, mono_s)
                except HostError as error:
                    for waiting in self._sealed:
                        waiting.stale = True
                    await self._no_room(error)
                    return False
                gathered = self._sealed.popleft()
                self._written_s = self._now()
                if self._full:
                    log.warning("the store takes readings again")
                    self._event("error", name=self._full, over=True)
                    self._full = ""
                if len(self._inbox) <= INBOX_MAX and not self._closing:
                    self._pause(False)
                self._answer(taken, gathered)
            return True

    async def settle(self, *, folded: bool = False) -> bool:
        """Write all there is: what was counted, too, and with `folded` every context and link. False: not now."""
        self._seal(dirt=True, folded=folded)
        return await self._commit()

    def tick(self) -> None:
        """Now and then: what is over, and what is retired."""
        self._receiver.tick(self._clock.unix())

    async def between(self, work: Callable[[], T], then: Callable[[T], None]) -> bool:
        """Run `work` in the store's thread when everything that was judged is on disk, and `then` before anything else is
        judged. False: not now. Raises HostError as `work` does.
        """
        self._holding = True
        try:
            if not await self.settle():
                return False
            then(await self._in_store(work))
            return True
        finally:
            self._holding = False
            self._news.set()

    def alarm(self, name: str) -> None:
        """Raise an alarm that concerns no key id."""
        self._receiver.alarm(name, self._clock.unix())

    def changed(self, kids: Iterable[Kid]) -> None:
        """Windows were raised: they are written with the next group."""
        self._receiver.changed(kids)

    def stepped(self, by_s: float) -> None:
        """The host's clock jumped."""
        log.warning("the clock jumped by %.1f s", by_s)
        self._receiver.count("clock_stepped")
        self._event("error", name="clock_stepped", by_s=by_s)

    async def flush(self) -> None:
        """Write what was counted, unless a group is there to take it along, or may still come within a window. And judge what
        has waited for its turn too long.
        """
        self._news.set()
        if self._since_s is None and not self._sealed and self._now() - self._written_s >= self._window_s:
            await self.settle()

    async def close(self) -> None:
        """Let in nothing more, and store what is there."""
        self._closing = True
        for line in self.lines.values():
            line.pause()
        items, self._inbox = self._inbox, []
        self._receiver.judge(items, self._clock.unix(), self._clock.monotonic())
        self._receiver.give_up_order()
        await self.settle()
        for line in self.lines.values():
            await line.drain(0.5)

    def take(self, batch: Batch) -> None:
        """What another gateway heard."""
        while self._batches and self._batches[0].stale():
            self._batches.popleft()
        self._batches.append(batch)
        self._news.set()

    def count(self, name: str, n: int) -> None:
        """Count what another gateway's message was not."""
        self._receiver.count(name, n)

    def line(self, source: Source, port: SerialPort) -> Line:
        """The serial line of a source, feeding the inbox."""

        def opened() -> None:
            source.feed(b"\x7e")
            self._put(source, OPENED)
            self.lines[source].send(link.ask_hello())

        def state(name: str) -> None:
            if name != "open":
                self._put(source, COUNT, name if name != "lost" else "port_lost")
            self._event("port", port=port.port, board=port.board, state=name)

        return Line(port, partial(self._data, source), opened, state)

    def _put(self, source: Source, kind: int, name: str = "") -> None:
        self._inbox.append((source, self._clock.monotonic(), kind, name.encode()))
        self._news.set()

    def _data(self, source: Source, data: bytes) -> None:
        now_s = self._clock.monotonic()
        for proto, body in source.feed(data):
            if proto in (PROTO_MESSAGE, PROTO_FRAME):
                self._inbox.append((source, now_s, proto, body))
            elif board_log.isEnabledFor(logging.DEBUG):
                board_log.debug("%s: %s", source.board, body.decode("utf-8", "backslashreplace").rstrip())
        if len(self._inbox) > INBOX_MAX:
            self._pause(True)
        self._news.set()

    def _pause(self, paused: bool) -> None:
        for line in self.lines.values():
            if paused:
                line.pause()
            else:
                line.resume()

    async def _no_room(self, error: HostError) -> None:
        if error.name == "bad_store":
            raise error
        self._pause(True)
        if not self._full:
            self._full = error.name
            log.error("%s", error)
            self._receiver.count(error.name)
            self._event("error", name=error.name, over=False)
        try:
            await self._make_room()
        except HostError:
            pass

    def _answer(self, taken: Taken, gathered: Gathered) -> None:
        self._answers(taken, gathered)
        for done in taken.done:
            done()
        for source, seq in taken.handled.items():
            if gathered.stale:  # nobody has listened to the line since: its board may have begun anew, with other numbers
                self.lines[source].send(link.ask_hello())
            elif self._same(source, gathered):
                self.lines[source].send(link.handled(seq))
        for source in taken.asks:
            self.lines[source].send(link.ask_hello())
        if taken.rows:
            self._tell(taken)
        if self._events:
            now_s = self._clock.unix()
            for event in taken.events:
                self._events.say({"t": now_s, **event})

    def _same(self, source: Source, gathered: Gathered) -> bool:
        """Is the board of the group still at the end of the line, and has not begun anew since?"""
        return (self.lines[source].openings, source.numbering.restarts) == gathered.openings[source]

    def _answers(self, taken: Taken, gathered: Gathered) -> None:
        """To the very bridge that heard the uplink, before that is acknowledged."""
        for answer in taken.answers:
            if not gathered.stale and self._same(answer.source, gathered):
                self.lines[answer.source].send(link.send(answer.number, answer.frame, answer.at_ms, {}))

    def _event(self, kind: str, **fields: Any) -> None:
        if self._events:
            self._events.say({"t": self._clock.unix(), "ev": kind, **fields})

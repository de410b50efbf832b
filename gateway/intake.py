"""What comes in: the inbox of all lines, one group at a time to the store, and what its commit allows to be said.

The store works in one thread of its own, so a slow disk delays acknowledgements and nothing else. What comes in while a group
is being committed makes the next group.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from firmware.wire import link
from firmware.wire.hdlc import PROTO_FRAME, PROTO_MESSAGE
from gateway.clock import Clock
from gateway.config import SerialPort
from gateway.errors import HostError
from gateway.events import Events
from gateway.ingress.serial import Line
from gateway.ingress.source import Source
from gateway.receive import COUNT, OPENED, Item, Receiver, Taken

log = logging.getLogger("gateway")
board_log = logging.getLogger("gateway.board")

# Runs a function in the store's own thread.
Run = Callable[..., Awaitable[Any]]

RETRY_S = 1.0
INBOX_MAX = 4096


class Intake:
    """The receive path of one daemon. `run`: runs a function in the store's thread; `make_room`: there, when it is full;
    `news`: called when readings were stored; `events`: where to say what happens, or None.
    """

    def __init__(
        self, receiver: Receiver, sources: Sequence[Source], run: Run, clock: Clock, events: Events | None, *,
        make_room: Callable[[], None], news: Callable[[], None],
    ) -> None:  # fmt: skip
        self.lines: dict[Source, Line] = {}
        self._receiver = receiver
        self._sources = sources
        self._in_store = run
        self._clock = clock
        self._events = events
        self._make_room = make_room
        self._tell = news
        self._inbox: list[Item] = []
        self._news = asyncio.Event()
        self._closing = False
        self._full = False
        self._taking = asyncio.Lock()

    async def run(self) -> None:
        """Group after group, until cancelled. HostError bad_store ends it."""
        while True:
            await self._news.wait()
            self._news.clear()
            if not await self._take():
                await asyncio.sleep(RETRY_S)
                self._news.set()

    async def close(self) -> None:
        """Let in nothing more, and store what is there."""
        self._closing = True
        for line in self.lines.values():
            line.pause()
        await self._take()
        for line in self.lines.values():
            await line.drain(0.5)

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

    async def _take(self) -> bool:
        """One group: everything that has come in. False: the store takes nothing now, and all of it waits."""
        async with self._taking:
            group, self._inbox = self._inbox, []
            if not group:
                return True
            openings = {source: line.openings for source, line in self.lines.items()}
            try:
                taken = await self._in_store(self._receiver.take, group, self._clock.unix(), self._clock.monotonic())
            except HostError as error:
                self._inbox = group + self._inbox
                await self._no_room(error)
                return False
            if self._full:
                self._full = False
                log.warning("the store takes readings again")
                self._event("error", name="disk_full", over=True)
            if len(self._inbox) <= INBOX_MAX and not self._closing:
                self._pause(False)
            self._answer(taken, openings)
            return True

    async def _no_room(self, error: HostError) -> None:
        if error.name == "bad_store":
            raise error
        self._pause(True)
        if not self._full:
            self._full = True
            log.error("%s", error)
            self._put(self._sources[0], COUNT, error.name)
            self._event("error", name=error.name, over=False)
        try:
            await self._in_store(self._make_room)
        except HostError:
            pass

    def _answer(self, taken: Taken, openings: dict[Source, int]) -> None:
        self._answers(taken, openings)
        for source, seq in taken.handled.items():
            if self.lines[source].openings == openings[source]:  # else another board may be there, with other numbers
                self.lines[source].send(link.handled(seq))
        for source in taken.asks:
            self.lines[source].send(link.ask_hello())
        if taken.readings:
            self._tell()
        if self._events:
            now_s = self._clock.unix()
            for event in taken.events:
                self._events.say({"t": now_s, **event})

    def _answers(self, taken: Taken, openings: dict[Source, int]) -> None:
        """To the very bridge that heard the uplink, before that is acknowledged."""
        for answer in taken.answers:
            line = self.lines[answer.source]
            if line.openings == openings[answer.source]:
                line.send(link.send(answer.number, answer.frame, answer.at_ms, {}))

    def _event(self, kind: str, **fields: Any) -> None:
        if self._events:
            self._events.say({"t": self._clock.unix(), "ev": kind, **fields})

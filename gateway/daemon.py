"""The daemon: ports, receiver, store and upstreams put together in one event loop.

The store works in one thread of its own, so a slow disk delays acknowledgements and nothing else. What comes in while a group
is being committed makes the next group.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from firmware.radio.airtime import airtime_us
from firmware.wire import link
from firmware.wire.frame import LOW_RATE_MAX
from firmware.wire.hdlc import PROTO_FRAME, PROTO_MESSAGE
from gateway import keys as keyfile
from gateway.clock import EARLIEST_UNIX_S, Clock, boot_id
from gateway.config import Config, SerialPort, Upstream
from gateway.downlink import Controller
from gateway.errors import Fault, FaultsError, HostError, did_you_mean
from gateway.events import Events
from gateway.ingress.serial import Line
from gateway.ingress.source import Source
from gateway.inventory import Board, Inventory
from gateway.receive import COUNT, OPENED, Item, Receiver, Taken
from gateway.releases import Releases
from gateway.store import Kid, Store
from gateway.upstream.pump import Names, Pump

log = logging.getLogger("gateway")
board_log = logging.getLogger("gateway.board")

T = TypeVar("T")

RETRY_S = 1.0
HELLO_S = 2.0  # ask again so often while a board does not answer
TICK_S = 1.0
PRUNE_S = 60.0
STOP_S = 10.0
STOP_OFFLINE_S = 2.0
INBOX_MAX = 4096
LOW_RATE_SF = 10


def check(config: Config, inventory: Inventory) -> None:
    """What gateway.toml says must be in the inventory. Raises FaultsError bad_config with every fault."""
    faults: list[Fault] = []
    name = config.gateway.name
    if name not in inventory.gateways:
        hint = did_you_mean(name, inventory.gateways)
        faults.append(config.fault(("gateway", "name"), f'the inventory has no gateway "{name}"', hint))
    for index, port in enumerate(config.serial):
        board = inventory.boards.get(port.board)
        where = ("serial", index, "board")
        if board is None:
            hint = did_you_mean(port.board, inventory.boards)
            faults.append(config.fault(where, f'the inventory has no board "{port.board}"', hint))
        elif board.role != "bridge" and board.link != "serial":
            faults.append(config.fault(where, f'"{port.board}" is no radio bridge and has no serial link'))
        elif board.gateway not in (None, name):
            faults.append(config.fault(where, f'"{port.board}" belongs to gateway "{board.gateway}"'))
    for index, upstream in enumerate(config.upstream):
        for key in ("password_file", "ca_file"):
            file = getattr(upstream, key)
            if file is not None and not config.path(file).is_file():
                faults.append(config.fault(("upstream", index, key), f"there is no file {config.path(file)}"))
    if faults:
        raise FaultsError("bad_config", faults)


def airtime_of(board: Board | None) -> Callable[[int], int]:
    """Milliseconds on air of a frame of n bytes that this bridge heard; none for a wired board."""
    if board is None or board.plan is None:
        return lambda _: 0
    plan = board.plan
    return lambda n: round(airtime_us(n, plan.sf, plan.bw_hz, plan.cr) / 1000)


class Daemon:
    """Built from a checked configuration; `run` works until SIGTERM or SIGINT. HostError says what keeps it from starting.

    `events`: where to say what happens, or None.
    """

    def __init__(self, config: Config, inventory: Inventory, clock: Clock, events: Events | None) -> None:
        check(config, inventory)
        self._config = config
        self._clock = clock
        self._events = events
        site = inventory.gateways[config.gateway.name].site
        boards = {bytes.fromhex(kid): b.name for b in inventory.boards.values() if b.site == site for kid in b.kids}
        held = keyfile.load(config.path(config.gateway.keys), [kid.hex() for kid in boards])
        self._names = Names(config.gateway.name, site, boards)
        self._store = Store(config.path(config.gateway.store), config.gateway.store_max_mb)
        self._boot = boot_id()
        seen = self._store.links()
        kids = [Kid(keys, boards[kid]) for kid, keys in held.items()]
        self._sources = [
            Source(port.board, airtime_of(inventory.boards[port.board]), seen.get(port.board, b"")) for port in config.serial
        ]
        self._control = self._controller(inventory, kids)
        self._receiver = Receiver(self._store, kids, self._sources, self._boot, events is not None, controller=self._control)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._inbox: list[Item] = []
        self._news = asyncio.Event()
        self._stop = asyncio.Event()
        self._lines: dict[Source, Line] = {}
        self._pumps: list[Pump] = []
        self._full = False
        self._taking = asyncio.Lock()

    def _controller(self, inventory: Inventory, kids: list[Kid]) -> Controller | None:
        """Who answers boards, where boards.yaml gives this gateway the role and keys.json the keys."""
        for source in self._sources:
            board = inventory.boards[source.board]
            source.wired = board.role != "bridge"
            if board.plan and board.plan.sf >= LOW_RATE_SF:
                source.answer_max = LOW_RATE_MAX
        if inventory.gateways[self._config.gateway.name].role != "controller":
            return None
        if not any(kid.keys.k_dn for kid in kids):
            log.warning("boards.yaml makes this gateway a controller, and keys.json holds no k_dn: no board is answered")
            return None
        return Controller(self._store, self._config.answers, kids, Releases(self._config.releases))

    async def run(self) -> None:
        """Work until told to stop; then let in nothing more, send what there is, and close."""
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._stop.set)
        self._lines = {s: self._line(s, port) for s, port in zip(self._sources, self._config.serial, strict=True)}
        self._pumps = [
            Pump(self._whole(c), self._names, self._store, self._in_store, self._clock, on_event=self._event)
            for c in self._config.upstream
        ]
        lines = [asyncio.create_task(line.run()) for line in self._lines.values()]
        pumps = [asyncio.create_task(pump.run()) for pump in self._pumps]
        work = [asyncio.create_task(self._ingest()), asyncio.create_task(self._housekeeping())]
        log.info("gateway %s: %d ports, %d upstreams", self._config.gateway.name, len(lines), len(pumps))
        self._event("started", gateway=self._config.gateway.name)
        if self._control and self._control.restored:
            self._event("error", name="restored", detail=self._control.restored)
        stop = asyncio.create_task(self._stop.wait())
        try:
            done, _ = await asyncio.wait([stop, *lines, *pumps, *work], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stop}:
                task.result()  # a part that ended by itself has failed: the whole ends with it
            await self._finish(pumps)
        finally:
            tasks = [stop, *lines, *pumps, *work]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._in_store(self._store.close)
            self._thread.shutdown()
            log.info("gateway %s: stopped", self._config.gateway.name)

    def _whole(self, upstream: Upstream) -> Upstream:
        """With the paths of its files made absolute."""
        files = {key: getattr(upstream, key) for key in ("password_file", "ca_file")}
        return upstream.model_copy(update={key: self._config.path(file) for key, file in files.items() if file})

    async def _finish(self, pumps: list[asyncio.Task[None]]) -> None:
        for line in self._lines.values():
            line.pause()
        await self._take()
        for line in self._lines.values():
            await line.drain(0.5)
        for pump in self._pumps:
            pump.stop()
        # A broker that is away is not waited for: what it has not acknowledged is on disk.
        end_s = asyncio.get_running_loop().time() + STOP_S
        waiting = set(pumps)
        while waiting and asyncio.get_running_loop().time() < end_s:
            _, waiting = await asyncio.wait(waiting, timeout=STOP_OFFLINE_S)
            if not any(pump.connected for pump in self._pumps):
                break
        await self._flush()

    async def _in_store(self, work: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(work, *args))

    # Ports

    def _line(self, source: Source, port: SerialPort) -> Line:
        def opened() -> None:
            source.feed(b"\x7e")
            self._put(source, OPENED)
            self._lines[source].send(link.ask_hello())

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
        for line in self._lines.values():
            if paused:
                line.pause()
            else:
                line.resume()

    # Receive path

    async def _ingest(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            if not await self._take():
                await asyncio.sleep(RETRY_S)
                self._news.set()

    async def _take(self) -> bool:
        """One group: everything that has come in. False: the store takes nothing now, and all of it waits."""
        async with self._taking:
            group, self._inbox = self._inbox, []
            if not group:
                return True
            openings = {source: line.openings for source, line in self._lines.items()}
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
            if len(self._inbox) <= INBOX_MAX and not self._stop.is_set():
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

    def _make_room(self) -> None:
        self._store.shrink_log()
        self._store.prune(self._acked(), None)

    def _answer(self, taken: Taken, openings: dict[Source, int]) -> None:
        self._answers(taken, openings)
        for source, seq in taken.handled.items():
            if self._lines[source].openings == openings[source]:  # else another board may be there, with other numbers
                self._lines[source].send(link.handled(seq))
        for source in taken.asks:
            self._lines[source].send(link.ask_hello())
        if taken.readings:
            for pump in self._pumps:
                pump.news()
        if self._events:
            now_s = self._clock.unix()
            for event in taken.events:
                self._events.say({"t": now_s, **event})

    def _answers(self, taken: Taken, openings: dict[Source, int]) -> None:
        """To the very bridge that heard the uplink, before that is acknowledged."""
        for answer in taken.answers:
            line = self._lines[answer.source]
            if line.openings == openings[answer.source]:
                line.send(link.send(answer.number, answer.frame, answer.at_ms, {}))

    # Now and then

    def _acked(self) -> int:
        """The last row that every upstream has; all rows, where nothing goes upstream."""
        return min((pump.acked for pump in self._pumps), default=2**63 - 1)

    async def _housekeeping(self) -> None:
        pruned_s = asked_s = asyncio.get_running_loop().time()
        while True:
            await asyncio.sleep(TICK_S)
            now_s = asyncio.get_running_loop().time()
            if now_s - asked_s >= HELLO_S:
                asked_s = now_s
                self._ask_again()
            await self._flush()
            try:
                await self._date()
                if now_s - pruned_s >= PRUNE_S:
                    pruned_s = now_s
                    await self._prune()
            except HostError as error:
                if error.name == "bad_store":
                    raise
                log.warning("%s", error)

    def _ask_again(self) -> None:
        for source, line in self._lines.items():
            if line.is_open and not source.numbering.synced:
                line.send(link.ask_hello())

    async def _flush(self) -> None:
        try:
            await self._in_store(self._receiver.flush)
        except HostError as error:
            if error.name == "bad_store":
                raise

    async def _date(self) -> None:
        unix_s, mono_s = self._clock.unix(), self._clock.monotonic()
        if unix_s < EARLIEST_UNIX_S or not await self._in_store(self._store.undated, self._boot):
            return
        n = await self._in_store(self._store.date, self._boot, round((unix_s - mono_s) * 1000))
        log.info("the clock was set: %d readings are dated", n)
        for pump in self._pumps:
            pump.news()

    async def _prune(self) -> None:
        before_ms = round((self._clock.unix() - self._config.gateway.keep_days * 86_400) * 1000)
        while await self._in_store(self._store.prune, self._acked(), before_ms):
            await asyncio.sleep(0.1)  # others come in between

    def _event(self, kind: str, **fields: Any) -> None:
        if self._events:
            self._events.say({"t": self._clock.unix(), "ev": kind, **fields})

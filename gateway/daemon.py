"""The daemon: ports, receiver, store and upstreams put together in one event loop; its start and its end."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from firmware.radio.airtime import airtime_us
from firmware.wire.frame import LOW_RATE_MAX
from firmware.wire.host.window import WIDTH
from firmware.wire.seal import Keys
from gateway import dating, floors, heal, street, systemd, windows
from gateway import keys as keyfile
from gateway.clock import Clock, boot_id
from gateway.config import UPSTREAM_FILES, Broker, Config, Frames
from gateway.downlink import Controller
from gateway.errors import Fault, FaultsError, did_you_mean
from gateway.events import Events
from gateway.floors import Floors
from gateway.fold import Kid
from gateway.ingress import frames
from gateway.ingress.source import Source
from gateway.intake import Intake
from gateway.inventory import Board, Inventory
from gateway.judge import Taken
from gateway.receive import Receiver
from gateway.releases import Releases
from gateway.room import Room
from gateway.upkeep import Upkeep
from gateway.upstream.packs import Names
from gateway.upstream.upstreams import Upstreams
from gateway.watch import Watch

log = logging.getLogger("gateway")

T = TypeVar("T")

STOP_S = 10.0
STOP_OFFLINE_S = 2.0
LOW_RATE_SF = 10


SECRET_FILES = ("password_file", "key_file")


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
    faults += _files(config)
    if name in inventory.gateways:
        faults += street.faults(config, inventory.gateways[name].role)
        faults += frames.faults(config, inventory)
    if faults:
        raise FaultsError("bad_config", faults)


def held_keys(config: Config, inventory: Inventory) -> dict[bytes, Keys]:
    """The keys that this gateway has, by key id. Raises HostError bad_keys, test_key."""
    gateway = inventory.gateways[config.gateway.name]
    kids = [kid for board in inventory.boards.values() if board.site == gateway.site for kid in board.kids]
    return keyfile.load(config.path(config.gateway.keys), kids, gateway.role)


def _files(config: Config) -> Iterator[Fault]:
    """Files of brokers that are not there, or are there for everybody."""
    brokers: dict[tuple[str, int], Broker] = {("upstream", n): broker for n, broker in enumerate(config.upstream)}
    brokers |= {("frames", n): broker for n, broker in enumerate(config.frames)}
    for where, broker in brokers.items():
        for key in UPSTREAM_FILES:
            file = getattr(broker, key)
            if file is not None and not config.path(file).is_file():
                yield config.fault((*where, key), f"there is no file {config.path(file)}")
            elif file is not None and key in SECRET_FILES and (mode := keyfile.others(config.path(file))):
                what = f"{config.path(file)} can be read by others (mode {mode:04o})"
                yield config.fault((*where, key), what, f"chmod 600 {config.path(file)}")


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
        self._events = events
        site = inventory.gateways[config.gateway.name].site
        boards = {bytes.fromhex(kid): b.name for b in inventory.boards.values() if b.site == site for kid in b.kids}
        held = held_keys(config, inventory)
        names = Names(config.gateway.name, site, boards, held)
        path = config.path(config.gateway.store)
        heal.ready(path)
        if held:
            windows.require(path)
        self._store = heal.opened(path, config.gateway.store_max_mb)
        try:
            width = frames.WIDTH if config.frames else WIDTH
            self._assemble(inventory, names, [Kid(keys, boards[kid], width) for kid, keys in held.items()], clock)
        except BaseException:
            self._store.close(bad=True)
            raise

    def _assemble(self, inventory: Inventory, names: Names, kids: list[Kid], clock: Clock) -> None:
        config, events, boot = self._config, self._events, boot_id()
        trust = config.gateway.clock == "trust"
        self._clock = self._store.within(lambda db: dating.begin(db, clock, boot, trust=trust), "begun")
        role, site, boards = inventory.gateways[config.gateway.name].role, names.site, names.boards
        self._sources = [Source(port.board, airtime_of(inventory.boards[port.board])) for port in config.serial]
        self._control = self._controller(inventory, kids)
        families = [[bytes.fromhex(kid) for kid in b.kids] for b in inventory.boards.values() if b.site == site]
        receiver = Receiver(
            self._store, kids, self._sources, boot, events is not None, controller=self._control, role=role,
            watch=Watch(self._store, boards, families, config.gateway.old_key_days), per_min=config.gateway.unproven_per_min,
        )  # fmt: skip
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._stop = asyncio.Event()
        self._upstreams = Upstreams(
            [config.whole(upstream) for upstream in config.upstream], names, self._store, self._in_store, self._clock,
            receiver.accepted, self._event,
        )  # fmt: skip
        room = Room(self._store, self._in_store, self._upstreams, config.store, self._event)
        topic = floors.topic(site, config.gateway.name)
        self._floors = Floors(self._store, self._in_store, receiver.kids, self._upstreams, self._clock, topic)
        self._upkeep = Upkeep(
            self._store, self._in_store, self._clock, boot, config.gateway.keep_days, self._upstreams, self._floors, room
        )
        self._intake = Intake(
            receiver, self._in_store, self._clock, events, make_room=room.make, news=self._news,
            window_s=config.gateway.commit_window_ms / 1000,
        )
        self._doors = [self._door(config.whole(c), names, inventory) for c in config.frames]

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

    def _door(self, config: Frames, names: Names, inventory: Inventory) -> frames.Door:
        """Where frames of the site's other gateways come in."""
        site = names.site
        bridges = [board for board in inventory.boards.values() if board.role == "bridge"]
        known = {
            name: {board.name: airtime_of(board) for board in bridges if board.gateway == name}
            for name, one in inventory.gateways.items()
            if one.site == site
        }

        def said(name: str, detail: str) -> None:
            level = logging.INFO if name == "connected" else logging.WARNING
            log.log(level, "%s: %s: %s", config.name, name, detail)
            self._event("broker", frames=config.name, state=name, detail=detail)

        take, count = self._intake.take, self._intake.count
        return frames.Door(config, site, names.gateway, known, put=take, count=count, on_state=said)

    async def run(self) -> None:
        """Work until told to stop; then let in nothing more, send what there is, and close."""
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._renew)
        short = await self._before(self._floors.begin())
        if short in (windows.NEW, windows.RESTORED):
            self._intake.alarm(short)
        ports = zip(self._sources, self._config.serial, strict=True)
        self._intake.lines.update({source: self._intake.line(source, port) for source, port in ports})
        lines = [asyncio.create_task(line.run()) for line in self._intake.lines.values()]
        pumps = [asyncio.create_task(pump.run()) for pump in self._upstreams.pumps]
        parts = (self._intake.run(), self._upkeep.run(self._intake), self._upstreams.keep())
        work = [asyncio.create_task(part) for part in parts]
        work += [asyncio.create_task(door.run()) for door in self._doors]
        log.info("gateway %s: %d ports, %d upstreams", self._config.gateway.name, len(lines), len(pumps))
        self._event("started", gateway=self._config.gateway.name)
        systemd.say(systemd.READY)
        if self._control and self._control.restored:
            self._event("error", name="restored", detail=self._control.restored)
            if short != windows.RESTORED:  # put back by other means than `restore`
                self._intake.alarm(windows.RESTORED)
        if report := await self._in_store(heal.told, self._store):
            self._event("healed", **report)
            self._intake.alarm("healed")
        stop = asyncio.create_task(self._stop.wait())
        well = False
        try:
            done, _ = await asyncio.wait([stop, *lines, *pumps, *work], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stop}:
                task.result()  # a part that ended by itself has failed: the whole ends with it
            await self._finish(pumps)
            well = True
        finally:
            tasks = [stop, *lines, *pumps, *work]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            try:
                await self._upstreams.close()
            finally:
                await self._in_store(partial(self._store.close, bad=not well))
                self._thread.shutdown()
                for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                    loop.remove_signal_handler(name)
                log.info("gateway %s: stopped", self._config.gateway.name)

    async def _before(self, part: Coroutine[Any, Any, str]) -> str:
        """Wait for what must be done before anything is taken; a stop does not wait for it."""
        task, stop = asyncio.create_task(part), asyncio.create_task(self._stop.wait())
        await asyncio.wait([task, stop], return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not task.done():
            task.cancel()
            return ""
        return task.result()

    def _renew(self) -> None:
        """SIGHUP: certificates may have been renewed."""
        for pump in self._upstreams.pumps:
            pump.renew()
        for door in self._doors:
            door.renew()

    async def _finish(self, pumps: list[asyncio.Task[None]]) -> None:
        systemd.say(systemd.STOPPING)
        await self._intake.close()
        for pump in self._upstreams.pumps:
            pump.stop()
        # A broker that is away is not waited for: what it has not acknowledged is on disk.
        end_s = asyncio.get_running_loop().time() + STOP_S
        waiting = set(pumps)
        while waiting and asyncio.get_running_loop().time() < end_s:
            _, waiting = await asyncio.wait(waiting, timeout=STOP_OFFLINE_S)
            if not any(pump.connected for pump in self._upstreams.pumps):
                break
        await self._intake.settle(folded=True)

    def _news(self, taken: Taken) -> None:
        self._upstreams.take(taken.rows, taken.entries)

    async def _in_store(self, work: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(work, *args))

    def _event(self, kind: str, **fields: Any) -> None:
        if self._events:
            self._events.say({"t": self._clock.unix(), "ev": kind, **fields})

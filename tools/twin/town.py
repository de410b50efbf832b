"""The town: boards, air, cables, daemon and broker, moved by one clock until its end, and the books afterwards."""

from __future__ import annotations

import contextlib
import random
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.errors import HostError
from tools.twin import ending, fleet
from tools.twin.broker import Embedded, Proxy
from tools.twin.circuit import EPOCH_UNIX_S
from tools.twin.clock import FOREVER_US, Clock, ClockFile
from tools.twin.core import Core
from tools.twin.daemon import Daemon, KillPlan, write_config, write_keys
from tools.twin.ether import Ether
from tools.twin.ledger import Ledger
from tools.twin.member import Member, Members
from tools.twin.reader import Reader
from tools.twin.view import View

SPEED = 60
BOOT_US = 1_000_000  # the first board gets its power a second after the town begins
_OPEN_S = 30.0  # for the daemon to open its ports
_SLICE_S = 0.02
_LAG_S = 0.25  # what is later than this is not caught up: the clock is never faster than its speed
_DOWN_US = (300_000, 10_000_000)  # how long a killed daemon stays away


@dataclass(frozen=True)
class Options:
    """What the town is asked to be. `seconds`: of wall time at `speed`; `speed` 0: as fast as it goes, as if 60 for `seconds`."""

    inventory: Path
    seconds: float | None = None
    speed: float = SPEED
    seed: int = 7
    broker: str | None = None
    kill: int = 0
    cut_s: float = 0.0
    boards: int | None = None

    @property
    def end_us(self) -> int:
        """When the town ends."""
        return FOREVER_US if self.seconds is None else int(self.seconds * (self.speed or SPEED) * 1e6)


class Town:
    """`start`, then `live` until the end or `stop`, then `drain` and `books`; `close` in any case."""

    def __init__(self, options: Options, folder: Path, view: View) -> None:
        self.options = options
        self.folder = folder
        self.view = view
        self.clock = Clock()
        self.stopping = False
        self.members: list[Member] = []
        self.surprises: Counter[str] = Counter()
        self._down = False
        self._cut_until: float | None = None
        self._wall0 = time.monotonic()
        self.begun = time.monotonic()
        self._stack = contextlib.ExitStack()
        self._rng = random.Random(f"{options.seed}/town")
        self._next_look = 0.0
        self._core = Core()

    # -- beginning and end

    def start(self) -> None:
        """Bring everything up to the moment before the first board's first instruction. Raises HostError."""
        options, folder = self.options, self.folder
        self.fleet = fleet.load(options.inventory, folder, options.seed, options.boards)
        self.ledger = Ledger(self.clock, self.fleet.boards, self.fleet.secrets)
        self.ether = Ether(self.clock, random.Random(f"{options.seed}/ether"))
        self.ether.on_outcome = self.ledger.outcome
        url = options.broker
        if url is not None and not url.startswith("mqtt://"):
            raise HostError("bad_config", "the twin takes a broker without TLS, mqtt://host[:port]", url)
        if url is None:
            embedded = Embedded(folder)
            self._stack.callback(embedded.close)
            url = embedded.url
        self.url = url
        self.proxy = Proxy(url)
        self._stack.callback(self.proxy.close)
        site = self.fleet.inventory.gateways[self.fleet.gateway].site
        self.reader = Reader(url, f"jourdain/{site}/{self.fleet.gateway}/senml")
        self._stack.callback(self.reader.close)
        self._make_members()
        self.view.begin(self)
        self._start_daemon()
        self._core.take()
        self._stack.callback(self._core.free)
        for member in self.members:
            member.process.on_spawn = self._core.keep
            member.process.power_on(BOOT_US + member.on_us)
        self.begun = self._wall0 = time.monotonic()

    def _make_members(self) -> None:
        flashes = self.folder / "boards"
        flashes.mkdir(exist_ok=True)
        make = Members(self.ether, self.ledger, self.fleet, self.options.seed, flashes)
        for board in self.fleet.boards:
            member = make.make(board)
            self.members.append(member)
            self._stack.callback(member.process.power_off)
            cable = member.cable
            if cable is not None:
                self._stack.callback(cable.close)
                cable.up = lambda: self.daemon.up
                cable.idle = self._look_after_daemon
                cable.before = self._tell_time
                cable.on_heard = self.ledger.heard
                cable.on_handled = self.ledger.handled
                cable.on_boot = self.ledger.booted
        self.cables = [member.cable for member in self.members if member.cable is not None]

    def _start_daemon(self) -> None:
        self.clock_file = ClockFile(self.folder / "clock", EPOCH_UNIX_S)
        self._stack.callback(self.clock_file.close)
        ports = {cable.name: cable.path for cable in self.cables}
        write_config(self.folder / "gateway.toml", self.fleet.gateway, self.folder / "boards.yaml", ports, self.proxy.url)
        nodes = {board.kid: self.fleet.secrets[board.kid] for board in self.fleet.boards if board.kid}
        write_keys(self.folder / "keys.json", self.fleet.inventory.gateways[self.fleet.gateway].role, nodes)
        self.kills = KillPlan(self.options.kill, self.options.seed)
        self.daemon = Daemon(self.folder, self.clock_file.path, self.kills)
        self.daemon.on_event = self.view.event
        self._stack.callback(self.daemon.close)
        self._daemon_up()
        if self.options.cut_s:
            end_us = min(self.options.end_us, int(180e6 * (self.options.speed or SPEED)))
            self.clock.at(end_us // 3, self._cut)

    def stop(self) -> None:
        """Let the town end at its next moment."""
        self.stopping = True

    def close(self) -> None:
        """End every child, whatever happened."""
        self._stack.close()

    # -- the daemon

    def _daemon_up(self) -> None:
        self._down = False
        self.daemon.start()
        self._core.free(self.daemon.pid or 0)
        for cable in self.cables:
            if not cable.opened(_OPEN_S) and self.daemon.up:
                what = f"the daemon did not open the port of {cable.name} within {_OPEN_S:.0f} s"
                raise HostError("timeout", what, str(self.folder), self.daemon.stderr_tail())
        if self.kills.left:
            # A life whose moment does not come, as while the broker is away, ends from outside.
            span_us = min(self.options.end_us, 3_600_000_000)
            self.clock.at(self.clock.now_us + span_us // (self.options.kill + 2), self.kill, self.daemon.starts)

    def kill(self, life: int) -> None:
        """`kill -9` of the daemon, if that life still lasts and is to be killed."""
        if self.daemon.up and self.daemon.starts == life and self.kills.left:
            self.daemon.kill()
            self._look_after_daemon()

    def _look_after_daemon(self) -> None:
        self.daemon.pump()
        if self._down or not self.daemon.died():
            return
        self._down = True
        for cable in self.cables:
            cable.flush()
        self.view.note(f"the daemon was killed: {self.kills.done[-1]}")
        self.clock.at(self.clock.now_us + self._rng.randint(*_DOWN_US), self._daemon_up)

    def _cut(self) -> None:
        self.proxy.cut()
        self._cut_until = time.monotonic() + self.options.cut_s
        self.view.note(f"the broker is cut off for {self.options.cut_s:g} s")

    def _tell_time(self) -> None:
        self.clock_file.set(self.clock.now_us)

    def _housekeep(self) -> None:
        """What has to be seen to now and then, in wall time."""
        self._tell_time()
        for cable in self.cables:
            cable.pump()
        self._look_after_daemon()
        if self._cut_until is not None and time.monotonic() >= self._cut_until:
            self._cut_until = None
            self.proxy.mend()
            self.view.note("the broker is back")
        self.view.tick()

    # -- time

    def live(self) -> None:
        """Move the clock to the town's end, or until `stop`."""
        end_us = self.options.end_us
        self._wall0 = time.monotonic() - self.clock.now_us / 1e6 / (self.options.speed or SPEED)
        while self.clock.now_us < end_us and not self.stopping:
            next_us = min(self.clock.next_us(), end_us)
            if not self._pace(next_us):
                continue
            if next_us >= end_us:
                self.clock.run_until(end_us)
            else:
                self.clock.step()
            if time.monotonic() >= self._next_look:
                self._next_look = time.monotonic() + _SLICE_S
                self._housekeep()

    def _pace(self, next_us: int) -> bool:
        """Wait until wall time allows `next_us`. False when something else comes before it, or the end is asked for."""
        speed = self.options.speed
        if not speed:
            return True
        while True:
            now_us = (time.monotonic() - self._wall0) * speed * 1e6
            left_s = (next_us - now_us) / 1e6 / speed
            if left_s <= 0:
                self._wall0 += max(0.0, -left_s - _LAG_S)
                return True
            self.clock.now_us = max(self.clock.now_us, min(next_us, int(now_us)))
            self._housekeep()
            if self.stopping or self.clock.next_us() < next_us:
                return False
            time.sleep(min(left_s, _SLICE_S))

    def run_for(self, us: int) -> None:
        """Let so much town time pass, whatever the speed."""
        self.clock.run_until(self.clock.now_us + us)
        self._housekeep()

    # -- the end

    def drain(self) -> None:
        """Let what is under way arrive; then nothing of the town runs but the broker."""
        ending.drain(self)

    def books(self) -> dict[str, Any]:
        """The document; `violations` says in words what does not balance."""
        return ending.document(self)

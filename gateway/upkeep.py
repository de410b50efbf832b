"""Now and then: dates for what was heard before the clock was set, counts of dirt, room on the disk, lines that stay silent."""

from __future__ import annotations

import asyncio
import logging

from firmware.wire import link
from gateway import dating, systemd
from gateway.clock import EARLIEST_UNIX_S
from gateway.dating import BelievedClock, Change
from gateway.errors import HostError
from gateway.floors import Floors
from gateway.intake import Intake, Run
from gateway.room import Room
from gateway.store import Store
from gateway.upstream.upstreams import Upstreams

log = logging.getLogger("gateway")

HELLO_S = 1.0  # ask again so often while a board does not answer
TICK_S = 1.0
PRUNE_S = 600.0  # few rows at a time cost more pages than they give back
FOLD_S = 6 * 3600.0  # a quiet town's rows are few, and yet not behind for ever


class Upkeep:
    """The housekeeping of one daemon. `run`: runs a function in the store's thread."""

    def __init__(  # noqa: PLR0917 - the parts of a daemon
        self, store: Store, run: Run, clock: BelievedClock, boot: str, keep_days: float, upstreams: Upstreams,
        floors: Floors, room: Room,
    ) -> None:  # fmt: skip
        self._store = store
        self._in_store = run
        self._clock = clock
        self._boot = boot
        self._keep_days = keep_days
        self._upstreams = upstreams
        self._floors = floors
        self._room = room

    async def run(self, intake: Intake) -> None:
        """Until cancelled. HostError bad_store ends it."""
        intake.tick()  # what is retired was so before the first frame
        pruned_s = asked_s = folded_s = asyncio.get_running_loop().time()
        while True:
            await asyncio.sleep(TICK_S)
            await self._in_store(_alive)
            now_s = asyncio.get_running_loop().time()
            if now_s - asked_s >= HELLO_S:
                asked_s = now_s
                _ask_again(intake)
            intake.tick()
            self._floors.tick(intake)
            await intake.flush()
            if now_s - folded_s >= FOLD_S:
                folded_s = now_s
                await intake.settle(folded=True)
            try:
                await self._look(intake)
                await self._date()
                if now_s - pruned_s >= PRUNE_S:
                    pruned_s = now_s
                    await self._prune()
            except HostError as error:
                if error.name == "bad_store":
                    raise
                log.warning("%s", error)

    async def _look(self, intake: Intake) -> None:
        """What the host's clock has done since the last look."""
        change = self._clock.look()
        if change is None:
            return
        if change.step_ms:
            intake.stepped(change.step_ms / 1000)
        await intake.between(lambda: self._store.within(lambda db: dating.store(db, change), "dated"), self._settle)

    def _settle(self, change: Change) -> None:
        self._clock.dating.settle(change)
        if change.move_ms:
            log.info("the clock is set: what it dated before is moved by %.1f s", change.move_ms / 1000)
            self._upstreams.moved()

    async def _date(self) -> None:
        unix_s, mono_s = self._clock.unix(), self._clock.monotonic()
        if unix_s < EARLIEST_UNIX_S or not await self._in_store(self._store.undated, self._boot):
            return
        n = await self._in_store(self._store.date, self._boot, round((unix_s - mono_s) * 1000))
        log.info("the clock was set: %d frames are dated", n)
        self._upstreams.again()

    async def _prune(self) -> None:
        now_ms = round(self._clock.unix() * 1000) if self._clock.dating.known else None
        if now_ms is not None:
            before_ms = now_ms - round(self._keep_days * 86_400_000)
            while await self._in_store(self._store.prune, self._upstreams.done(), before_ms):
                await asyncio.sleep(0.1)  # others come in between
        await self._room.keep(now_ms)


def _alive() -> None:
    # Said in the store's thread at the loop's word: both are needed, and either may hang.
    systemd.say(systemd.ALIVE)


def _ask_again(intake: Intake) -> None:
    for source, line in intake.lines.items():
        if line.is_open and not source.numbering.synced:
            line.send(link.ask_hello())

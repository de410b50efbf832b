"""Scenarios of the power-cut runner (cut_runner.py): boards that lose their memory between two reports."""

import asyncio

import desk
import machine
from cut_node import Wired
from cut_runner import judge
from desk import Host, Service, radio_config
from ramdisk import mount
from sleep_desk import Past

WAKES = 6


def until_sleep(app):
    """Let a board run until it sleeps, an hour at most."""

    async def main():
        task = asyncio.create_task(app.run())
        await asyncio.sleep(3600)
        task.cancel()

    try:
        asyncio.run(main())
    except machine.Restart:
        pass
    finally:
        asyncio.new_event_loop()


class Gated(Wired):
    """Every wake is a cold start. A reading that was stored before a sleep is sent, or it was sent when the power went."""

    PROFILE = "gated"
    SETTINGS = radio_config(report_s=900, power={"profile": "gated", "done": 13})

    def life(self, disk):
        machine.state["memory"] = b""  # power was off
        cause = 1
        for wake in range(WAKES):
            if wake:
                mount(disk, watched=disk.watched)
            self.wake(disk, cause, wake)
            disk.alive()
            cause = 4 if self.PROFILE == "deep" else 1
            if self.PROFILE != "deep":
                machine.state["memory"] = b""

    def wake(self, disk, cause, wake):
        Service.script = lambda now: self.reading(disk)
        machine.state["cause"] = cause
        host = Host()
        host.disk = disk
        app = desk.start("/f/", host, "node", Past(cause, self.PROFILE == "gated" or cause == 4))
        app.radio.disk = disk
        # Each other wake the radio fails: what was taken then waits on flash.
        app.radio.failing = ["radio_tx"] * 3 if wake % 2 else []
        app.radio.absent = wake % 2 == 1
        try:
            until_sleep(app)
        finally:
            self.sort_out(app, host)
        disk.alive()
        entries = [app.queue.get(ident) for ident in list(app.queue.ids)]
        there = {entry[2][4] for entry in entries if entry}
        lost = self.kept - there - set(self.numbers)
        judge(disk, len(lost) <= 3, "lost: {}", sorted(lost))
        self.kept |= there
        judge(disk, wake % 2 or not (wake and there), "{} wait though the radio works", sorted(there))


class Deep(Gated):
    """What the RTC's memory holds is gone when the power was: no counter comes twice."""

    PROFILE = "deep"
    SETTINGS = radio_config(report_s=900, power={"profile": "deep", "done": None})

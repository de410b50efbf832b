"""How a node wears out its flash: programs and erases while it reports for days. MicroPython only; cuts.py starts it."""

import desk  # noqa: I001 - first: it brings virtual time

import json

from desk import Host, Service, config, flash, link, radio_config
from ramdisk import RamDisk, mount

import machine
from cut_sleep import until_sleep
from sleep_desk import Past

from firmware.node import settings as changes

PICO_BLOCKS = 352  # 1408 KiB
SLOT_FILES = 45  # of 1 kB each: the application
BOARDS = {"radio": radio_config, "cable": config}


def reports(disk, board, reserve, days):
    """Let a board report each 15 minutes for so many days; returns the frames that it sent."""
    mount(disk, True)
    for i in range(SLOT_FILES):
        with open(f"/f/module-{i}", "wb") as file:
            file.write(bytes(1000))
    flash(BOARDS[board](report_s=900))
    begin(disk)
    host = Host()
    if board == "cable":
        host.on_message = lambda m: host.say(link.handled(m[1])) if m[0] == 1 else None
    app = desk.start("/f/", host)
    app.uplink.counter._reserve = reserve  # a gated board's is 1
    frames = [0]

    def tidy():
        # The desk remembers all that it heard.
        frames[0] += len(app.radio.sent if app.radio else host.of(1))
        for heard in (host.heard, host.lines) + ((app.radio.sent, app.radio.windows) if app.radio else ()):
            heard.clear()

    def script(now):
        tidy()
        return {1: 3600, 2: 215, 3: 47, 4: 512, 5: False}

    Service.script = script


    async def main():
        task = desk.asyncio.create_task(app.run())
        for _ in range(days):
            await desk.asyncio.sleep(86400)  # ticks wrap after twelve days
        task.cancel()

    desk.asyncio.run(main())
    tidy()
    assert app.queue.dropped == [0, 0], app.queue.dropped
    return frames[0]


def wakes(disk, profile, days):
    """Let a board that loses its memory wake each 15 minutes; returns the frames that it sent."""
    mount(disk, True)
    settings = radio_config(report_s=900, power={"profile": profile, "done": 13})
    flash(settings)
    begin(disk)
    Service.script = lambda now: {1: 3600, 2: 215, 3: 47, 4: 512, 5: False}
    frames, cause = 0, 1
    for _ in range(days * 96):
        mount(disk, watched=True)
        machine.state["cause"] = cause
        app = desk.start("/f/", Host(), "node", Past(cause, True))
        until_sleep(app)
        frames += len(app.radio.sent)
        cause = 4 if profile == "deep" else 1
    return frames


def commands(disk, days):
    """A command a day changes a setting; returns their number."""
    mount(disk, True)
    flash(config())
    begin(disk)
    for day in range(days):
        changes.save("/f/", {"report_s": 600 + day % 2, "done": [b"\0\1", day, 0, True], "settings": {"full_mm": 300}})
    return days


def begin(disk):
    """Count from here on."""
    mount(disk, watched=True)
    disk.clear()


def main(what, *args):
    """Run `reports`, `wakes` or `commands` and print one line of JSON; erases: of all blocks, of the one that had most."""
    disk = RamDisk(PICO_BLOCKS)
    done = {"reports": reports, "wakes": wakes, "commands": commands}[what](disk, *args)
    print(json.dumps({"done": done, "erases": [sum(disk.erases), max(disk.erases)], "uses": disk.uses,
                      "used_blocks": sum(n > 0 for n in disk.erases)}))  # fmt: skip

"""Scenario of the power-cut runner (cut_runner.py): the boot ladder, its record and its slots, boot after boot."""

import os
import sys

import machine
from cut_runner import judge

from firmware.node import files

# The application of a slot; HOOK is where the scenario comes in.
APP = "import cut_ladder\ndef run(root, ladder):\n    cut_ladder.hook(%d, ladder)\n"
BOOTS = 5


class Dog:
    """A watchdog that is patient."""

    def feed(self):
        pass


def fill(slot, release):
    """Put a release into a slot, as the updater does: `modules` goes first and comes last."""
    files.remove(f"/f/{slot}/modules")
    with open(f"/f/{slot}/toy.py", "w") as file:
        file.write(APP % release)
    with open(f"/f/{slot}/modules", "w") as file:
        file.write(">toy\n")


class Climb:
    """Each boot reaches the slot in force, or the one on trial; what was confirmed stays; a crash is known until it is told."""

    @staticmethod
    def provision(disk):
        for slot in "ab":
            os.mkdir("/f/" + slot)
            fill(slot, 1)

    def __init__(self):
        self.turn = 0
        self.good = 1  # release that was confirmed last
        self.tried = 1  # release that was staged last
        self.confirming = 1
        self.crashes = []  # texts whose crash() has returned, and that are not told
        self.telling = False

    def life(self, disk):
        machine.state.update({"memory": b"", "cause": 1})
        for _ in range(BOOTS):
            self.boot(disk)
            machine.state["cause"] = 5

    def boot(self, disk):
        global hook
        for name in ("toy", "ladder", "rungs"):
            sys.modules.pop(name, None)
        sys.path[:] = [path for path in sys.path if not path.startswith("/f/")]
        reached = []
        hook = lambda release, ladder: self.application(disk, release, ladder, reached)  # noqa: E731
        try:
            __import__("ladder").climb(Dog(), "/f/")
        except (machine.Restart, RuntimeError, ImportError):
            pass  # main.py resets
        judge(disk, reached, "no application is reached")

    def application(self, disk, release, ladder, reached):
        disk.alive()
        reached.append(release)
        possible = (self.good, self.tried, self.confirming)
        judge(disk, release in possible, "release {} of {}", release, possible)
        judge(disk, ladder.floor >= self.good or self.good == 1, "floor {} under {}", ladder.floor, self.good)
        if release == self.confirming and not ladder.trial:
            self.good = release
        self.told(disk, ladder)
        if ladder.trial:
            judge(disk, release == self.tried, "release {} is on trial, not {}", release, self.tried)
            self.confirming = release
            ladder.asked()
            ladder.answered()
            disk.alive()
            self.good = release
            judge(disk, ladder.floor == release and not ladder.trial, "floor {} of {}", ladder.floor, release)
        self.turn += 1
        self.work(disk, release, ladder)

    def told(self, disk, ladder):
        texts = [text for _, text in ladder.crashes()]
        kept = [text for text in texts if text in self.crashes]
        judge(disk, self.telling or kept == self.crashes[-len(texts) :][-4:], "crashes {}, not {}", texts, self.crashes)
        self.crashes, self.telling = kept, False

    def work(self, disk, release, ladder):
        turn = self.turn % 4
        if ladder.open:
            ladder.sent()
        if turn == 0:
            ladder.about(False, ["distance", "water"])
            ladder.settled()
        elif turn == 1:
            text = f"crash {self.turn}"
            ladder.crash(60, text)
            disk.alive()
            self.crashes.append(text)
        elif turn == 2:
            self.telling = True
            ladder.told()
            disk.alive()
            self.crashes, self.telling = [], False
        else:
            self.tried = release + 1
            fill(ladder.other, release + 1)
            ladder.stage(ladder.other, release + 1)
        disk.alive()
        ladder.reboot()


hook = None

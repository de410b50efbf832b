"""Scenario of the power-cut runner (cut_runner.py): a release comes block by block, is tried by the real ladder, and kept."""

import sys

from cut_release import NAME, NEW, OLD, TRUST
from cut_runner import Violation, judge
from update_desk import KIND, install, listed, send, tree, write

from firmware import rungs
from firmware.ladder import Ladder
from firmware.node.update import Updater

BLOCK = 128
sys.path.append(rungs.__file__.rsplit("/", 1)[0])  # the ladder loads its rungs by that name alone


class Update:
    """Each boot reaches an application that is whole; what was confirmed stays in force, and nothing older is left of it."""

    BLOCKS = 44

    @staticmethod
    def provision(disk):
        write("/f/trust", TRUST)
        install("a", OLD)
        install("b", OLD)

    def __init__(self):
        self.kept = False

    def life(self, disk):
        ladder = self.boot(disk)
        if ladder.slot == "b":
            judge(disk, tree("/f/b") == dict(listed(NEW), manifest=NEW[0], signature=NEW[1]), "{}", sorted(tree("/f/b")))
            ladder.answered()
            disk.alive()
            self.kept = True
            judge(disk, (ladder.trial, ladder.floor) == (False, 2), "confirmed, and on trial: {}", ladder.trial)
            return
        judge(disk, not self.kept, "what was confirmed is not in force")
        to = Updater("/f/", ladder, KIND)
        to.begin(NAME)
        send(to, NEW, BLOCK)
        to.finish()
        disk.alive()
        self.life(disk)  # what follows is a boot

    def boot(self, disk):
        ladder = Ladder()
        ladder.root, ladder.feed, ladder.retain = "/f/", (lambda: None), (lambda note: None)
        rungs.start(ladder, 1, b"")
        for slot, other in ladder.slots():
            ladder.slot, ladder.other = slot, other
            there, parts = tree("/f/" + slot), OLD if slot == "a" else NEW
            if "modules" in there:
                whole = all(there.get(path) == data for path, data in listed(parts).items())
                judge(disk, whole, "slot {} is loaded, and not whole", slot)
                ladder.found(slot)
                return ladder
        disk.alive()
        raise Violation("no slot can be loaded")

"""Scenario of the power-cut runner (cut_runner.py): a release comes into the idle slot, block by block, and is staged."""

from cut_release import NAME, NEW, OLD, TRUST
from cut_runner import judge
from update_desk import KIND, Ladder, install, listed, send, tree, write

from firmware.node.update import Updater

BLOCK = 128


class Update:
    """The running slot stays as it is; the idle one has the release before, the new one whole, or none that can be loaded."""

    BLOCKS = 44

    @staticmethod
    def provision(disk):
        write("/f/trust", TRUST)
        install("a", OLD)
        install("b", OLD)

    def __init__(self):
        self.running = dict(listed(OLD), manifest=OLD[0], signature=OLD[1])
        self.new = dict(listed(NEW), manifest=NEW[0], signature=NEW[1])
        self.staged = False

    def life(self, disk):
        self.found(disk)
        ladder = Ladder()
        to = Updater("/f/", ladder, KIND)
        to.begin(NAME)
        send(to, NEW, BLOCK)
        to.finish()
        disk.alive()
        self.staged = True
        judge(disk, ladder.staged == ("b", 2), "staged {}", ladder.staged)
        self.found(disk)

    def found(self, disk):
        judge(disk, tree("/f/a") == self.running, "the running slot has changed")
        there = tree("/f/b")
        if "modules" in there:
            judge(disk, has(there, listed(OLD)) or has(there, listed(NEW)), "a slot of two releases: {}", sorted(there))
        if self.staged:
            judge(disk, there == self.new, "what was staged is not whole: {}", sorted(there))


def has(there, files):
    return all(there.get(path) == data for path, data in files.items())

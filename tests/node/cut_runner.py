"""The power-cut runner: what is done with a board's flash ends at every program, erase and sync. MicroPython only.

A scenario is a class with

    provision(disk)     static: the files that a board begins with, below /f; the power holds
    life(self, disk)    one boot: load what is on flash as the firmware does, judge it, and work until all is done

One object lives through one case: three boots whose power is cut, then one that is not. It knows what was acknowledged (a
call has returned and `disk.alive()` holds) and nothing else; with `judge` it says what must hold. A row in SCENARIOS, and
every run and bench has it.
"""

import desk  # noqa: F401, I001 - first: it brings virtual time

import gc
import json

from ramdisk import TEARS, PowerCut, RamDisk, mount

from firmware.wire.errors import DeviceError

# name -> (module, class); the bench shows them in this order
SCENARIOS = (
    ("counter, K = 16", "cut_state", "Counter16"),
    ("counter, K = 1", "cut_state", "Counter1"),
    ("settings changed on the board", "cut_state", "Settings"),
    ("flashing a new configuration", "cut_state", "Flashing"),
    ("making a key's counter", "cut_state", "Provisioning"),
    ("queue with alarms", "cut_state", "Backlog"),
    ("boot ladder, slots on trial", "cut_ladder", "Climb"),
    ("update and its trial", "cut_update", "Update"),
    ("whole node by cable", "cut_node", "Wired"),
    ("whole node by radio", "cut_node", "Radio"),
    ("whole node behind a power gate", "cut_sleep", "Gated"),
    ("whole node in deep sleep", "cut_sleep", "Deep"),
)


class Violation(Exception):  # noqa: N818 - what is looked for
    """What must hold after every cut does not."""


def judge(disk, holds, what, *values):
    """Violation(what.format(*values)) unless `holds`; nothing counts once the power has gone."""
    disk.alive()
    if not holds:
        raise Violation(what.format(*values))


class Cuts:
    """All cases of one scenario. `by`: {operation of the file system: cuts}; violations: [(operation, tear, what)]."""

    def __init__(self, kind):
        self.kind = kind
        self.disk = RamDisk(getattr(kind, "BLOCKS", 32))
        mount(self.disk, True)
        kind.provision(self.disk)
        self._image = bytes(self.disk.data)
        begun = self.disk.operations
        mount(self.disk)
        kind().life(self.disk)
        self.operations = self.disk.operations - begun  # of a boot without a cut
        self.cuts = 0
        self.by = {}
        self.violations = []

    def case(self, at, tear):
        """Cut the power at operation `at`, then in each of the next two boots at another one, then let the board work."""
        disk = self.disk
        disk.data[:] = self._image
        one = self.kind()
        for place in (at, (at * 7 + at // 3) % max(8, self.operations // 2), at * 5 % 11, None):
            disk.cut_after, disk.tear = place, tear
            try:
                mount(disk, watched=place is not None)
                one.life(disk)
                lost = disk.power is None
                if place is None and lost:
                    raise Violation("dead")
            except Violation as error:
                self.violations.append((at, tear, str(error)))
                return
            except (PowerCut, OSError, DeviceError) as error:
                lost = disk.power is None
                if not lost:
                    self.violations.append((at, tear, f"the board fails: {error!r}"))
                    return
            if lost:
                self.cuts += 1
                self.by[disk.cut_in] = self.by.get(disk.cut_in, 0) + 1
            elif place is not None:
                return  # it was done before

    def all(self, tears=4, first=0, step=1):
        """Every `step`-th operation from `first` on, with so many of the TEARS at each; fewer than all take turns."""
        for turn, at in enumerate(range(first, self.operations, step)):
            for i in range(tears):
                self.case(at, TEARS[(turn + i) % len(TEARS)])
                gc.collect()


def main(name, *share):
    """Run a scenario, a row's name or module.class, and print one line of JSON; share: as of Cuts.all."""
    rows = {row: (module, kind) for row, module, kind in SCENARIOS}
    module, kind = rows.get(name) or name.split(".")
    cuts = Cuts(getattr(__import__(module), kind))
    cuts.all(*share)
    said = {"operations": cuts.operations, "cuts": cuts.cuts, "by": cuts.by, "violations": cuts.violations}
    said["overwritten"] = cuts.disk.overwritten
    print(json.dumps(said))

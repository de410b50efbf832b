"""Scenarios of the power-cut runner (cut_runner.py): counter, settings, configuration, queue."""

import os

from cut_runner import judge
from desk import KID, SECRET, config, flash, json, put

from firmware.node import config as configuration
from firmware.node import settings
from firmware.node.queue import READING, SEALED
from firmware.node.restore import make_counter, make_queue
from firmware.wire.errors import DeviceError


class Counter16:
    """A counter that is seen on the air never comes again."""

    GATED = False
    USES = 600

    @staticmethod
    def provision(disk):
        flash(config())

    def __init__(self):
        self.used = 0

    def counter(self):
        return make_counter("/f/", config(power={"profile": "gated" if self.GATED else "always"}))

    def life(self, disk):
        counter = self.counter()
        for _ in range(self.USES):
            piv = counter.next()
            judge(disk, piv > self.used, "counter {} after {}", piv, self.used)
            judge(disk, piv <= self.used + 64, "counter {} after {}", piv, self.used)
            self.used = piv


class Counter1(Counter16):
    """The same for a board that is powered off between wakes."""

    GATED = True
    USES = 50


class Settings:
    """What a command changed is there, or what the one before it did; what was acknowledged is there."""

    ROUNDS = 20

    @staticmethod
    def provision(disk):
        flash(config())
        settings.save("/f/", {"report_s": 100, "done": [KID, 0, 0, False]})

    def __init__(self):
        self.number = 0
        self.under_way = 0

    def save(self, changed):
        settings.save("/f/", changed)

    def life(self, disk):
        self.found(disk)
        for _ in range(self.ROUNDS):
            n = self.under_way = self.number + 1
            # Effect and command are one record: neither is there without the other.
            self.save({"report_s": 100 + n, "done": [KID, n, 0, False], "settings": {"full_mm": n, "empty_mm": 2000}})
            disk.alive()
            self.number = n
            self.found(disk)

    def found(self, disk):
        changed, older = settings.load("/f/")
        judge(disk, not older, "settings damaged")
        done = changed.get("done") or [None, None]
        judge(disk, done[1] in (self.number, self.under_way), "settings {}, not {}", done[1], self.number)
        self.number = done[1]
        found = configuration.load("/f/")
        judge(disk, found["report_s"] == 100 + self.number, "interval {} of {}", found["report_s"], self.number)


class NoDog:
    @staticmethod
    def feed():
        pass


class Flashing:
    """`jourdain flash` with another configuration: the board has the old one or the new one, and is of one piece."""

    @staticmethod
    def provision(disk):
        flash(config(report_s=1000))

    def __init__(self):
        self.number = 0

    def life(self, disk):
        from cut_scripts import SWAP  # the tool's own
        from ladder import finish

        finish(NoDog, "/f/")
        self.found(disk, self.number, self.number + 1)
        for _ in range(4):
            text = json.dumps(config(report_s=1001 + self.number)).encode()
            for i in range(2):
                put(f"config-{i}.new", bytes((0, 0, 0, 1 + i)) + text)
            with open("/f/secret.json.new", "w") as file:
                json.dump({"kid": "0001", "secret": SECRET.hex(), "uid": "0a0b0c0d"}, file)
            exec(SWAP, {})
            disk.alive()
            self.found(disk, self.number + 1)

    def found(self, disk, *possible):
        said = []
        found = configuration.load("/f/", said.append)
        judge(disk, found["report_s"] - 1000 in possible, "configuration {}, not {}", found["report_s"], possible)
        judge(disk, not said, "a generation is damaged: {}", said)
        judge(disk, configuration.load_secret("/f/", found) == (KID, SECRET), "secret")
        self.number = found["report_s"] - 1000


class Provisioning:
    """The flash tool makes a counter: none, one or both slots are there, and what the board used is never used again."""

    @staticmethod
    def provision(disk):
        flash(config())
        for name in ("/f/state/counter-0001", "/f/counter-0001"):
            os.remove(name)
        os.rmdir("/f/state")

    def __init__(self):
        self.used = 0
        self.made = False

    def life(self, disk):
        from cut_scripts import MAKE

        for _ in range(2):
            try:
                piv = make_counter("/f/", config()).next()
                judge(disk, piv > self.used, "counter {} after {}", piv, self.used)
                self.used = piv
            except DeviceError as error:
                disk.alive()
                judge(disk, error.name == "state_lost" and not self.used and not self.made, error.name)
            exec(MAKE, {})
            disk.alive()
            self.made = True


class Backlog:
    """What was pushed is there in order, as reading or sealed; what was dropped is not; an alarm goes last."""

    DEPTH = 6

    @staticmethod
    def provision(disk):
        flash(config())
        make_queue("/f/state/queue").push(0, {3: 0})

    def __init__(self):
        self.number = 0
        self.there = [0]
        self.gone = set()
        self.unsure = set()  # what was under way when the power went

    def queue(self):
        return make_queue("/f/state/queue", depth=self.DEPTH)

    def life(self, disk):
        q = self.queue()
        found = [self.number_of(q, ident) for ident in list(q.ids)]
        found = [n for n in found if n is not None]
        sure = [n for n in self.there if n not in self.unsure]
        judge(disk, [n for n in found if n not in self.unsure] == sure, "{}, not {}", found, sure)
        judge(disk, not set(found) & self.gone, "it returns: {}", set(found) & self.gone)
        judge(disk, q.damaged <= 1, "{} entries damaged", q.damaged)
        self.there, self.unsure = found, set()
        for i in range(16):
            self.push(disk, q, i % 3 == 1)
            if i % 4 == 3:
                self.send(disk, q)

    def number_of(self, q, ident):
        entry = q.get(ident)
        if entry is None:
            return None
        return int(entry[2].split()[1]) if entry[0] == SEALED else entry[2][3]

    def push(self, disk, q, alarm):
        n = self.number = self.number + 1
        n = self.number = n + (n % 2 != alarm)  # odd: an alarm, as in the queue
        together = self.there + [n]  # noqa: RUF005 - MicroPython
        weakest = min([m for m in together if not m & 1] or together)
        full = len(self.there) >= self.DEPTH
        self.unsure.update((n, weakest) if full else (n,))
        try:
            q.push(0, {3: n, 19: 1} if alarm else {3: n})
        except DeviceError as error:
            disk.alive()
            judge(disk, error.name == "queue_full" and full, error.name)
        disk.alive()
        self.unsure.clear()
        self.there = together
        if full:
            self.there.remove(weakest)
            self.gone.add(weakest)

    def send(self, disk, q):
        ident = q.ids[0]
        n = self.number_of(q, ident)
        judge(disk, n == self.there[0], "{} is first, not {}", n, self.there[0])
        if q.get(ident)[0] == READING:
            q.seal(ident, b"sealed %d" % n)
            judge(disk, self.number_of(q, ident) == n, "sealed otherwise")
        self.unsure.add(n)
        q.drop(ident)
        disk.alive()
        self.unsure.clear()
        self.there.remove(n)
        self.gone.add(n)

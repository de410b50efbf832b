"""One gateway that lives through everything: what the bridge heard reaches an independent reader, once, true and in order.

A round feeds frames of several boards (alarms, batches, repeats, duplicates among them) while one fault of lifefaults.py happens,
mends what was broken, waits until everything is delivered, and lets the checker judge. By the thousand: tests/bench/lives.py.
"""

import collections
import mmap
import random
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import brokers
import gatedesk as desk
from lifebridge import Bridge
from lifecheck import Checker, Reader
from lifefaults import FAULTS, possible

from gateway import clock
from tools.twin.broker import Embedded, Proxy

BATCH, IN_FLIGHT = 5, 4
AGAIN = BATCH * IN_FLIGHT * 3  # readings that a cut may cause to come again; a frame holds up to three
UPSTREAM = f"batch_age_s = 0.05\nbatch_readings = {BATCH}\nin_flight = {IN_FLIGHT}\n"
SETTLE_S = 30.0
BOOKS_S = 30.0  # a mark that a full disk did not take is counted at the next fold, five seconds later
TMPFS_MB = 12


class Boards:
    """Some boards of a town: the next frame of one, with the names of the readings in it."""

    def __init__(self, checker):
        self.checker = checker
        self.heard = 0
        self._piv = dict.fromkeys(range(1, desk.NODES + 1), 0)
        self._again = []  # alarms are sent twice
        self._last = None

    def next(self, rng):
        """-> (frame, names)."""
        self.heard += 1
        dice = rng.random()
        if dice < 0.05 and self._last:
            return self._resent(self._last)
        if self._again and (dice < 0.1 or len(self._again) > 3):
            return self._resent(self._again.pop(0))
        n = rng.randint(1, desk.NODES)
        fill = rng.randrange(90)
        if dice < 0.2:
            self._last = self._frame(n, {3: [fill, 7], -8: 60, -9: 1}, (fill,), (fill + 7,))
        elif dice < 0.3:
            self._last = self._frame(n, {3: [fill, 3, 4], -8: 60}, (fill, fill + 3, fill + 7))
        elif dice < 0.37:
            self._last = self._frame(n, {3: fill, 19: 1}, (fill,))
            self._again.append(self._last)
        else:
            self._last = self._frame(n, {1: 3700, 3: fill}, (fill,))
        return self._last

    def _resent(self, sent):
        for name in sent[1]:
            self.checker.give(name, ())
        return sent

    def _frame(self, n, payload, *fills):
        """Of several readings the earlier ones were lost on the air: this frame repeats them."""
        names = []
        for taken in fills:
            self._piv[n] += 1
            names.append(desk.name(n, self._piv[n]))
            self.checker.give(names[-1], taken)
        return desk.frame(n, self._piv[n], payload), tuple(names)


class Time:
    """The gateway's clock in a file: `jump(s)` moves its date, never its monotonic seconds."""

    def __init__(self, path):
        self.path = path
        path.write_bytes(bytes(16))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 16)
        self._offset_s = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._tick()
        self._thread.start()

    def _tick(self):
        clock.write_pair(self._map, time.time() + self._offset_s, time.monotonic())

    def _run(self):
        while not self._stop.wait(0.005):
            self._tick()

    def jump(self, offset_s):
        """So far from the truth; 0: right."""
        self._offset_s = offset_s
        self._tick()

    def close(self):
        self._stop.set()
        self._thread.join()


class Line(Proxy):
    """A way to the broker that can also go dead: what is on it then arrives nowhere."""

    dead = False

    def _forward(self, sock):
        if not self.dead or not sock.recv(65_536):
            super()._forward(sock)

    def mend(self):
        self.dead = False
        super().mend()


class Life:
    """A gateway, its broker and its reader. `round(kind)` is one round; `violations` and `story` say what happened.

    kinds: names of FAULTS to choose from. sabotage: a module that breaks the daemon on purpose, to prove the checker.
    """

    def __init__(self, folder, seed, *, kinds=None, sabotage=None, mosquitto=None):
        self.folder, self.seed = folder, seed
        self.rng = random.Random(seed)
        self.story = []
        self.checker = Checker()
        self.boards = Boards(self.checker)
        self.gate = folder / "gate"  # what a copy takes
        self.gate.mkdir()
        self.small = self._small_disk()
        self._own = mosquitto is None
        self.broker = mosquitto or _broker(folder)
        self.real = hasattr(self.broker, "plain_port")
        self.proxy = Line(f"mqtt://127.0.0.1:{self.broker.port}")
        self.reader = Reader(self.broker.plain_port if self.real else self.broker.port)
        self.reader_back()
        self.bridge = Bridge(folder, random.Random(seed + 1))
        self.time = Time(folder / "clock")
        url = f"mqtts://localhost:{self.proxy.port}" if self.real else self.proxy.url
        upstream = UPSTREAM + (self.broker.settings if self.real else "")

        self.files = desk.Files(self.gate, {"bridge": self.bridge.path}, url, upstream).write()
        self.sabotage = sabotage
        self.daemon = None
        self.kinds = [kind for kind in kinds or FAULTS if kind in possible(self)]
        self.counts = collections.Counter()
        self.before = self.cuts = 0
        self.start()

    def _small_disk(self):
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={TMPFS_MB}m", "lives", str(self.gate)], capture_output=True, check=False
        )
        return done.returncode == 0

    def tell(self, text):
        self.story.append(f"{time.monotonic():.3f} {text}")

    def start(self, *, die_at=None, prefix=()):
        """A new life of the daemon."""
        self._hellos = self.bridge.hellos
        how = {"die_at": die_at, "prefix": prefix, "script": self.sabotage, "stdout": subprocess.DEVNULL}
        self.daemon = desk.Daemon(self.files, "--clock", str(self.time.path), **how)

    def ready(self):
        """Wait until the daemon works."""
        desk.until(lambda: self.bridge.hellos > self._hellos or not self.daemon.alive, 10)

    def end(self):
        """SIGKILL."""
        self.cuts += 1
        self.daemon.kill()
        self.daemon.close()

    def feed(self, rng, n, span_s):
        """n frames over about span_s seconds."""
        for _ in range(n):
            self.bridge.hears(*self.boards.next(rng))
            time.sleep(rng.expovariate(n / span_s))

    def round(self, kind=None):
        """One round; True when nothing was violated in it."""
        rng, before = self.rng, len(self.checker.violations)
        kind = kind or rng.choice(self.kinds)
        self.counts[kind] += 1
        self.before, self.cuts = self.cuts, 0  # what a cut allows to come again may come when its round is over
        n = rng.choice((10, 30, 40, 60, 90))
        self.tell(f"round {sum(self.counts.values())}: {kind}, {n} frames, seed {self.seed}")
        feeder = threading.Thread(target=self.feed, args=(random.Random(rng.random()), n, rng.uniform(0.1, 0.4)))
        cut = kind != "cut" and rng.random() < 0.2
        if cut:
            self.tell("and the broker cut off meanwhile")
            self.proxy.cut()
            self.cuts += 1
        feeder.start()
        FAULTS[kind](self, rng)
        feeder.join()
        if cut:
            self.proxy.mend()
        self.settle(kind)
        return len(self.checker.violations) == before

    def reader_back(self):
        """The reader is connected to the new life of its broker."""
        desk.until(self.reader.connect().__len__, 10)

    @property
    def lost(self):
        """Names that the bridge itself lost: its overflow, its reboots."""
        handled = {name for names in self.bridge.handled for name in names}
        return {name for names in self.bridge.lost for name in names} - handled

    def settle(self, kind):
        """Wait until everything that was heard is delivered, then judge."""
        end_s, nudge_s = time.monotonic() + SETTLE_S, time.monotonic() + 1
        while self.bridge.waiting or self.checker.missing(self.lost, self.reader.got):
            if not self.daemon.alive and kind == "full" and "disk_" in self.daemon.stderr:
                self.tell("it did not start on the full disk")
                self.end()
                self.start()
            if not self.daemon.alive:
                self.checker.violations.append(f"the daemon ended by itself: {self.daemon.stderr[-2000:]}")
                return
            if time.monotonic() > nudge_s:
                # What was lost at the end of a damaged line is missed when the next frame comes.
                nudge_s += 1
                self.counts["nudges"] += 1
                self.bridge.hears(*self.boards.next(self.rng))
                if "port_busy" in self.daemon.stderr[-500:]:  # somebody else on this machine came upon our terminal's number
                    self.bridge.unplug()
                    self.bridge.plug()
            if time.monotonic() > end_s:
                self._not_delivered()
                return
            time.sleep(0.005)
        self.judge()

    def _not_delivered(self):
        missing = self.checker.missing(self.lost, self.reader.got)
        handled = {name for names in self.bridge.handled for name in names}
        for name in sorted(missing):
            how = "ACKNOWLEDGED AND LOST" if name in handled else "not delivered"
            self.checker.violations.append(f"{how}: {name.hex()}")
        if self.bridge.waiting:
            self.checker.violations.append(f"{len(self.bridge.waiting)} frames are not handled")

    def judge(self):
        """Twice only what a cut allows; the books say what the reader saw."""
        try:
            desk.until(lambda: self.balance() is None, BOOKS_S)
        except AssertionError:
            self.checker.violations.append(self.balance())

    def balance(self):
        """None, or how the books differ from what was seen so far."""
        self.checker.judge(self.reader.got, (self.before + self.cuts) * AGAIN)
        seen = len(self.checker.seen)
        try:
            kids, _ = desk.counts(self.files)
        except sqlite3.Error as error:  # no reader may come before the daemon, which has to repair the log first
            return f"books: {error}"
        stored = sum(k.direct + k.recovered for k in kids.values())
        sent = sum(k.readings_published for k in kids.values())
        return None if stored == sent == seen else f"books: {stored} readings stored, {sent} published, {seen} seen by the reader"

    def close(self):
        for part in (self.daemon, self.bridge, self.time, self.reader, self.proxy):
            if part is not None:
                part.close()
        if self._own:
            self.broker.close()
        if self.small:
            subprocess.run(["umount", "-l", str(self.gate)], check=False)


def _broker(folder):
    """A real Mosquitto where there is one, else the embedded broker."""
    place = folder / "broker"
    place.mkdir()
    return brokers.Mosquitto(place) if brokers.binary() else Embedded(place)

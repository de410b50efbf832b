"""The controller under `kill -9`: is any (kid, PIV) ever sealed twice with different bytes?

A real daemon answers four boards through one bridge. Each life ends by SIGKILL, at a moment of the store or of the controller or
at a random instant; in between frames come again, old frames are played back, commands are queued and cancelled. At last the
store is put back from a backup, old frames are played again, and the keys are changed. Collected: every answer that the bridge
was ever given, and the log of every store at the end of each life.
"""

import contextlib
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "gateway"))
import gatedesk as desk

from firmware.wire import cbor
from firmware.wire.frame import parse
from firmware.wire.seal import unseal
from gateway.commands import Queue
from tools.twin.killer import ANSWERS

MOMENTS = ("heard", "heard-done", *ANSWERS, "")  # "": at any instant


class Checker:
    """(kid, PIV) -> the bytes that were sealed for it. `violations` says what differs."""

    def __init__(self):
        self.sealed = {}
        self.given = set()
        self.violations = []

    def see(self, kid, piv, frame, where):
        known = self.sealed.setdefault((kid, piv), frame)
        if known != frame:
            self.violations.append(f"{where}: key id {kid.hex()}, PIV {piv}: {known.hex()} and {frame.hex()}")

    def bridge(self, sends):
        """What a bridge was given."""
        for _, frame, *_ in sends:
            head = parse(frame)
            self.see(head.kid, head.piv, frame, "bridge")
            self.given.add((head.kid, head.piv))

    def log(self, path):
        """What a store says it sealed. Every answer that left must be in there."""
        with contextlib.closing(sqlite3.connect(path)) as db:
            rows = db.execute("SELECT kid, piv, frame FROM downlink").fetchall()
        for kid, piv, frame in rows:
            self.see(kid, piv, frame, "log")
        return {(kid, piv) for kid, piv, _ in rows}


class Lives:
    """One gateway over many lives of its daemon."""

    def __init__(self, folder, seed=1):
        self.rng = random.Random(seed)
        self.bridge = desk.Board(folder)
        self.files = desk.Files(folder, {"bridge": self.bridge.path}).controller().write()
        self.checker = Checker()
        self.pivs = dict.fromkeys(self.files.nodes, 0)
        self.base = 0  # added to a board's number: its kid
        self.old = []  # frames that were sent
        self.ends = []
        self._seen = 0

    def close(self):
        self.bridge.close()

    def uplink(self):
        """The next frame of some board, asking; sometimes one that was heard before."""
        rng = self.rng
        if self.old and rng.random() < 0.2:
            return rng.choice(self.old)
        n = rng.choice(list(self.pivs))
        self.pivs[n] += 1
        payload = {3: rng.randrange(100), -5: True}
        if rng.random() < 0.3:
            payload |= {-12: rng.randrange(1, 30), -13: rng.choice((0, 61))}
        frame = desk.frame(n + self.base, self.pivs[n], payload)
        self.old.append(frame)
        return frame

    def life(self, where, frames=12):
        """One life that ends by SIGKILL at `where` (the n-th moment of a kind, "" for anywhere)."""
        daemon = desk.Daemon(self.files, die_at=f"{where}:{self.rng.randint(1, 4)}" if where else None)
        hellos = self.bridge.hellos
        begun = time.monotonic()
        try:
            desk.until(lambda: self.bridge.hellos > hellos or not daemon.alive, 20)
            die_s = self.rng.uniform(0.0, 0.15) if not where else 1e9
            for _ in range(frames):
                if not daemon.alive or time.monotonic() - begun > 20 + die_s:
                    break
                if self.rng.random() < 0.2:
                    self.command()
                self.bridge.hears(self.uplink())
                time.sleep(self.rng.uniform(0, 0.02))
            if where:
                end = time.monotonic() + 0.3
                while daemon.alive and time.monotonic() < end:
                    time.sleep(0.01)
            self.ends.append(where if not daemon.alive else "outside")
            daemon.kill()
        finally:
            daemon.close()
        self.collect()
        return daemon

    def command(self):
        with contextlib.closing(Queue(self.files.store)) as queue:
            asked = queue.add(f"bin-{self.rng.choice(list(self.pivs))}", "interval 600", cbor.dumps({-2: 600}), 3600)
            if self.rng.random() < 0.2:
                queue.cancel(asked.id)

    def collect(self):
        """Compare what the bridge got with what the store knows."""
        time.sleep(0.05)
        sends = self.bridge.sends[self._seen :]
        self._seen = len(self.bridge.sends)
        self.checker.bridge(sends)
        logged = self.checker.log(self.files.store)
        for _, frame, *_ in sends:
            head = parse(frame)
            if (head.kid, head.piv) not in logged:
                self.checker.violations.append(f"given and not in the log: {frame.hex()}")
            unseal(desk.keys(int.from_bytes(head.kid, "big")), head)  # and a board could open it

    def backup(self):
        """A copy of the store as it is now."""
        path = self.files.store.with_suffix(".backup")
        path.unlink(missing_ok=True)
        with contextlib.closing(sqlite3.connect(self.files.store)) as db, contextlib.closing(sqlite3.connect(path)) as copy:
            db.backup(copy)
        return path

    def restore(self, path):
        """Put the store back."""
        for end in ("", "-wal", "-shm"):
            Path(f"{self.files.store}{end}").unlink(missing_ok=True)
        shutil.copy(path, self.files.store)

    def rotate(self):
        """New keys for all boards."""
        self.base = 16
        self.pivs = dict.fromkeys(self.pivs, 0)
        self.files.rotate().write()


def run(folder, kills=20, seed=1):
    """The whole story; returns a document with `violations`."""
    lives = Lives(folder, seed)
    try:
        begun = time.monotonic()
        backup_at, restore_at = kills // 3, 2 * kills // 3
        backup = None
        for i in range(kills):
            if i == backup_at:
                backup = lives.backup()
            if i == restore_at:
                before = len(lives.checker.given)
                lives.restore(backup)
                daemon = lives.life("", 30)  # old frames among them, under the old keys
                withheld = len(lives.checker.given) - before
                if withheld:
                    lives.checker.violations.append(f"{withheld} answers after a restore under keys that were not changed")
                named = bool(daemon.said("error", name="restored"))
                lives.rotate()
            lives.life(MOMENTS[i % len(MOMENTS)])
        rotated = {kid for kid, _ in lives.checker.given if kid[-1] > 16}
        return {
            "kills": len(lives.ends), "moments": sorted({end for end in lives.ends if end not in ("", "outside")}),
            "sealed": len(lives.checker.sealed), "given": len(lives.checker.given), "restored_named": named,
            "answered_after_rotation": len(rotated), "seconds": time.monotonic() - begun,
            "violations": lives.checker.violations,
        }  # fmt: skip
    finally:
        lives.close()


def main(kills=200):
    """Print a table; exit status 1 when a nonce was used twice."""
    bad = 0
    print("| seed | kills | sealed | given to the bridge | after rotation | restore named | seconds | violations |")
    print("|---|---|---|---|---|---|---|---|")
    for seed in range(1, 1 + max(1, kills // 40)):
        with tempfile.TemporaryDirectory(prefix="jourdain-nonce-") as folder:
            found = run(Path(folder), min(kills, 40), seed)
        bad += bool(found["violations"])
        print(
            f"| {seed} | {found['kills']} | {found['sealed']} | {found['given']} | {found['answered_after_rotation']} |"
            f" {'yes' if found['restored_named'] else 'no'} | {found['seconds']:.0f} | {len(found['violations'])} |",
            flush=True,
        )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))

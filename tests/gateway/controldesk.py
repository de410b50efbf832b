"""A controller without a process, for its tests."""

import sqlite3
from pathlib import Path

import gatedesk as desk
from test_receive import MONO_S, UNIX_S, Bench

from firmware.wire import cbor, link
from firmware.wire.downlink import accept_downlink
from gateway.commands import Queue
from gateway.downlink import Controller
from gateway.fold import Kid
from gateway.ingress.source import Source
from gateway.receive import Receiver
from gateway.releases import Releases
from gateway.store import Store


class Desk(Bench):
    """Two boards behind a bridge and one on a cable, and a controller; `given`: (number, frame, at_ms) handed over."""

    KIDS = (1, 2, 3)

    def __init__(self, folder, kids=KIDS, **options):
        self.kids = kids
        self.folder = folder
        self.given = []
        self.events_said = []
        self.wire_seq = 0
        super().__init__(folder, events=True, **options)
        self.hello()

    def hello(self, heard=0, **more):
        """The bridge begins anew, and so do its numbers."""
        self.seq = heard
        return super().hello(heard, **more)

    def open(self):
        if self.store:
            self.store.close()
        self.store = Store(self.path)
        self.source = Source("bridge")
        self.cable = Source("bin-3")
        self.cable.wired = True
        kids = [Kid(desk.keys(n), f"bin-{n % 16}") for n in self.kids]
        releases = Releases(self.folder / "releases")
        self.controller = Controller(self.store, self.folder / "store.db.answers", kids, releases)
        sources = [self.source, self.cable]
        self.receiver = Receiver(self.store, kids, sources, "boot-1", True, controller=self.controller)
        return self

    def queue(self, unix_s=UNIX_S):
        return Queue(self.path, lambda: unix_s)

    def add(self, n, payload, what="", expires_s=1000, unix_s=UNIX_S):
        queue = self.queue(unix_s)
        try:
            return queue.add(f"bin-{n}", what or str(payload), cbor.dumps(payload), expires_s).id
        finally:
            queue.close()

    def state(self, ident):
        queue = self.queue()
        try:
            found = queue.get(ident)
            return found.state, found.note
        finally:
            queue.close()

    def up(self, n, piv, payload=None, *, late_s=0.0, unix_s=UNIX_S):
        """One uplink of board n; returns what was handed over for it."""
        frame = desk.frame(n, piv, {3: 5} | ({-5: True} if payload is None else payload))
        if n == 3:
            self.wire_seq += 1
            data = link.heard(self.wire_seq, frame, None, None, int(MONO_S * 1000))
            items = [(self.cable, MONO_S, proto, body) for proto, body in self.cable.feed(data)]
            taken = self.group(items, unix_s)
        else:
            self.seq += 1
            data = link.heard(self.seq, frame, -101, 22, int((MONO_S - late_s) * 1000))
            items = [(self.source, MONO_S, proto, body) for proto, body in self.source.feed(data)]
            taken = self.group(items, unix_s)
        return self.took(taken)

    def took(self, taken):
        self.events_said += taken.events
        new = [(answer.number, answer.frame, answer.at_ms) for answer in taken.answers]
        self.given += new
        return new

    def says(self, number, status):
        """The bridge's word on an answer."""
        return self.line(link.sent(number, status, 185_000))

    def opened(self, n, piv, frame):
        """What the board reads of it."""
        return accept_downlink(desk.keys(n), frame, piv)


def back_up(desk_, name):
    """A backup of the store."""
    path = desk_.folder / name
    with sqlite3.connect(path) as copy:
        desk_.store._db.backup(copy)
    copy.close()
    return path


def restore(desk_, path):
    desk_.store.close()
    desk_.store = None
    for end in ("", "-wal", "-shm"):
        Path(f"{desk_.path}{end}").unlink(missing_ok=True)
    desk_.path.write_bytes(path.read_bytes())

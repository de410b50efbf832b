"""A hostile serial line: any bytes, any message under a right checksum, any frame in it, any payload under a right key."""

import random
import shutil
import tempfile
from pathlib import Path

import door
import gatedesk as desk
import pytest

from firmware.wire import cbor, hdlc, link, seal
from firmware.wire.host.errors import DEVICE_ERRORS, FRAME_ERRORS
from gateway.fold import Kid
from gateway.ingress.source import Source
from gateway.receive import OPENED, Receiver
from gateway.store import Store

UNIX_S, MONO_S = 1_800_000_000.0, 5000.0
LINE = {"line_crc", "line_overlong", "line_aborted", "line_message", "line_unknown", "line_resent", "line_lost"}
NAMES = LINE | set(FRAME_ERRORS) | set(DEVICE_ERRORS.values())
RAW, BODY, FRAME, PAYLOAD = (bytes((n,)) for n in range(4))  # what the rest of an input is
GOOD = {1: 3712, 2: 214, 3: 73, 4: 412}
SEEDS = [
    RAW + link.heard(1, desk.frame(1, 1, GOOD), -101, 22, 5000) + link.hello("1.0", "e66", ["bridge"], 5000, 9, 0),
    RAW + hdlc.encode(hdlc.PROTO_FRAME, desk.frame(2, 1, GOOD)) + hdlc.encode(hdlc.PROTO_LOG, b"boot 3") + b"\x04>>> ",
    BODY + cbor.dumps_link([1, 2, desk.frame(1, 2, GOOD), None, None, 6000]),
    BODY + cbor.dumps_link([6, "1.0", "e66", ["bridge"], 7000, 3, 0]),
    BODY + cbor.dumps_link([3, 1, "ok", 185_000]),
    FRAME + desk.frame(1, 3, GOOD),
    FRAME + seal.seal(desk.keys(2), 3, b"\xa0", hop=True),
    FRAME + bytes.fromhex("4001020304000100") + bytes(12),
    PAYLOAD + cbor.dumps(GOOD),
    PAYLOAD + cbor.dumps({3: [50, 1, -2], -8: 900, -9: 1}),
    PAYLOAD + cbor.dumps({3: 5, 14: 60, 19: 3, -7: 40, -4: 1, -5: True, 12: 4_860_000, 13: -280_000, 21: b"token"}),
]
WORDS = [b"\x7e", b"\x7d", b"\x7d\x7e", b"\x3b\xff\xff\xff\xff\xff\xff\xff\xff", b"\xf9\x7e\x00", b"\xa1\x03\x18\x64"]


class Line:
    """A receiver over a store in memory, with two boards on one line."""

    def __init__(self, folder):
        self.path = folder / "store.db"
        self.rng = random.Random(3)
        self.seq = self.piv = 0
        self.open()

    def open(self):
        self.store = Store(self.path)
        self.source = Source("bridge", lambda n: n)
        self.receiver = Receiver(self.store, [Kid(desk.keys(n), f"bin-{n}") for n in (1, 2)], [self.source], "boot")
        self.group([(self.source, MONO_S, OPENED, b"")])

    def serial(self, data):
        """One input -> how it went, by the names that were counted."""
        kind, rest = data[:1], data[1:]
        if kind == BODY:
            rest = hdlc.encode(hdlc.PROTO_MESSAGE, rest)
        elif kind == PAYLOAD:
            self.piv += 1
            rest = seal.seal(desk.keys(1 + self.piv % 2), self.piv, rest[:200])
        if kind in (FRAME, PAYLOAD):
            self.seq = (self.source.numbering.handled or 0) + 1
            rest = link.heard(self.seq, rest, -101, 22, 5000)
        if not self.source.numbering.synced:
            rest = link.hello("1.0", "e66", [], 5000, 2**31, 0) + b"\x7e" + rest
        items = [(self.source, MONO_S, proto, body) for proto, body in self.source.feed(rest + b"\x7e")]
        return self.group(items)

    def group(self, items):
        duplicates = self.duplicates
        self.receiver.judge(items, UNIX_S, MONO_S)
        gathered = self.receiver.seal(dirt=True)
        taken = self.receiver.commit(gathered, UNIX_S, MONO_S)
        names = set(gathered.group.counts)
        assert {name for name in names if not name.startswith("device_")} <= NAMES
        if self.duplicates > duplicates:
            names.add("duplicate")
        return min(names - {"line_resent"}, default="stored" if taken.stored else "nothing")

    @property
    def duplicates(self):
        return sum(kid.duplicates for kid in self.receiver.kids.values())


@pytest.fixture
def line():
    folder = Path(tempfile.mkdtemp(prefix="jourdain-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    yield Line(folder)
    shutil.rmtree(folder)


def test_a_hostile_line(line):
    outcomes = door.run(line.serial, SEEDS, door.COUNT, random.Random(5), tokens=WORDS)
    print(dict(outcomes.most_common()))
    assert outcomes.total() == door.COUNT + len(SEEDS)
    kinds = {"stored", "line_crc", "line_message", "line_unknown", "auth", "kid", "format", "short", "cbor", "value"}
    assert outcomes.keys() >= kinds
    # What is on disk is what was in memory, and the next good frame is taken.
    before = {kid: k.row for kid, k in line.receiver.kids.items()}
    line.store.close()
    line.open()
    assert {kid: k.row for kid, k in line.receiver.kids.items()} == before
    line.piv = max(k.window.highest for k in line.receiver.kids.values())
    assert line.serial(PAYLOAD + cbor.dumps(GOOD)) == "stored"
    line.store.close()

"""Hostile messages of other gateways: any bytes for a message, any frame in one, any date beside it."""

import random
import shutil
import tempfile
from pathlib import Path

import cbor2
import door
import gatedesk as desk
import pytest

from firmware.wire.host.errors import FRAME_ERRORS
from gateway.config import Frames
from gateway.fold import Kid
from gateway.ingress.frames import Door
from gateway.receive import Receiver
from gateway.store import Store
from gateway.upstream.connection import Message

UNIX_S, MONO_S = 1_800_000_000.0, 5000.0
TOPIC = "jourdain/plage/digue/frames"
MESSAGE, FRAME, TOPICS = (bytes((n,)) for n in range(3))  # what the rest of an input is
THEN_MS = 1_750_000_000_000
GOOD = [[THEN_MS, desk.frame(1, 1, {3: 5}), -101, 22, "mast"], [THEN_MS + 500, desk.frame(2, 9, {3: 6}), None, None, ""]]
SEEDS = [
    MESSAGE + cbor2.dumps([1, "digue", 7, GOOD]),
    MESSAGE + cbor2.dumps([1, "digue", 8, []]),
    MESSAGE + cbor2.dumps([2, "digue", 8, GOOD]),
    FRAME + desk.frame(1, 3, {3: 7}),
    FRAME + desk.frame(2, 70, {3: [1, 1], -8: 60, -9: 1}),
    TOPICS + TOPIC.encode(),
]
WORDS = [b"\x84\x01", b"\x1b\x00\x00\x01\x97\x74\x20\xdc\x00", b"\x3b\xff\xff\xff\xff\xff\xff\xff\xff", b"\xf9\x7c\x00", b"/+/#"]
NAMES = {"frames_malformed", "frames_version", "frames_stranger", "frames_qos"} | set(FRAME_ERRORS)


class Town:
    """A door for one other gateway, and what becomes of what it puts."""

    def __init__(self, folder):
        self.store = Store(folder / "store.db")
        self.receiver = Receiver(self.store, [Kid(desk.keys(n), f"bin-{n}", 1024) for n in (1, 2)], [], "boot")
        self.batches, self.counted, self.acked = [], set(), []
        how = {"put": self.batches.append, "count": lambda name, _: self.counted.add(name), "on_state": lambda *_: None}
        self.door = Door(Frames(url="mqtt://127.0.0.1:1"), "plage", "poste", {"digue": {"mast": lambda n: n}}, **how)

    def frames(self, data):
        """One input -> how it went; acknowledged once, and only behind the disk."""
        kind, rest = data[:1], data[1:]
        topic = TOPIC
        if kind == FRAME:
            rest = cbor2.dumps([1, "digue", 7, [[THEN_MS, rest, -101, 22, "mast"]]])
        elif kind == TOPICS:
            topic, rest = rest.decode("utf-8", "replace"), cbor2.dumps([1, "digue", 7, []])
        self.batches.clear()
        self.counted.clear()
        self.acked.clear()
        self.door.take(Message(topic, rest, "application/cbor", 1, lambda: self.acked.append(1)))
        assert len(self.acked) + len(self.batches) == 1
        for batch in self.batches:
            self.receiver.judge_elsewhere(batch, UNIX_S, MONO_S)
            gathered = self.receiver.seal(dirt=True)
            assert not self.acked
            taken = self.receiver.commit(gathered, UNIX_S, MONO_S)
            for done in taken.done:
                done()
            self.counted |= set(gathered.group.counts) | ({"stored"} if taken.stored else set())
        assert len(self.acked) == 1
        assert {name for name in self.counted if not name.startswith("device_")} <= NAMES | {"stored", "exception"}
        return min(self.counted, default="nothing")


@pytest.fixture
def town():
    folder = Path(tempfile.mkdtemp(prefix="jourdain-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    found = Town(folder)
    yield found
    found.store.close()
    shutil.rmtree(folder)


def test_messages_of_a_hostile_gateway(town):
    outcomes = door.run(town.frames, SEEDS, door.COUNT, random.Random(6), tokens=WORDS)
    print(dict(outcomes.most_common()))
    assert outcomes.total() == door.COUNT + len(SEEDS)
    assert outcomes.keys() >= {"stored", "nothing", "frames_malformed", "frames_version", "frames_stranger", "auth", "kid"}

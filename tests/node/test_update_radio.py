"""A release by radio: a block with each answer, whatever is lost on the way, and how many uplinks that takes."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import releases
from releases import NEW, OLD, manifest, put

from gateway import bundle
from tools.release import make

KIND = "pico node desk radio desk -"
SERVE = """
import sys
import desk
import ramdisk
desk.RamDisk = lambda blocks=24: ramdisk.RamDisk(80)
from orders_desk import *
from update_desk import install, listed, name_of, parts_of, read, tree, write
old, new = parts_of(sys.argv[1]), parts_of(sys.argv[2])
NAME = name_of(new)
ORDER = {-12: 5, -14: [5, NAME]}

class Serving(Town):
    "Answers each question with the block that it asks for; `lost(n)`: the n-th block does not arrive."

    block = 64
    more = False
    lost = None
    blocks = 0

    def __init__(self, **changes):
        super().__init__(**changes)
        write("/f/trust", read(sys.argv[1] + "/trust"))
        install("a", old)

    def _begin(self):
        super()._begin()
        self.ladder.staged = None
        self.ladder.stage = self.stage

    def stage(self, slot, release):
        self.ladder.staged = slot, release

    def _answer(self, frame):
        payload, piv = opened(frame)
        if not self.answers and -11 in payload and payload.get(-5):
            part, offset = payload[-11]
            self.blocks += 1
            answer = {-11: [part, offset, new[part][offset : offset + self.block]]}
            if self.more:
                answer[-3] = True
            self.answers.append(None if self.lost and self.lost(self.blocks) else answer)
        return super()._answer(frame)

    def until_staged(self, hours):
        for _ in range(hours):
            self.run(3600)
            if self.ladder.staged:
                return True
        return False

def whole():
    return tree("/f/b") == dict(listed(new), manifest=new[0], signature=new[1])
"""


@pytest.fixture(scope="module")
def signer():
    return releases.Signer()


@pytest.fixture
def serve(desk, tmp_path, signer):
    def run(code, signature=None, **says):
        text = manifest(kind=KIND, **says)
        before = manifest(OLD, release=1, kind=KIND)
        folders = [
            put(tmp_path / "old", before, signer.sign(before), OLD, signer.modulus),
            put(tmp_path / "new", text, signature or signer.sign(text)),
        ]
        return desk(SERVE + code, args=folders)

    return run


def test_a_block_with_each_report(serve):
    out = serve("""
t = Serving(report_s=900)
t.answers = [ORDER]
t.run(1000)
assert t.ladder.reboots == 1 and not any(-11 in p for p in t.got)
t.restart()
assert t.app.uplink.block == [0, 0]
assert t.until_staged(40)
assert t.ladder.staged == ("b", 2) and t.ladder.reboots == 1 and whole()
assert t.results[-1] == (5, 0)
from firmware.node import settings
assert "update" not in settings.load("/f/")[0]
assert not [m for m in sys.modules if m.startswith("firmware.node.update") or m == "firmware.node.manifest"]
seen = [tuple(p[-11]) for p in t.got if -11 in p]
assert len(set(seen)) == len(seen)
t.restart()
t.run(3600)
assert t.app.uplink.block is None and -11 not in t.got[-1]
print(len(seen))
""")
    text = manifest(kind=KIND)
    found = bundle.Bundle(bundle.parse(text), (text, bytes(384), *(data for _, data in sorted(NEW.items()))))
    unchanged = [entry.digest for entry in bundle.parse(manifest(OLD, kind=KIND)).entries]
    assert int(out) == make.uplinks(found, 64, unchanged)


def test_lost_answers_and_restarts_cost_time_alone(serve):
    out = serve("""
t = Serving(report_s=900)
t.lost = lambda n: n % 3 == 1
t.answers = [ORDER]
t.run(1000)
for restarts in range(60):
    t.restart()                       # the power goes
    if t.until_staged(1 + restarts % 3):
        break
assert whole() and t.ladder.staged == ("b", 2)
print(restarts, t.blocks)
""")
    restarts, blocks = map(int, out.split())
    assert restarts >= 4
    assert blocks > 40


def test_more_follows_at_once_where_the_law_lets_it(serve):
    out = serve("""
t = Serving(report_s=900)
t.more = True
t.answers = [ORDER]
t.run(1000)
t.restart()
assert t.until_staged(8)
assert whole()
print(t.blocks, now_ms() // 60000)
""")
    blocks, minutes = map(int, out.split())
    assert minutes < blocks * 15 / 2


def test_the_low_rate_profile(serve):
    out = serve("""
t = Serving(report_s=900, sf=10)
t.block = 26                           # what fits into 50 bytes with the rest of an answer
t.answers = [ORDER]
t.run(1000)
t.restart()
assert t.until_staged(60)
assert whole() and all(len(frame) <= 50 for _, frame, _ in t.radio.sent)
print(t.blocks)
""")
    assert int(out) > 60


@pytest.mark.produces("update_signature")
def test_a_refused_release_is_told_and_forgotten(serve):
    out = serve(
        """
t = Serving(report_s=900)
install("b", old)
t.answers = [ORDER]
t.run(1000)
t.restart()
t.run(3600 * 8)
asked = [p for p in t.got if -11 in p]
codes = [p[-7] for p in t.got if p.get(-7) in range(50, 60)]
assert codes == [50] and -11 not in t.got[-1], codes
assert t.ladder.staged is None and t.ladder.reboots == 0
assert tree("/f/b") == dict(listed(old), manifest=old[0], signature=old[1])
print(len(asked))
""",
        signature=bytes(384),
    )
    assert int(out) > 10


def test_what_no_update_is(serve):
    out = serve("""
t = Serving(report_s=900)
for rest in ([], [NAME, 1], ["text"], [b"short"], [5]):
    t.answers = [{-12: 5 + len(t.got), -14: [5] + rest}]
    t.run(1000)
    assert t.app.uplink.result[1] == 61, rest
    t.restart()
    t.run(1000)
t.answers = [ORDER]
t.run(90000)
t.restart()
for wrong in (5, [], [0, 0], [0, 0, "text"], [0, 7, b"x"], [1, 0, b"x"], [{}, 0, b"x"]):
    t.answers = [{-11: wrong}]
    t.run(900)
    assert t.app.uplink.block[1] % 64 == 0 and not t.ladder.staged
t.answers = [{-12: 99, -14: [5, b""]}]
t.run(2000)
t.restart()
t.run(2000)
assert t.app.uplink.block is None and -11 not in t.got[-1]
print("ok")
""")
    assert out == "ok\n"

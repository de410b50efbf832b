"""Updates on boards with the real ladder, one MicroPython process a boot, from main.py on: tried, kept, taken back."""

import hashlib
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
import releases
from rung_board import RungBoard

from firmware import rungs
from tools.flash.build import _compile, bytecode

CARRIED = ("__init__", "wire/__init__", "wire/errors", "node/__init__", "node/files", "node/manifest", "node/update")
ORDER = b"firmware.wire.errors\nfirmware.node.update\n>firmware.node.app\n"
# Release 1 brings release 2, a block a second, out of the folder /parts; after a trial that failed it rests.
FIRST = """
import os, time
def run(root, ladder):
    codes = [code for code, _ in ladder.crashes()]
    print("slot 1", ladder.slot, ladder.trial, codes)
    if ladder.open:
        ladder.sent()
    if 56 not in codes:
        from firmware.node.update import Updater
        to = Updater(root, ladder, %r)
        to.begin(%r)
        while True:
            ladder.feed()
            want = to.wanted()
            if want is None:
                break
            if want:
                part, offset = want
                with open("/parts/%%d" %% part, "rb") as file:
                    file.seek(offset)
                    data = file.read(256)
                to.take(part, offset, data)
                time.sleep(1)
                print("block", part, offset)
        to.finish()
        print("staged")
        ladder.reboot()
    while True:
        ladder.feed()
        time.sleep(5)
"""
SECOND = """
import time
def run(root, ladder):
    print("slot 2", ladder.slot, ladder.trial, ladder.floor)
    go(ladder)
def live(ladder, seconds):
    for _ in range(seconds // 5):
        ladder.feed()
        time.sleep(5)
def go(ladder):
"""


@pytest.fixture(scope="module")
def signer():
    return releases.Signer()


@pytest.fixture
def board(tmp_path, signer):
    """`board(go)`: release 1 runs in slot a, and has release 2 at hand whose application does `go`."""
    made = []

    def slot(app):
        files = {f"firmware/{module}.mpy": bytecode(module) for module in CARRIED}
        return {**files, "firmware/node/app.mpy": _compile(app.encode(), "app", Path("app.py")), "modules": ORDER}

    def make(go, release=2):
        new = slot(SECOND + "".join(f"    {line}\n" for line in go.strip().split("\n")))
        text = releases.manifest(new, release=release)
        b = RungBoard(tmp_path, {}, blocks=128)
        made.append(b)
        for path, data in slot(FIRST % (releases.KIND, hashlib.sha256(text).digest()[:8])).items():
            b.write(f"a/{path}", data)
        b.write("trust", signer.modulus)
        for number, data in enumerate((text, signer.sign(text), *(data for _, data in sorted(new.items())))):
            b.write(f"parts/{number}", data)
        return b

    yield make
    for one in made:
        one.off()


def boots(b):
    return [line.split() for line in b.boots()]


KEPT = """
ladder.sent()
ladder.asked()
live(ladder, 60)
ladder.answered()
print("kept", ladder.trial, ladder.floor)
live(ladder, 100000)
"""


def test_an_answer_keeps_a_release(board, tmp_path):
    b = board(KEPT)
    b.on()
    lines = b.run(600)
    assert lines.count("staged") == 1
    assert "kept False 2" in lines
    assert [boot[1:4] for boot in boots(b)] == [["1", "a", "False"], ["2", "b", "True"]]
    b.off()
    b.on()
    b.run(60)
    assert boots(b)[-1][1:5] == ["2", "b", "False", "2"]
    record = b.record(tmp_path)
    assert (record[rungs.SLOT], record[rungs.TRIAL], record[rungs.FLOOR]) == ("b", "", 2)


@pytest.mark.produces("update_reverted")
@pytest.mark.parametrize(("name", "go", "tries"), [
    ("raises", 'raise ValueError("broken")', 3),
    ("hangs", "ladder.sent()\ntime.sleep(60)", 3),
    ("is never answered", "ladder.sent()\nfor _ in range(9):\n    ladder.asked()\n    live(ladder, 900)", 1),
])  # fmt: skip
def test_a_release_that_is_no_good_is_taken_back(board, tmp_path, name, go, tries):
    b = board(go)
    b.on()
    b.run(8000)
    said = [boot[1:4] for boot in boots(b)]
    assert said == [["1", "a", "False"]] + [["2", "b", "True"]] * tries + [["1", "a", "False"]], name
    codes = [code for code, _ in b.record(tmp_path)[rungs.CRASHES]]
    assert rungs.REVERTED in codes
    assert b.record(tmp_path)[rungs.FLOOR] == 0
    assert b.read("a/modules") == ORDER


def test_a_slot_that_flash_lost_meanwhile(board, tmp_path):
    b = board(KEPT)
    b.on()
    while "staged" not in b.run(1):
        pass
    b.off()
    b.write("b/firmware/node/app.mpy", b"\xff" * 100)
    b.on()
    b.run(60)
    assert boots(b)[-1][1:4] == ["1", "a", "False"]
    assert rungs.REVERTED in [code for code, _ in b.record(tmp_path)[rungs.CRASHES]]


def test_switched_off_at_every_block(board):
    b = board(KEPT)
    blocks = set()
    for _ in range(200):
        b.on()
        lines = b.run(3)
        b.off()
        blocks |= {line for line in lines if line.startswith("block")}
        if any(line.startswith("slot 2") for line in lines):
            break
    b.on()
    assert "kept False 2" in b.run(120)
    assert len(blocks) > 4
    print(f"{len(boots(b))} boots, {len(blocks)} blocks")

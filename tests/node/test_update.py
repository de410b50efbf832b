"""The updater: what it takes, what it refuses and by which name. Power cuts: cut_update.py of the power-cut runner."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import mp as mp_run
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import releases
from releases import NEW, OLD, manifest, put

START = """
import sys
from update_desk import *
disk = RamDisk(80)
mount(disk, True)
folders = sys.argv[1:]
old, new = parts_of(folders[0]), parts_of(folders[1])
write("/f/trust", read(folders[0] + "/trust"))
install("a", old)
"""


@pytest.fixture(scope="module")
def signer():
    return releases.Signer()


@pytest.fixture
def release(tmp_path, signer):
    """`release(text=..., files=...)`: the folder of a release, signed as it should be unless `signature` is given."""

    def make(text=None, files=NEW, signature=None, **says):
        text = manifest(files, **says) if text is None else text
        folder = tmp_path / hashlib.sha256(text + (signature or b"")).hexdigest()[:12]
        return put(folder, text, signature or signer.sign(text), files, signer.modulus)

    return make


@pytest.fixture
def board(desk, release):
    """`board(code, *folders)`: run code on a board with OLD in slot a; `new` is the first release of the folders."""

    def run(code, *folders, **options):
        old = release(files=OLD, release=1)
        return desk(START + code, args=(old, *(folders or (release(),))), **options)

    return run


def test_a_release_is_taken_and_staged(board):
    out = board("""
ladder = Ladder()
to = updater(ladder, name=name_of(new))
sent = send(to, new)
assert ladder.staged is None and read("/f/b/modules") == new[-1]
assert refusal(to.take, 1, 0, b"x") is None          # nobody asked for it
to.finish()
assert ladder.staged == ("b", 2), ladder.staged
assert tree("/f/b") == dict(listed(new), manifest=new[0], signature=new[1]), tree("/f/b").keys()
assert tree("/f/a") == dict(listed(old), manifest=old[0], signature=old[1])
print(sent)
""")
    # The manifest and its end, the signature, and only the three files that the running slot has not.
    files = [data for path, data in NEW.items() if OLD.get(path) != data]
    assert int(out) == 1 + sum(-(-len(data) // 64) for data in (manifest(), bytes(384), *files))


@pytest.mark.produces("update_signature", "update_release", "update_board", "update_bytecode", "update_damaged")
def test_refused_by_name_before_anything_is_touched(board, release, signer):
    other = releases.Signer()
    cases = [
        ("update_signature", release(signature=other.sign(manifest()))),
        ("update_signature", release(signature=signer.sign(manifest(release=3)))),
        ("update_release", release(release=1)),
        ("update_board", release(kind=releases.KIND.replace("pico", "pico2"))),
        ("update_board", release(kind=releases.KIND + "+ds18b20")),
        ("update_bytecode", release(mpy=5)),
        ("update_damaged", release(text=manifest().replace(b"firmware/wire/cbor.mpy", b"firmware/../../main.py"))),
        ("update_damaged", release(text=manifest().replace(b"firmware/wire/cbor.mpy", b"/main.py"))),
        ("update_damaged", release(text=manifest().replace(b"release 2", b"release " + b"9" * 120))),
        ("update_damaged", release(text=manifest().replace(b" 1500 ", b" 65537 "))),
        ("update_damaged", release(text=manifest() + b"\n")),
        ("update_damaged", release(text=b"x" * 13000)),
        (None, release()),
    ]
    out = board(f"""
install("b", old)
before = tree("/f/b")
for name, folder in zip({[name for name, _ in cases]}, folders[1:]):
    parts = parts_of(folder)
    assert sent_to(parts) == name, (name, folder, sent_to(parts))
    if name:
        assert tree("/f/b") == before, name
assert sent_to(new) != None
ladder = Ladder()
ladder.floor = 2
assert sent_to(parts, ladder) == "update_release"
ladder.floor = 1
ladder.trial = True
assert refusal(updater, ladder) == "update_release"
assert refusal(updater(Ladder()).begin, b"short") == "update_damaged"
print("ok")
""", *(folder for _, folder in cases))  # fmt: skip
    assert out == "ok\n"


@pytest.mark.produces("update_damaged", "update_room")
def test_a_damaged_block_and_a_full_flash(board, release):
    big = {**NEW, "firmware/node/app.mpy": releases.code("big", 60_000)}
    out = board(
        """
to = updater(name=name_of(new))
send(to, new, most=20)
part, offset = to.wanted()
bad = bytearray(new[part])
bad[-1] ^= 1
to.take(part, offset, bytes(bad[offset:]))
assert part == 3 and to.wanted() == (part, 0)     # the file begins again
""".replace("to.take(part, offset, bytes(bad[offset:]))",
            'assert refusal(to.take, part, offset, bytes(bad[offset:])) == "update_damaged"') + """
assert refusal(to.take, 3, 0, bytes(691)) == "update_damaged"      # longer than its size
assert to.wanted()[0] == 0                                          # forgotten: from the start
to.begin(name_of(new))
send(to, new)
write("/f/b/firmware/wire/cbor.mpy", b"M")                          # flash that lost a file meanwhile
assert refusal(to.finish) == "update_damaged"
to = updater(name=name_of(new))
assert send(to, new) == 0                                           # it is copied from the running slot
to.finish()
mount(RamDisk(36), True)
write("/f/trust", read(folders[0] + "/trust"))
install("a", old)
said = sent_to(parts_of(folders[2]))
assert said == "update_room", said
assert not read("/f/b/manifest.new") and not read("/f/b/part")
print("ok")
""",
        release(),
        release(files=big),
    )  # fmt: skip
    assert out == "ok\n"


@pytest.mark.parametrize("block", [32, 64, 256])
def test_cut_at_every_block(board, block):
    """A new process after each block: what arrived stays, whatever the size of the blocks, and none is sent twice."""
    out = board(f"""
total = send(updater(name=name_of(new)), new, {block})
mount(disk, True)
write("/f/trust", read(folders[0] + "/trust"))
install("a", old)
install("b", old)
ladder = Ladder()
sent = 0
while True:
    mount(disk)
    to = updater(ladder, name=name_of(new))
    one = send(to, new, {block}, most=1)
    if not one:
        break
    sent += one
to.finish()
assert sent == total, (sent, total)
assert ladder.staged == ("b", 2)
assert tree("/f/b") == dict(listed(new), manifest=new[0], signature=new[1])
print(sent)
""")
    assert int(out) > 10


def test_another_release_begins_anew(board, release):
    third = {**NEW, "firmware/node/app.mpy": releases.code("app3", 650)}
    out = board(
        """
install("b", old)
later = parts_of(folders[2])
for most in range(0, 60, 3):
    to = updater(name=name_of(new))
    send(to, new, most=most)
    to = updater(name=name_of(later))
    assert to.wanted() == (0, 0)
    send(to, later)
    to.finish()
    assert tree("/f/b") == dict(listed(later), manifest=later[0], signature=later[1]), most
assert refusal(updater(name=name_of(later)).take, 0, 0, b"") is None
print("ok")
""",
        release(),
        release(files=third, release=3),
    )
    assert out == "ok\n"


KILLED = """
import sys
from update_desk import Ladder, name_of, parts_of
from firmware.node.update import Updater
import os
class Steps(Ladder):
    def feed(self):
        print("finish")
root, new = sys.argv[1], parts_of(sys.argv[2])
ladder = Steps()
to = Updater(root, ladder, sys.argv[3])
to.begin(name_of(new))
print("begun")
while True:
    want = to.wanted()
    print("wanted", want)
    if want is None:
        break
    if want:
        part, offset = want
        to.take(part, offset, new[part][offset : offset + 256])
        print("taken")
to.finish()
print("staged", ladder.staged)
"""


def test_the_process_killed_at_every_step(tmp_path, release, signer, desk_path):
    """Real files and a real kill: each process gets one step further, or ends; the last one stages the release."""
    board, new = tmp_path / "board", release()
    for path, data in OLD.items():
        (board / "a" / path).parent.mkdir(parents=True, exist_ok=True)
        (board / "a" / path).write_bytes(data)
    (board / "trust").write_bytes(signer.modulus)
    path = ":".join(map(str, (*desk_path, mp_run.ROOT, ".frozen")))
    command = [mp_run.micropython(), "-X", "heapsize=400k", "-c", KILLED, f"{board}/", str(new), releases.KIND]
    for steps in range(1, 200):
        with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "MICROPYPATH": path}, text=True) as process:
            said = [line for _, line in zip(range(steps % 17 + 1), process.stdout, strict=False)]
            process.kill()
        assert said, "it fails"
        if said[-1].startswith("staged"):
            break
    assert said[-1] == "staged ('b', 2)\n"
    assert steps > 3
    there = {str(file.relative_to(board / "b")): file.read_bytes() for file in (board / "b").rglob("*") if file.is_file()}
    assert {name: data for name, data in there.items() if name not in ("manifest", "signature")} == NEW
    assert there["manifest"] == manifest()

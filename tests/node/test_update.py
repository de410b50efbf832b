"""The updater: what it refuses and by which name, and that no cut at any write leaves a board that does not start."""

import hashlib
import sys
from pathlib import Path

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


CUTS = """
install("b", old)
image = bytes(disk.data)
had = tree("/f/b")
running = tree("/f/a")
whole = dict(listed(new), manifest=new[0], signature=new[1])
files_of_new = listed(new)

def sound():
    # Slot a as it was; slot b as it was, or the new one, or nothing that a launcher loads.
    assert tree("/f/a") == running
    there = tree("/f/b")
    if "modules" in there:
        same = all(there.get(path) == data for path, data in had.items())
        assert same or all(there.get(path) == data for path, data in files_of_new.items()), there.keys()

def boot(ladder, most=None):
    to = updater(ladder, name=name_of(new))
    send(to, new, {block})
    to.finish()

cuts = 0
at = {first}
while True:
    disk.data[:] = image
    ladder = Ladder()
    mount(disk)
    disk.cut_after = at
    try:
        boot(ladder)
    except DeviceError as error:
        assert disk.power is None and error.name in ("store", "update_damaged", "update_signature"), error
    done = disk.power is not None
    disk.cut_after = None
    assert done or ladder.staged is None
    # A second cut while it goes on, then power that stays.
    for again in ({again}, None):
        mount(disk)
        sound()
        ladder = Ladder()
        disk.cut_after = again
        try:
            boot(ladder)
        except DeviceError as error:
            assert disk.power is None, (at, again, error)
        disk.cut_after = None
    assert ladder.staged == ("b", 2)
    mount(disk)
    assert tree("/f/b") == whole, (at, tree("/f/b").keys())
    if done:
        break
    cuts += 1
    at += {step}
print(cuts)
"""


@pytest.mark.parametrize("first", range(3))
def test_power_cut_at_every_write(board, first):
    """The power goes at every write and erase of the whole update, the last one torn, and once more while it goes on."""
    out = board(CUTS.format(block=64, first=first, step=3, again=3 + 9 * first))
    assert int(out) > 20
    print(out)

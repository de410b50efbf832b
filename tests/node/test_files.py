"""Records of two generations: a save that fails, is torn or damaged leaves the one before in force."""

NEW = """
from firmware.node.pair import Pair
def pair():
    return Pair(("/f/p-0", "/f/p-1"))
"""


def test_the_newest_is_in_force(desk):
    out = desk(
        NEW
        + """
disk = RamDisk(); mount(disk, True)
print(pair().load())
p = pair()
for n in range(5):
    p.save(b"%d" % n)
    assert pair().load() == b"%d" % n
pair().save(b"of another boot")
print(pair().load(), pair().older)
"""
    )
    assert out.splitlines() == ["None", "b'of another boot' False"]


def test_a_damaged_one_gives_way_to_the_one_before_and_says_so(desk):
    out = desk(
        NEW
        + """
disk = RamDisk(); mount(disk, True)
p = pair(); p.save(b"old"); p.save(b"new")
with open("/f/p-1", "r+b") as file:
    file.seek(5); file.write(b"X")
q = pair()
print(q.load(), q.older)
q.save(b"next")
r = pair()
print(r.load(), r.older)
"""
    )
    assert out.splitlines() == ["b'old' True", "b'next' False"]


def test_a_full_disk_leaves_the_one_before(desk):
    out = desk(
        NEW
        + """
disk = RamDisk(); mount(disk, True)
p = pair(); p.save(b"old")
disk.full = True
try:
    p.save(b"new")
except OSError as error:
    print("refused")
disk.full = False
print(pair().load())
p.save(b"newer")
print(pair().load())
"""
    )
    assert out.splitlines() == ["refused", "b'old'", "b'newer'"]

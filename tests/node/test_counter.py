"""The counter never repeats: at every write of flash the power is cut, with torn writes, on a real littlefs."""

import pytest

NEW = """
def provisioned():
    disk = RamDisk()
    mount(disk, True)
    flash(config())
    return disk
def spoil(path):
    with open(path, "wb") as file:
        file.write(b"rubbish")
def paths():
    return "/f/state/counter-0001", "/f/counter-0001"
def new(reserve=16):
    from firmware.node.restore import make_counter
    return make_counter("/f/", config(power={"profile": "gated"} if reserve == 1 else None))
"""


@pytest.mark.parametrize("reserve", [1, 16])
def test_no_counter_repeats_wherever_the_power_is_cut(desk, reserve):
    out = desk(
        NEW
        + f"""
disk = provisioned()
used, cuts, boots, cut = 0, 0, 0, 0
# Each boot the power is cut one write later than in the boot before, until all places have been seen twice.
while boots < 150:
    disk.cut_after = cut
    cut = (cut + 1) % 37
    try:
        mount(disk)
        counter = new({reserve})
        while True:
            piv = counter.next()
            disk.alive()
            assert piv > used, (piv, used)
            used = piv
    except (PowerCut, DeviceError, OSError):
        assert disk.power is None
        cuts += 1
    disk.cut_after = None
    boots += 1
print(cuts, used)
"""
    )
    # Before the last line: what finalisers of files say whose disk is gone.
    cuts, used = map(int, out.splitlines()[-1].split())
    assert cuts == 150
    assert used > 300


def test_a_gated_board_counts_without_gaps(desk):
    out = desk(
        NEW
        + """
disk = provisioned()
new(1).next()
new(1).next()
print([new(1).next() for _ in range(20)])
"""
    )
    first = eval(out)
    assert first == list(range(first[0], first[0] + 20))


def test_a_boot_goes_on_at_the_stored_limit_and_writes_nothing(desk):
    out = desk(
        NEW
        + """
disk = provisioned()
c = new(); a = [c.next() for _ in range(40)]
before = disk.operations
c = new()
assert disk.operations == before
print(a[-1], c.next())
"""
    )
    assert out.split() == ["40", "49"]


def test_an_emptied_state_folder_does_not_set_it_back(desk):
    out = desk(
        NEW
        + """
disk = provisioned()
for lost in paths() * 3:
    c = new(); last = [c.next() for _ in range(40)][-1]
    os.remove(lost)
    assert new().next() > last
    spoil(lost)
    assert new().next() > last
print("never back")
"""
    )
    assert out.split() == ["never", "back"]


def test_an_old_key_goes_on_where_it_was(desk):
    out = desk(
        NEW
        + """
from firmware.node.restore import make_counter
disk = provisioned()
flash(config(kid="0002"))
def piv(kid):
    return make_counter("/f/", config(kid=kid)).next()
print(piv("0001"), piv("0002"), piv("0001") > 1)
"""
    )
    assert out.split() == ["1", "1", "True"]


@pytest.mark.produces("counter")
def test_damaged_records_and_the_last_counter_stop_the_board(desk):
    out = desk(
        NEW
        + """
disk = provisioned()
from firmware.node import files
new().next(); new().next()
for path in paths():
    spoil(path)
try:
    new()
except DeviceError as error:
    print(error.name)
for path in paths():
    files.write(path, (0xFFFFFFFF).to_bytes(8, "big"))
c = new()
assert c.next() == 0xFFFFFFFF
for _ in range(2):
    try:
        c.next()
    except DeviceError as error:
        print(error.name)
try:
    new().next()
except DeviceError as error:
    print(error.name)
"""
    )
    assert out.split() == ["counter"] * 4


@pytest.mark.produces("store")
def test_without_a_store_no_counter_is_given_out(desk):
    out = desk(
        NEW
        + """
disk = provisioned()
c = new()
got = [c.next() for _ in range(16)]
disk.full = True
for _ in range(3):
    try:
        print(c.next())
    except DeviceError as error:
        print(error.name)
disk.full = False
mount(disk)
print(c.next(), new().next() > 17)
"""
    )
    assert out.split() == ["store"] * 3 + ["17", "True"]


@pytest.mark.produces("state_lost")
def test_a_board_without_a_counter_sends_nothing_and_makes_none(desk):
    out = desk(
        NEW
        + """
d = Desk(config())
d.run(1000)
first = [opened(m[2])[1] for m in d.host.of(1)]
for path in paths():
    os.remove(path)
try:
    d.reboot()
except DeviceError as error:
    print(error.name)
print(first, d.host.of(1), [p for p in paths() if p.rpartition("/")[2] in os.listdir(p.rpartition("/")[0])])
"""
    )
    assert out.splitlines() == ["state_lost", "[1, 2] [] []"]

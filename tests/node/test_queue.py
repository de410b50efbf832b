"""The queue of readings: bounded, and on flash when `push` returns, wherever the power is cut."""

import pytest

NEW = """
from firmware.node.queue import READING, SEALED
from firmware.node.restore import make_queue
def reading(queue, ident):
    entry = queue.get(ident)
    return entry and entry[2]
def all_of(queue):
    return [reading(queue, i) for i in list(queue.ids)]
def fresh():
    disk = RamDisk(); mount(disk, True)
    return disk
"""


def test_it_survives_a_reboot_in_order_and_forgets_the_times(desk):
    out = desk(
        NEW
        + """
disk = fresh()
q = make_queue("/f/queue")
for i in range(5):
    q.push(1000 * i, {3: i, 5: i == 2, -7: 1})
q.drop(q.ids[0])
assert q.get(q.ids[0]) == [READING, 1000, {3: 1, 5: False, -7: 1}]
mount(disk)
q = make_queue("/f/queue")
assert all_of(q) == [{3: i, 5: i == 2, -7: 1} for i in range(1, 5)]
assert [q.get(i)[1] for i in q.ids] == [None] * 4
q.push(7, {3: 9})
assert q.get(q.ids[-1])[1] == 7
print(len(q.ids), len(os.listdir("/f/queue")))
"""
    )
    assert out.split() == ["5", "5"]


@pytest.mark.produces("queue_full")
def test_the_oldest_gives_way_and_is_counted(desk):
    out = desk(
        NEW
        + """
fresh()
q = make_queue("/f/queue", depth=4)
names = []
for i in range(7):
    try:
        q.push(i, {3: i})
    except DeviceError as error:
        names.append(error.name)
print(names, q.dropped, all_of(q), len(os.listdir("/f/queue")))
"""
    )
    assert out.strip() == "['queue_full', 'queue_full', 'queue_full'] [3, 0] [{3: 3}, {3: 4}, {3: 5}, {3: 6}] 4"


@pytest.mark.produces("queue_full")
def test_readings_give_way_before_alarms_over_a_reboot_too(desk):
    out = desk(
        NEW
        + """
disk = fresh()
def filled(q, readings):
    for reading in readings:
        try:
            q.push(0, reading)
        except DeviceError as error:
            assert error.name == "queue_full"
    return [(r[3], 19 in r) for r in all_of(q)], q.dropped
q = make_queue("/f/queue", depth=4)
print(filled(q, [{3: 0}, {3: 1, 19: 2}, {3: 2}, {3: 3, 19: 2}, {3: 4}, {3: 5, 19: 2}, {3: 6}]))
mount(disk)
q = make_queue("/f/queue", depth=4)
print(filled(q, [{3: 7, 19: 2}, {3: 8}, {3: 9}, {3: 10, 19: 2}]))
print(sorted(int(name, 16) & 1 for name in os.listdir("/f/queue")))
disk.full = True
try:
    q.push(0, {3: 11})
except DeviceError as error:
    print(error.detail)
"""
    )
    assert out.splitlines() == [
        "([(1, True), (3, True), (5, True), (6, False)], [3, 0])",
        "([(3, True), (5, True), (7, True), (10, True)], [3, 1])",
        "[1, 1, 1, 1]",
        "4 readings and 1 alarms dropped since boot",
    ]


@pytest.mark.produces("store")
def test_a_full_disk_keeps_the_newest_in_memory(desk):
    out = desk(
        NEW
        + """
disk = fresh()
q = make_queue("/f/queue")
q.push(0, {3: 0})
disk.full = True
names = []
for i in range(1, 7):
    try:
        q.push(i, {3: i})
    except DeviceError as error:
        names.append(error.name)
assert names == ["store"] * 6, names
print([r[3] for r in all_of(q)], q.dropped)
"""
    )
    assert out.strip() == "[0, 3, 4, 5, 6] [2, 0]"


def test_a_damaged_entry_is_dropped_and_counted(desk):
    out = desk(
        NEW
        + """
disk = fresh()
q = make_queue("/f/queue")
for i in range(3):
    q.push(i, {3: i})
with open("/f/queue/00000002", "r+b") as file:
    file.write(b"xx")
with open("/f/queue/note.txt", "wb") as file:
    file.write(b"no entry")
mount(disk)
q = make_queue("/f/queue")
print(all_of(q), q.damaged, all_of(q))
"""
    )
    assert out.strip() == "[{3: 0}, None, {3: 2}] 1 [{3: 0}, {3: 2}]"


def test_nothing_pushed_is_lost_and_nothing_dropped_returns_wherever_the_power_is_cut(desk):
    out = desk(
        NEW
        + """
def number_of(q, ident):
    kind, _, what = q.get(ident)
    return int(what.split()[1]) if kind == SEALED else what[3]
disk = fresh()
number, cuts, sealed = 0, 0, 0
pushed, gone, unsure = [], set(), set()      # unsure: what was under way when the power went
for boot in range(160):
    disk.cut_after = boot % 37
    try:
        mount(disk)
        q = make_queue("/f/queue")
        # A file that was being made is there without content.
        found = [number_of(q, i) for i in list(q.ids) if q.get(i)]
        disk.alive()
        # What push returned for is there, in order, as reading or sealed; what drop returned for is not.
        assert [n for n in found if n not in unsure] == [n for n in pushed if n not in unsure], (found, pushed, unsure)
        assert not set(found) & gone
        assert q.damaged <= 1
        sealed += sum(q.get(i)[0] == SEALED for i in q.ids)
        pushed, unsure = found, set()
        while True:
            number += 1
            unsure.add(number)
            q.push(0, {3: number})
            disk.alive()
            unsure.discard(number)
            pushed.append(number)
            while len(q.ids) > number % 7:
                first = q.ids[0]
                n = number_of(q, first)
                if q.get(first)[0] == READING:
                    q.seal(first, b"sealed %d" % n)
                    disk.alive()
                    assert q.get(first)[0] == SEALED and number_of(q, first) == n
                unsure.add(n)
                q.drop(first)
                disk.alive()
                unsure.discard(n)
                pushed.remove(n)
                gone.add(n)
    except (PowerCut, DeviceError, OSError):
        assert disk.power is None
        cuts += 1
    disk.cut_after = None
print(cuts, number, sealed)
""",
        timeout_s=60,
    )
    cuts, number, sealed = map(int, out.splitlines()[-1].split())
    assert cuts == 160
    assert number > 300
    assert sealed > 10

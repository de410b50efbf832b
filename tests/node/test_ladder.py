"""The boot ladder on boards: real MicroPython, one process a boot, from main.py on. What ends a boot is done to it here."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from rung_board import APP, RungBoard

from firmware import rungs

GOOD = """
def go(ladder):
    ladder.about(False, ["one", "two"])
    print("told", ladder.crashes())
    if ladder.untold:
        ladder.told()
    if ladder.open:
        ladder.sent()
    live(ladder, 3600)
    ladder.settled()
    print("settled")
    live(ladder, 100000)
"""
RAISES = """
def go(ladder):
    ladder.about(False, ["one", "two"])
    {}
"""


@pytest.fixture
def board(tmp_path):
    made = []

    def make(slots, **options):
        made.append(RungBoard(tmp_path, slots, **options))
        return made[-1]

    yield make
    for one in made:
        one.off()


def held(line):
    """(safe, quarantine) of what a boot says of itself."""
    safe, _, names = line.partition(" safe ")[2].partition(" held ")
    return int(safe), names


@pytest.mark.produces("quarantine", "safe_mode")
def test_an_application_that_raises_climbs_every_rung_and_recovers(board, tmp_path):
    b = board({"a": RAISES.format('raise ValueError("broken") if not ladder.safe else live(ladder, 300) or ladder.retry()')})
    b.on()
    b.run(1200)
    seen = [held(line) for line in b.boots()]
    assert seen[:5] == [(0, "[]")] * 5
    assert seen[5:10] == [(0, "['one']")] * 5
    assert seen[10:15] == [(0, "['one', 'two']")] * 5
    # Safe mode, five minutes, one try, safe mode again, for longer (which is the application's to wait).
    assert seen[15:18] == [(1, "['one', 'two']"), (0, "['one', 'two']"), (2, "['one', 'two']")]
    codes = [code for code, _ in b.record(tmp_path)[rungs.CRASHES]]
    assert codes == [rungs.IN_SAFE_MODE] + [rungs.EXCEPTION] * (rungs.RING - 1)
    assert b.record(tmp_path)[rungs.SLOT] == "a"


def test_it_recovers_when_the_fault_does(board, tmp_path):
    b = board({"a": RAISES.format('raise ValueError if not ladder.safe else live(ladder, 300) or ladder.retry()')})
    b.on()
    while not b.boots() or held(b.boots()[-1])[0] == 0:
        b.run(60)
    b.off()
    b.slot("a", GOOD.replace("live(ladder, 3600)", "if ladder.safe:\n        ladder.retry()\n    live(ladder, 3600)"))
    b.on()
    lines = b.run(3700)
    assert "settled" in lines
    b.off()
    record = b.record(tmp_path)
    assert (record[rungs.SAFE], record[rungs.TRYING], record[rungs.STRIKES], record[rungs.OPEN]) == (0, 0, 0, 0)
    assert record[rungs.CRASHES] == []
    assert record[rungs.QUARANTINE] == ["one", "two"]


@pytest.mark.produces("watchdog")
def test_a_sensor_that_hangs_is_the_suspect_and_the_watchdog_says_so(board, tmp_path):
    hang = 'if "two" not in ladder.quarantine:\n        ladder.suspect("two")\n        time.sleep(60)\n    ladder.suspect()'
    b = board({"a": RAISES.format(hang) + GOOD.partition('"two"])\n')[2]})
    b.on()
    lines = b.run(3800)
    assert b.faults == ["rungs: reset by its watchdog"] * 5
    assert [held(line) for line in b.boots()] == [(0, "[]")] * 5 + [(0, "['two']")]
    assert [line.split()[3] for line in b.boots()] == ["1", "3", "3", "3", "3", "3"]
    told = [line for line in lines if line.startswith("told")]
    assert told == ["told [[37, 'two'], [37, 'two'], [37, 'two'], [34, 'two']]"]
    assert "settled" in lines


def test_each_day_one_sensor_leaves_quarantine_and_comes_back_if_it_must(board, tmp_path):
    fails = """
def go(ladder):
    ladder.about(False, ["one", "two"])
    if "one" not in ladder.quarantine:
        raise OSError(5)
    ladder.sent()
    hours = 0
    while True:
        live(ladder, 3600)
        hours += 1
        ladder.settled(hours)
"""
    b = board({"a": fails})
    b.on()
    b.run(26 * 3600)
    times = [s for s, line in b.output if line.startswith("slot")]
    states = [held(line)[1] for line in b.boots()]
    assert states == ["[]"] * 5 + ["['one']", "[]", "['one']"]
    assert 86400 <= times[6] - times[5] <= 86500
    assert times[7] - times[6] == 10
    assert b.record(tmp_path)[rungs.STRIKES] == 0


def test_boots_that_send_nothing_are_strikes_and_one_frame_ends_them(board, tmp_path):
    b = board({"a": "def go(ladder):\n    live(ladder, 100)\n"})
    for boot in range(4):
        b.on()
        b.run(50)
        b.off()
        assert b.record(tmp_path)[rungs.STRIKES] == boot
    b.slot("a", "def go(ladder):\n    ladder.sent()\n    live(ladder, 100)\n")
    b.on()
    b.run(50)
    b.off()
    b.on()
    b.run(50)
    b.off()
    record = b.record(tmp_path)
    assert (record[rungs.STRIKES], record[rungs.OPEN]) == (4, 0)
    b.slot("a", "def go(ladder):\n    ladder.settled()\n    live(ladder, 100)\n")
    b.on()
    b.run(50)
    assert b.record(tmp_path)[rungs.STRIKES] == 0


@pytest.mark.parametrize("family", ["rp2", "esp32"])
def test_scheduled_wakes_are_no_strikes_and_write_nothing(board, tmp_path, family):
    sleeper = "def go(ladder):\n    print('wake', ladder.wake)\n    ladder.settled()\n    machine.deepsleep(60000)\n"
    b = board({"a": sleeper}, family=family)
    b.on()
    b.run(1)
    before = b.image.read_bytes()
    lines = b.run(20 * 60)
    assert lines.count("wake True") == 20
    assert b.image.read_bytes() == before
    assert b.record(tmp_path)[rungs.STRIKES] == 0


def test_a_gated_board_boots_by_the_hundred_without_a_write(board, tmp_path):
    b = board({"a": "def go(ladder):\n    ladder.about(True, [])\n    live(ladder, 5)\n"})
    for _ in range(2):  # the first boot is one that counts: the ladder does not know the board yet
        b.on()
        b.run(3)
        b.off()
    before = b.image.read_bytes()
    for _ in range(12):
        b.on()
        b.run(3)
        b.off()
    assert b.image.read_bytes() == before
    # But a crash of such a board is one.
    b.slot("a", RAISES.format("raise OSError(19)").replace("False", "True"))
    b.on()
    b.run(25)
    assert b.record(tmp_path)[rungs.STRIKES] == 2


TRIAL = """
def go(ladder):
    print("trial", ladder.trial, "floor", ladder.floor)
    if ladder.slot == "a" and not ladder.trial and ladder.floor < 7 and not ladder.untold:
        ladder.stage("b", 7)
        ladder.reboot()
    print("told", ladder.crashes())
    ladder.open and ladder.sent()
    {}
    live(ladder, 100000)
"""


@pytest.mark.produces("update_reverted")
def test_a_trial_that_gets_no_answer_reverts_and_one_that_gets_one_stays(board, tmp_path):
    asks = "for n in range(9 if ladder.trial else 0):\n        print('asks', n)\n        ladder.asked()\n        live(ladder, 60)"
    b = board({"a": TRIAL.format("pass"), "b": TRIAL.format(asks)})
    b.on()
    lines = b.run(3600)
    assert [line for line in lines if line.startswith("asks")] == [f"asks {n}" for n in range(rungs.MOST_ASKED + 1)]
    assert [line.split()[1] for line in b.boots()] == ["a", "b", "a"]
    assert "told [[56, 'release 7']]" in lines
    assert b.record(tmp_path)[rungs.FLOOR] == 0
    b.off()
    b.write("ladder-0", b"")
    b.write("ladder-1", b"")
    b.slot("b", TRIAL.format("ladder.asked()\n    ladder.answered()\n    assert ladder.trial is False"))
    b.on()
    b.run(3600)
    assert [line.split()[1] for line in b.boots()][3:] == ["a", "b"]
    b.off()
    b.on()
    b.run(60)
    assert b.boots()[-1].startswith("slot b")
    record = b.record(tmp_path)
    assert (record[rungs.SLOT], record[rungs.TRIAL], record[rungs.FLOOR]) == ("b", "", 7)


@pytest.mark.parametrize(
    ("go", "boots"),
    [
        ("raise MemoryError", "a b b b a"),
        ("time.sleep(60)", "a b b b a"),
        ("machine.reset()", "a b b b a"),  # RP2: it looks like the watchdog's
    ],
)
def test_a_trial_that_does_not_run_reverts_by_itself(board, tmp_path, go, boots):
    b = board({"a": TRIAL.format("pass"), "b": RAISES.format(go).replace("ladder.about", "print")})
    b.on()
    b.run(600)
    assert " ".join(line.split()[1] for line in b.boots()) == boots
    record = b.record(tmp_path)
    assert (record[rungs.SLOT], record[rungs.TRIAL], record[rungs.STRIKES], record[rungs.QUARANTINE]) == ("a", "", 0, [])


@pytest.mark.parametrize("what", ["import", "no modules", "bytecode", "empty"])
def test_a_slot_that_cannot_be_loaded_gives_way_to_the_other(board, tmp_path, what):
    b = board({"a": GOOD, "b": GOOD})
    if what == "import":
        b.write("a/firmware/node/app.py", b"import nothing_of_that_name\n")
    elif what == "no modules":
        b.write("a/modules", b"")
    elif what == "bytecode":
        b.write("a/firmware/node/__init__.mpy", b"M\x01\x00\x1f")
        b.write("a/firmware/node/__init__.py", b"1 / 0")
    else:
        b.write("a/modules", b"\n")
    b.on()
    b.run(60)
    assert [line.split()[1] for line in b.boots()] == ["b"]
    b.off()
    b.on()
    b.run(60)
    assert [line.split()[1] for line in b.boots()] == ["b", "b"]
    assert b.record(tmp_path)[rungs.SLOT] == "b"


def test_without_a_slot_that_loads_it_tries_for_ever_slowly_and_never_forgets(board, tmp_path):
    b = board({"a": GOOD})
    b.write("a/modules", b"firmware.none\n")
    b.on()
    b.run(200)
    assert sum("ImportError: /a, /b" in line for _, line in b.output) == 20
    before = b.image.read_bytes()
    b.run(100)
    assert b.image.read_bytes() == before
    b.off()
    b.slot("a", GOOD)
    b.on()
    assert "settled" in b.run(4000)


@pytest.mark.parametrize("damage", ["newest", "both", "short"])
def test_a_torn_record_costs_one_generation_at_most(board, tmp_path, damage):
    b = board({"a": RAISES.format("raise OSError(5)")})
    b.on()
    b.run(25)
    b.off()
    before = b.record(tmp_path)
    newest = max(("ladder-0", "ladder-1"), key=lambda name: b.read(name)[:4])
    for name in ("ladder-0", "ladder-1"):
        if name == newest or damage == "both":
            data = b.read(name)
            b.write(name, data[: len(data) // 2] if damage == "newest" else b"" if damage == "short" else data[:-1] + b"?")
    after = b.record(tmp_path)
    if damage == "both":
        assert after == rungs.new()
    else:
        assert before[rungs.STRIKES] - after[rungs.STRIKES] in (0, 1)
        assert after[rungs.SENSORS] == ["one", "two"]
    b.on()
    b.run(15)
    assert b.record(tmp_path)[rungs.STRIKES] >= after[rungs.STRIKES]


def test_a_month_without_a_gateway_is_no_strike(board, tmp_path):
    month = """
def go(ladder):
    ladder.about(False, ["one"])
    if ladder.open:
        ladder.sent()
    for hour in range(1, 31 * 24):
        ladder.asked()  # and nobody answers
        live(ladder, 10)
        ladder.settled(hour)
    print("month")
    live(ladder, 100000)
"""
    b = board({"a": month})
    b.on()
    assert b.run(8000)[-1] == "month"
    assert len(b.boots()) == 1
    assert b.faults == []
    record = b.record(tmp_path)
    assert (record[rungs.STRIKES], record[rungs.ASKED], record[rungs.CRASHES]) == (0, 0, [])


def test_ctrl_c_is_no_strike_wherever_it_comes(board, tmp_path):
    b = board({"a": "def go(ladder):\n    live(ladder, 100000)\n"})
    for _ in range(3):
        b.on()
        b.clock.at(b.clock.now_us + 30_000_000, b.process.feed, b"\x03")
        b.run(40)
        assert b.process.exit_code == 0
    assert b.record(tmp_path)[rungs.STRIKES] == 0
    assert len(b.boots()) == 3


def test_a_crash_that_flash_does_not_take_is_told_all_the_same(board, tmp_path):
    full = """
def go(ladder):
    ladder.about(False, ["one"])
    if ladder.untold:
        print("told", ladder.crashes())
        ladder.told()
        ladder.sent()
        return live(ladder, 1000)
    import rungs
    rungs.save = lambda root, r: False
    sys.modules["rungs"] = rungs
    ladder.crash(36, "report of it")
    raise OSError(28)
"""
    b = board({"a": full})
    b.on()
    lines = b.run(100)
    assert "told [[36, 'report of']]" in lines
    assert b.record(tmp_path)[rungs.STRIKES] == 1


def test_what_a_cable_had_brought_when_the_power_went_is_put_in_its_place(board, tmp_path):
    b = board({"a": GOOD})
    b.write("a/firmware/node/app.py.new", (APP + GOOD.replace('"settled"', '"settled anew"')).encode())
    b.write("a/firmware/node/other.py.new", b"half of what a later one had brought")
    b.write("swap", b"ladder.mpy\na/modules\na/firmware/node/app.py")  # two of them are in their places
    b.on()
    assert "settled anew" in b.run(4000)
    assert b.read("swap") is None
    assert b.read("a/firmware/node/app.py.new") is None
    assert b.read("a/firmware/node/other.py.new") is not None
    b.off()
    b.write("swap", b"")  # power went as it was written
    b.on()
    assert "settled anew" in b.run(4000)
    assert b.read("swap") is None

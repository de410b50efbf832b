"""What a node and a bridge make of their ladder: sensors that fail, what goes up, safe mode, trials. Real MicroPython."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from rung_board import FleetBoard

from firmware import rungs

# A driver that behaves as the test says, in the place of the temperature's.
DRIVER = """
import time
class Sensor:
    async def read(self):
        {read}
def make(spec, buses):
    {make}
    return Sensor()
"""
HANG = "while True:\n            time.sleep_ms(100)"


@pytest.fixture
def board(tmp_path):
    made = []

    def make(name="bin-capitainerie"):
        made.append(FleetBoard(tmp_path, name))
        return made[-1]

    yield make
    for one in made:
        one.off()


def spoil(board, driver="ds18b20", **how):
    """Put a driver of the test's into the board's slot."""
    fs = board._fs()
    fs.remove(f"a/firmware/sensors/{driver}.mpy")
    board.image.write_bytes(bytes(fs.context.buffer))
    board.write(f"a/firmware/sensors/{driver}.py", DRIVER.format(**{"read": "return 2050", "make": "pass", **how}).encode())


def boots(board):
    """The causes of its boots, from the log."""
    return [int(line.split()[-1]) for line in board.logged if line.startswith("boot bin")]


@pytest.mark.produces("watchdog", "quarantine")
def test_a_sensor_that_hangs_is_put_aside_and_the_others_report(board, tmp_path):
    b = board()
    spoil(b, read=HANG)
    b.on()
    b.run(400)
    assert b.faults == ["bin-capitainerie: reset by its watchdog"] * 5
    assert boots(b) == [1, 3, 3, 3, 3, 3]
    assert b.record(tmp_path)[rungs.QUARANTINE] == ["temperature"]
    assert b.heard
    assert all(reading[4] in range(900, 1100) for reading in b.heard)
    # First what the boots before had to tell, a code a frame, then that the sensor is in quarantine now.
    b.run(6 * 900)
    assert [reading.get(-7) for reading in b.heard[:6]] == [37, 37, 37, 34, 34, None]
    assert b.record(tmp_path)[rungs.CRASHES] == []
    # A day later it is tried, and hangs no more.
    b.off()
    b.write("a/firmware/sensors/ds18b20.py", DRIVER.format(read="return 2050", make="pass").encode())
    b.on()
    b.run(25 * 3600)
    assert b.record(tmp_path)[rungs.QUARANTINE] == []
    assert b.heard[-1][2] == 205
    assert boots(b)[-1] == 5


@pytest.mark.parametrize(
    ("driver", "make", "left"), [("ds18b20", "raise OSError(5)", 4), ("a02yyuw", "raise RuntimeError('no such bus')", 2)]
)
def test_a_sensor_that_cannot_be_made_does_not_silence_the_others(board, tmp_path, driver, make, left):
    b = board()
    spoil(b, driver, make=make)
    if driver == "a02yyuw":
        spoil(b, "ds18b20")
    b.on()
    b.run(1000)
    assert [left in reading for reading in b.heard] == [True, True]
    assert b.heard[0][-7] == 5  # sensor_bus
    assert b.record(tmp_path)[rungs.STRIKES] == 0


@pytest.mark.produces("safe_mode")
def test_safe_mode_says_hello_keeps_the_configuration_and_ends_by_itself(board, tmp_path):
    b = board()
    secret = b.read("secret.json")
    before = b.read("config-0"), b.read("config-1")
    b.write("secret.json", b"{")
    b.on()
    b.run(200)
    assert len([line for line in b.logged if line.startswith("boot bin")]) == 15  # both sensors are tried out first
    assert b.logged[-1].startswith("error safe_mode")
    assert b.hellos[-1][2] == b.process.spec.uid
    b.process.feed(b"\x7e" + __import__("firmware.wire.link", None, None, ("x",)).ask_hello())
    b.run(5)
    assert len(b.hellos) == 2
    b.off()
    assert (b.read("config-0"), b.read("config-1")) == before
    b.write("secret.json", secret)
    b.on()
    b.run(250)
    assert not b.heard
    b.run(2000)
    assert b.heard
    assert b.record(tmp_path)[rungs.SAFE] == 1  # an hour later it is over
    b.run(3600)
    assert b.record(tmp_path)[rungs.SAFE] == 0
    assert {reading.get(-7) for reading in b.heard} >= {30, 35, 34}


def test_a_bridge_counts_a_boot_as_good_once_it_listens(desk):
    out = desk(
        """
from ladder_desk import *
Desk.ladder = climb
settings = config(role="bridge", radio=RADIO, plan=PLAN, service=None, kid=None)
d = Desk(settings, role="bridge", secret=False)
d.radio.absent = True
d.run(100)
print(record()[rungs().OPEN])
d.radio.absent = False
d.run(100)
print(record()[rungs().OPEN], record()[rungs().STRIKES])
put(CRASHES=[[37, "send"]])
d.reboot()
d.run(10)
print([l for l in d.host.lines if l.startswith("before")], record()[rungs().CRASHES])
"""
    )
    assert out.splitlines() == ["1", "0 0", "['before: 37 send'] []"]


RADIO_NODE = """
from ladder_desk import *
Desk.ladder = climb
Service.script = lambda now: {3: 7}
d = Desk(radio_config(report_s=3600))
def sent():
    return [opened(frame)[0] for _, frame, _ in d.radio.sent]
"""


def test_the_cause_goes_up_once(desk):
    out = desk(
        RADIO_NODE
        + """
d.run(7200)
print([p.get(-4) for p in sent()], record()[rungs().OPEN])
machine.state["cause"] = 4
d.reboot()
d.run(7200)
print([p.get(-4) for p in sent()], record()[rungs().OPEN])
"""
    )
    assert out.splitlines() == ["[1, None] 0", "[4, None] 0"]


def test_a_silent_gateway_is_no_strike_for_a_node(desk):
    out = desk(
        RADIO_NODE
        + """
d.run(3 * 86400)
found = record()
print(len(sent()), sum(-5 in p for p in sent()), found[rungs().STRIKES], found[rungs().OPEN], found[rungs().CRASHES])
with open("/f/ladder-0", "rb") as a, open("/f/ladder-1", "rb") as b:
    print(max(int.from_bytes(f.read(4), "big") for f in (a, b)))
""",
        timeout_s=60,
    )
    sent, asked, strikes, opened, crashes = out.splitlines()[0].split()
    assert int(sent) in (71, 72, 73)
    assert int(asked) >= 3
    assert (strikes, opened, crashes) == ("0", "0", "[]")
    assert int(out.splitlines()[1]) == 2  # the boot, and its first frame: nothing more in three days


TRIAL = RADIO_NODE + """
from firmware.wire.seal import seal
from firmware.wire.cbor import dumps
put(TRIAL="b", RELEASE=9)
d.reboot()
"""


@pytest.mark.produces("update_reverted")
def test_a_trial_asks_with_each_frame_and_reverts_without_an_answer(desk):
    out = desk(
        TRIAL
        + """
try:
    d.run(86400)
except machine.Restart as error:
    print(len(sent()), all(-5 in p for p in sent()), record()[rungs().TRIAL:rungs().FLOOR + 1], module.retained())
asyncio.new_event_loop()
d.reboot()
d.run(7200)
print(sent()[0][-7], record()[rungs().CRASHES], -5 in sent()[1])
"""
    )
    assert out.splitlines() == ["6 True ['', 9, 0] b'R'", "56 [] False"]


def test_a_trial_is_kept_at_the_first_answer(desk):
    out = desk(
        TRIAL
        + """
def answer():
    if d.radio.sent and not d.radio.incoming:
        piv = opened(d.radio.sent[-1][1])[1]
        d.radio.incoming.append((now_ms() + 1000, seal(KEYS, piv, dumps({}), down=True), -90, 20))
original = d.radio.send
async def send(frame=None):
    out = await original(frame)
    answer()
    return out
d.radio.send = send
d.run(3 * 3600)
r = record()
print(r[rungs().SLOT], repr(r[rungs().TRIAL]), r[rungs().FLOOR], d.app.board.ladder.trial, len(sent()), -5 in sent()[1])
"""
    )
    assert out.split() == ["b", "''", "9", "False", "3", "False"]


def test_ladder_and_ports_mean_the_same_bytes(desk):
    out = desk(
        """
from ladder_desk import *
from firmware.ports import rp2, unix

class Words:
    def __init__(self):
        self.words = {}
    def __getitem__(self, at):
        return self.words.get(at, 0x12345678)
    def __setitem__(self, at, value):
        self.words[at] = value

machine.mem32 = Words()
for raw, port in ((module.clock_memory, unix), (module.scratch, rp2)):
    module.raw = raw
    assert module.retained() == port.retained() == b""        # memory begins with anything at all
    port.keep(b"state of its own")
    for note in (b"R", b"D", b"S" + b"0123456789", b""):
        module.retain(note)
        assert port.retained() == module.retained() == note
        port.retain(note + b"x" if len(note) < 11 else note[1:])
        assert module.retained() == port.retained() != note
    assert port.kept() == (b"state of its own" if port is unix else b"")
print(sorted(hex(at) for at in machine.mem32.words))
"""
    )
    assert out.strip() == "['0x4005800c', '0x40058010', '0x40058014', '0x40058018']"


def test_who_needs_longer_than_others_says_so(desk):
    out = desk(
        """
from firmware.node.watched import Watched
from firmware.sensors.nmea import NMEA
class Slow:
    async def read(self):
        await asyncio.sleep(80)
        return 7
async def ask(driver):
    noted = []
    begun = now_ms()
    try:
        found = await Watched(driver, "position", lambda name="": noted.append(name)).read()
    except DeviceError as error:
        found = error.name
    print(found, (now_ms() - begun) // 1000, noted)
asyncio.run(ask(Slow()))
Slow.answer_ms = NMEA.answer_ms
asyncio.run(ask(Slow()))
"""
    )
    assert out.splitlines() == ["sensor_silent 15 ['position', '']", "7 80 ['position', '']"]

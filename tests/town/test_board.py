"""The simulated board: real MicroPython whose time, pins and buses are the town's."""

import os
import re
import time
from pathlib import Path

import pytest
from toy import Toy

from tools.twin import rpc

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def toy(tmp_path):
    made = []

    def make(program, **kwargs):
        made.append(Toy(tmp_path, program, **kwargs))
        return made[-1]

    yield make
    for one in made:
        one.process.power_off()


def test_an_hour_of_sleeping_tasks_takes_seconds_and_keeps_time(toy):
    board = toy(
        """
import asyncio, time
async def worker(n):
    for i in range(360):
        await asyncio.sleep(10)
    print(n, time.ticks_ms() // 1000)
async def main():
    await asyncio.gather(*[worker(n) for n in range(5)])
asyncio.run(main())
"""
    )
    begin = time.monotonic()
    assert board.run(3_700_000_000) == [f"{n} 3600" for n in range(5)]
    assert time.monotonic() - begin < 20
    assert board.process.exit_code == 0
    assert not board.faults


def test_busy_loops_cost_time(toy):
    lines = toy(
        """
import time
from machine import Pin
pin = Pin(3, Pin.IN)
start = time.ticks_us()
while not pin.value():
    pass
print(time.ticks_diff(time.ticks_us(), start) // 1000)
start = time.ticks_ms()
while time.ticks_diff(time.ticks_ms(), start) < 50:
    pass
print(time.ticks_diff(time.ticks_ms(), start))
""",
        edges_us=(20_000,),
    ).run(1_000_000)
    assert 15 <= int(lines[0]) <= 20
    assert lines[1] == "50"


def test_interrupts_wake_sleepers_at_their_time(toy):
    lines = toy(
        """
import asyncio, time
from machine import Pin
flag = asyncio.ThreadSafeFlag()
pin = Pin(3, Pin.IN)
pin.irq(lambda p: flag.set(), Pin.IRQ_RISING)
async def main():
    await flag.wait()
    print(time.ticks_us() // 1000)
    hits = []
    pin.irq(lambda p: hits.append(time.ticks_us() // 1000), Pin.IRQ_RISING | Pin.IRQ_FALLING)
    time.sleep_ms(3000)  # handlers run inside a blocking sleep, and it still lasts as long as it should
    print(hits, time.ticks_us() // 1000)
asyncio.run(main())
""",
        edges_us=(1_500_000, 2_000_000, 3_000_000),
    ).run(10_000_000)
    assert lines == ["1500", "[2000, 3000] 4500"]


def test_timers_interrupt_and_can_be_stopped(toy):
    lines = toy(
        """
import time
from machine import Timer
hits = []
t = Timer(period=250, mode=Timer.PERIODIC, callback=lambda t: hits.append(time.ticks_ms()))
once = Timer(period=400, mode=Timer.ONE_SHOT, callback=lambda t: hits.append(-time.ticks_ms()))
time.sleep(1)
t.deinit()
time.sleep(1)
print(hits)
"""
    ).run(5_000_000)
    assert lines == ["[250, -400, 500, 750, 1000]"]


def test_buses(toy):
    board = toy(
        """
from machine import SPI, I2C, UART, ADC, Pin
import onewire, time
cs = Pin(17, Pin.OUT, value=1)
spi = SPI(0, baudrate=2_000_000)
buf = bytearray(3)
cs(0); spi.write_readinto(b"abc", buf); cs(1)
print(bytes(buf))
cs(0); cs(1)  # a falling edge alone
i2c = I2C(0, scl=Pin(9), sda=Pin(8))
print(i2c.scan(), i2c.readfrom_mem(0x42, 7, 3))
i2c.writeto_mem(0x42, 16, b"xyz")
two = bytearray(2)
i2c.readfrom_mem_into(0x42, 17, two)
print(bytes(two))
try:
    i2c.readfrom(0x33, 1)
except OSError as e:
    print("nack", e.errno)
wire = onewire.OneWire(Pin(6))
print(wire.reset())
wire.write(b"\\x11\\x22"); wire.writebit(1)
print(wire.readbyte(), wire.readbyte(), wire.readbit())
print(ADC(Pin(28)).read_u16(), ADC(28).read_uv())
uart = UART(1, 9600, tx=Pin(4), rx=Pin(5))
uart.write(b"hello")
time.sleep_ms(250)
print(uart.any(), uart.read(6), uart.read(), uart.read())
time.sleep(20)
print(uart.any())  # what does not fit into the ring is lost
"""
    )
    lines = board.run(30_000_000)
    assert lines == [
        "b'cba'", "[66] b'\\x07\\x08\\t'", "b'yz'", "nack 5", "True", "17 34 1", "40000 2014190",
        "8 b'tickti' b'ck' None", "256",
    ]  # fmt: skip
    assert board.mirror.transactions == [b"abc", b""]
    assert board.ticker.written == b"hello"


def test_streams_over_uart_and_serial_line(toy):
    board = toy(
        """
import asyncio, sys, time
from machine import UART
async def uart():
    stream = asyncio.StreamReader(UART(1, 9600))
    for _ in range(2):
        print(await stream.readexactly(4), time.ticks_ms())
async def line():
    stream = asyncio.StreamReader(sys.stdin)
    while True:
        print("in", await stream.read(1), time.ticks_ms())
async def main():
    await asyncio.gather(uart(), line())
asyncio.run(main())
"""
    )
    board.clock.at(7_000_000, board.process.feed, b"ab")
    lines = board.run(20_000_000)
    assert lines[:2] == ["b'tick' 100", "b'tick' 200"]
    assert lines[2:] == ["in a 7000", "in b 7000"]


def test_ctrl_c_on_the_serial_line_ends_the_program(toy):
    board = toy(
        """
import asyncio
async def main():
    await asyncio.sleep(3600)
try:
    asyncio.run(main())
finally:
    print("put away")
"""
    )
    board.clock.at(5_000_000, board.process.feed, b"\x03")
    assert board.run(6_000_000) == ["put away"]
    assert board.process.exit_code == 1
    assert not board.faults


def test_files_outlive_a_power_cut_and_chance_is_new_at_each_boot(toy):
    board = toy(
        """
import os, random, machine
names = os.listdir("/")
with open("/boots", "ab") as f:
    f.write(b"x")
print(len(open("/boots").read()), os.urandom(4).hex(), random.getrandbits(30), machine.reset_cause(), machine.unique_id().hex())
"""
    )
    first = board.run(1_000_000)[0].split()
    second = board.run(2_000_000)[1].split()
    assert (first[0], second[0]) == ("1", "2")
    assert first[1] != second[1]
    assert first[2] != second[2]
    assert first[4] == "e661a4d417123456"


def test_the_same_seed_gives_the_same_run(tmp_path):
    program = """
import os, random, time, asyncio
async def main():
    for _ in range(50):
        await asyncio.sleep_ms(random.randint(1, 5000))
        print(time.ticks_us(), os.urandom(3).hex())
asyncio.run(main())
"""
    runs = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        runs.append(Toy(tmp_path / name, program).run(400_000_000))
    assert runs[0] == runs[1]
    assert len(runs[0]) == 50


def test_reset_deep_sleep_and_watchdog_start_it_anew(toy):
    board = toy(
        """
import machine, time, os
n = len(os.listdir("/"))
print(n, machine.reset_cause())
open("/f%d" % n, "w").close()
if n == 1:
    machine.reset()
if n == 2:
    machine.deepsleep(5000)
if n == 3:
    machine.WDT(timeout=2000)
    time.sleep(3600)
print("stays")
"""
    )
    assert board.run(60_000_000) == ["1 1", "2 3", "3 4", "4 3", "stays"]
    assert board.faults == ["toy: reset by its watchdog"]
    assert board.process.boots == 4


def test_a_crash_is_told_with_its_traceback(toy):
    board = toy("import time\ntime.sleep(1)\n1 // 0\n")
    board.run(5_000_000)
    assert board.process.exit_code == 2
    assert "ZeroDivisionError" in board.faults[0]


def test_a_process_that_dies_is_told(toy):
    board = toy("import time\ntime.sleep(3600)\n")
    board.process.power_on(0)
    board.clock.run_until(1_000_000)
    os.kill(board.process.pid, 9)
    board.clock.run_until(3_700_000_000)
    assert board.faults
    assert not board.process.running


def test_the_heap_is_a_boards(toy):
    board = toy("x = []\nwhile True:\n    x.append(bytes(1000))\n", heap=200 * 1024)
    board.run(1_000_000)
    assert "MemoryError" in board.faults[0]


@pytest.mark.timeout(60)
def test_a_board_that_computes_for_ever_is_named(toy, monkeypatch):
    monkeypatch.setattr("tools.twin.rpc.WATCHDOG_S", 2)
    board = toy("while True:\n    pass\n")
    board.run(1_000_000)
    assert "does not answer" in board.faults[0]


def test_ticks_wrap_as_on_the_boards(toy):
    lines = toy(
        """
import time
a = time.ticks_ms()
time.sleep(1_000_000)
time.sleep(100_000)
b = time.ticks_ms()
print(b, time.ticks_diff(b, time.ticks_add(b, -5)), time.ticks_diff(time.ticks_add(b, 7), b))
"""
    ).run(1_200_000_000_000)
    wrapped = (1_100_000_000) & 0x3FFFFFFF
    assert lines == [f"{wrapped} 5 7"]


def test_both_ends_of_the_line_mean_the_same():
    """The board's shim cannot import the twin's table (it runs in MicroPython), so the two are compared here."""
    shim = (ROOT / "tools/twin/board/_town.py").read_text()
    said = {name: int(n) for name, n in re.findall(r"^([A-Z0-9_]+) = (\d+)$", shim, re.M)}
    assert {op.name: op.value for op in rpc.Op} == {name: said[name] for name in said if name in rpc.Op.__members__}
    assert f'REQUEST = "{rpc.REQUEST.format}"' in shim
    assert f'HEAD = "{rpc.HEAD.format}"' in shim
    assert (said["REQUEST_SIZE"], said["HEAD_SIZE"]) == (rpc.REQUEST.size, rpc.HEAD.size)

"""What a buoy reports agrees with the sea, which shares no code with it: drivers and service in real MicroPython, on chip
models with the noise, bias, quantisation and wrong oscillator of their data sheets."""

import json
import random
import struct
from pathlib import Path

import mp
import pytest

from tools.twin.world.sea import Buoy, Sea

HERE = Path(__file__).parent
SENSORS = HERE.parent / "sensors"
BINS_HZ = 13.02 / 4 / 512


SEAS = [(0.3, 14.0, None, 15.0), (1.1, 6.5, None, 4.0), (3.0, 8.0, None, 8.0), (0.8, 4.5, (0.3, 13.0), 8.0)]


def sea_run(folder, hs_m, tp_s, swell, list_deg):
    """A buoy on a sea for two reports: (Hs of the true elevation in the record, m; the lines of both reports)."""
    rng = random.Random(f"{hs_m}/{tp_s}")
    buoy = Buoy(Sea(rng, hs_m=hs_m, tp_s=tp_s, swell=swell), rng, (48.65702, -2.7856), list_deg=list_deg)
    table = folder / "table"
    rows = (struct.pack("<3f", *buoy.acceleration_g(i * 200_000)) for i in range(6200))
    table.write_bytes(b"".join(rows))
    seed = round(hs_m * 10)
    out = mp.run(HERE / "desk_buoy.py", path=[SENSORS], args=[table, 1180, 560, "{}", seed], heap_kb=1500)
    first, second = (json.loads(line) for line in out.splitlines())
    return buoy.significant_height_m(second[0], second[1]), first, second


@pytest.mark.parametrize(("hs_m", "tp_s", "swell", "list_deg"), SEAS)
def test_waves_agree_with_the_sea(tmp_path, hs_m, tp_s, swell, list_deg):
    """Hs within 10 % of 4 standard deviations of the elevation in the same record, Tp within a bin or 10 %."""
    true_m, first, second = sea_run(tmp_path, hs_m, tp_s, swell, list_deg)
    assert set(first[2]) == {"9", "12", "13"}, "no waves before a whole record, and no error"
    _, _, reading, rate_mhz, rate_hz = second
    assert set(reading) == {"9", "10", "11"}
    assert abs(rate_mhz / 1000 / rate_hz - 1) < 0.002
    assert abs(reading["9"] / 100 - 14.5) < 0.6
    assert abs(reading["10"] / 100 / true_m - 1) <= 0.10
    assert abs(reading["11"] / 10 - tp_s) <= max(0.1 * tp_s, BINS_HZ * tp_s * tp_s)


LIFE = """
import gc, json, sys
import desk
from firmware.services.buoy import Service
class Motion:
    rate_mhz = 13021
    def __init__(self): self.t = 0
    async def drain(self, sink):
        for i in range(260):
            self.t += 1
            sink.add(300, -200, 8192 + (self.t * 37 & 255))
gc.collect()
before = gc.mem_alloc()
service = Service({}, {"motion": Motion()})
gc.collect()
print(gc.mem_alloc() - before)
for cycle in range(12):
    for second in range(55 if not cycle else 20):
        desk.run(service.poll(second))
    reading = desk.run(service.report(second))
    assert set(reading) == {10, 11}, reading
    if cycle == 1:
        gc.collect()
        held = gc.mem_alloc()
gc.collect()
print(gc.mem_alloc() - held)
"""


def test_it_lives_in_a_boards_heap():
    """A board's 200 kB (doubled, for the 64-bit port) hold the service through its reports, and nothing grows."""
    buffers, growth = map(int, mp.run(LIFE, path=[SENSORS], heap_kb=400).split())
    assert buffers <= 14_000
    assert growth <= 0


@pytest.mark.produces("sensor_range")
def test_an_accelerometer_that_feels_no_gravity():
    code = LIFE.split("gc.collect()", maxsplit=1)[0].replace("8192 +", "") + (
        "service = Service({'record_s': 300}, {'motion': Motion()})\n"
        "for second in range(16): desk.run(service.poll(second))\n"
        "print(desk.run(service.report(320)))"
    )
    assert mp.run(code, path=[SENSORS]) == "{-7: 3}\n"


PATIENCE = """
import desk
from firmware.sensors.nmea import NMEA
from firmware.services.buoy import Service
from tools.twin.chips import gps
class Motion:
    times = [0]
    async def drain(self, sink): self.times.append(desk.clock.now_us)
desk.clock.now_us = 0
chip = gps.GPS(desk.clock, lambda t: (48.6, -2.8), desk.Rng(1), powered=True)
chip.blind = True
service = Service({}, {"motion": Motion(), "position": NMEA(desk.Uart(chip))})
desk.clock.now_us = 19_900_000
reading = desk.run(service.report(19))
assert reading == {-7: 3}, reading
times = Motion.times
print(max(b - a for a, b in zip(times, times[1:])), times[-1])
"""


def test_waiting_for_the_sky_loses_no_samples():
    """A receiver without a fix keeps the report for a minute; the motion sensor's memory lasts 38 s."""
    longest_us, end_us = map(int, mp.run(PATIENCE, path=[SENSORS]).split())
    assert end_us > 75_000_000
    assert longest_us < 22_000_000

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


@pytest.mark.parametrize(
    ("hs_m", "tp_s", "swell", "list_deg"),
    [(0.3, 14.0, None, 15.0), (1.1, 6.5, None, 4.0), (3.0, 8.0, None, 8.0), (0.8, 4.5, (0.3, 13.0), 8.0)],
)
def test_waves_agree_with_the_sea(tmp_path, hs_m, tp_s, swell, list_deg):
    """Hs within 10 % of 4 standard deviations of the elevation in the same record, Tp within a bin or 10 %."""
    rng = random.Random(f"{hs_m}/{tp_s}")
    buoy = Buoy(Sea(rng, hs_m=hs_m, tp_s=tp_s, swell=swell), rng, (48.65702, -2.7856), list_deg=list_deg)
    table = tmp_path / "table"
    rows = (struct.pack("<3f", *buoy.acceleration_g(i * 200_000)) for i in range(6200))
    table.write_bytes(b"".join(rows))
    seed = round(hs_m * 10)
    out = mp.run(HERE / "desk_buoy.py", path=[SENSORS], args=[table, 1180, 560, "{}", seed], heap_kb=1500)
    first, second = (json.loads(line) for line in out.splitlines())
    assert set(first[2]) == {"9", "12", "13"}, "no waves before a whole record, and no error"
    start_us, end_us, reading, rate_mhz, rate_hz = second
    assert set(reading) == {"9", "10", "11"}
    assert abs(rate_mhz / 1000 / rate_hz - 1) < 0.002
    assert abs(reading["9"] / 100 - 14.5) < 0.6
    assert abs(reading["10"] / 100 / buoy.significant_height_m(start_us, end_us) - 1) <= 0.10
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

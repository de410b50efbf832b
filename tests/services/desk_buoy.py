"""Runs in MicroPython: a buoy on a desk, its service, drivers and chip models, over a table of what its body feels.

desk_buoy.py TABLE SECONDS REPORT_S SETTINGS SEED: TABLE has the specific force in body axes, g, every 0.2 s, as <3f. Prints
for every report a JSON list: start and end of its record in us of the table, the reading, the measured rate in mHz.
"""

import gc
import json
import math
import struct
import sys

import desk

from firmware.sensors.ds18b20 import DS18B20
from firmware.sensors.lsm6dso import LSM6DSO
from firmware.sensors.nmea import NMEA
from firmware.services.buoy import Service
from tools.twin.chips import ds18b20, gps, lsm6dso

POLL_S = 20
STEP_US = 200_000
path, seconds, report_s, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[5])
settings = json.loads(sys.argv[4])
start_us = desk.clock.now_us
table = open(path, "rb")  # noqa: SIM115
row = bytearray(48)


def acceleration_g(t_us):
    """Through four rows of the table, as smooth as the sea is."""
    i, part = divmod(max(STEP_US, t_us - start_us), STEP_US)
    table.seek((i - 1) * 12)
    table.readinto(row)
    v = struct.unpack("<12f", row)
    x = part / STEP_US
    w = (x * (-0.5 + x * (1 - 0.5 * x)), 1 + x * x * (1.5 * x - 2.5), x * (0.5 + x * (2 - 1.5 * x)), x * x * (0.5 * x - 0.5))
    return tuple(w[0] * v[k] + w[1] * v[k + 3] + w[2] * v[k + 6] + w[3] * v[k + 9] for k in range(3))


def position_deg(t_us):
    return 48.65702 + 1e-4 * math.sin(t_us * 1e-9), -2.7856


def water_c(t_us):
    return 14.5


class Power:
    def __init__(self, chip):
        self.value = lambda level: chip.set_pin("power", level)


rng = desk.Rng(seed)
motion = lsm6dso.LSM6DSO(desk.clock, acceleration_g, rng)
receiver = gps.GPS(desk.clock, position_deg, rng)
sensors = {
    "motion": LSM6DSO(desk.I2c(motion)),
    "temperature": DS18B20(ds18b20.DS18B20(desk.clock, water_c, rng)),
    "position": NMEA(desk.Uart(receiver), Power(receiver)),
}
service = Service(settings, sensors)
next_report_s = report_s
for second in range(0, seconds, POLL_S):
    desk.clock.now_us = max(desk.clock.now_us, start_us + second * 1_000_000)
    assert desk.run(service.poll(second)) is None
    if second >= next_report_s:
        next_report_s += report_s
        reading = desk.run(service.report(second))
        assert not receiver.powered
        end_us = desk.clock.now_us - start_us
        rate_mhz = sensors["motion"].rate_mhz
        length_us = service.record.capacity * 4 * 1_000_000_000 // rate_mhz
        plain = {str(key): value for key, value in reading.items()}
        print(json.dumps([end_us - length_us, end_us, plain, rate_mhz, motion.rate_hz()]))
        gc.collect()

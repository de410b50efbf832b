"""Runs in MicroPython: bays on a desk, each a service, a driver and a chip model, over a table of true fields.

desk_parking.py CHIP TABLE SECONDS: TABLE has per bay and sample x, y, z in nT and the air in 0.01 Cel, as <4i; the bays
lie one after the other. Prints a line `bay second 0|1` for every change that a service reports.
"""

import struct
import sys

import desk

from firmware.services.parking import Service
from tools.twin.chips import qmc5883l as qmc_chip
from tools.twin.chips import rm3100 as rm_chip

SAMPLE_S = 10
chip_word, path, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3])
now = [0.0, 0.0, 0.0, 0.0]


def field_ut(t_us):
    return now[0] / 1000, now[1] / 1000, now[2] / 1000


def air_c(t_us):
    return now[3] / 100


def chip(seed):
    rng = desk.Rng(seed)
    if chip_word == "rm3100":
        return rm_chip.RM3100(desk.clock, field_ut, rng)
    return qmc_chip.QMC5883L(desk.clock, field_ut, air_c, rng)


def one_bay(bay, table):
    driver = __import__("firmware.sensors." + chip_word, None, None, ("make",))
    sensor = driver.make({"driver": chip_word}, desk.Buses(desk.I2c(chip(bay + 1))))
    service = Service({"sample_s": SAMPLE_S}, {"field": sensor})
    start_us = desk.clock.now_us
    reports = 0
    for second in range(0, seconds, SAMPLE_S):
        desk.clock.now_us = start_us + second * 1_000_000
        now[:] = struct.unpack("<4i", table.read(16))
        reading = desk.run(service.poll(second))
        if reading:
            print(bay, second, 1 if reading[6] else 0)
        if second % 900 == 0:
            reading = desk.run(service.report(second))
            assert sorted(reading) == [6, 7, 8], reading
            reports += 1
    assert reports == (seconds + 899) // 900


with open(path, "rb") as table:
    bay = 0
    while table.read(1):
        table.seek(bay * (seconds // SAMPLE_S) * 16)
        one_bay(bay, table)
        bay += 1

"""Runs in MicroPython: bays on a desk, each a service, a driver and a chip model, over a table of true fields.

desk_parking.py CHIP TABLE SECONDS WRITTEN: TABLE has per bay and sample x, y, z in nT and the air in 0.01 Cel, as <4i; a
bay is a row of the empty field, then its samples. WRITTEN 1: the empty bay's field is measured first and written into the
settings, as a technician does. Prints `bay second 0|1` for every change that a service reports, and `bay second sure` when
it becomes sure of its baseline.
"""

import struct
import sys

import desk

from firmware.services.parking import Service
from tools.twin.chips import qmc5883l as qmc_chip
from tools.twin.chips import rm3100 as rm_chip

SAMPLE_S = 10
chip_word, path, seconds, written = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "1"
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


def measured(sensor):
    """The settings that say what the sensor sees now, a mean of 16."""
    total = [0, 0, 0]
    for _ in range(16):
        for axis, nt in enumerate(desk.run(sensor.read())):
            total[axis] += nt
    return {"base_" + axis + "_nt": total[i] // 16 for i, axis in enumerate("xyz")}


def one_bay(bay, table):
    driver = __import__("firmware.sensors." + chip_word, None, None, ("make",))
    sensor = driver.make({"driver": chip_word}, desk.Buses(desk.I2c(chip(bay + 1))))
    now[:] = struct.unpack("<4i", table.read(16))
    service = Service(measured(sensor) if written else {}, {"field": sensor})
    start_us = desk.clock.now_us
    reports = 0
    sure = False
    for second in range(0, seconds, SAMPLE_S):
        desk.clock.now_us = start_us + second * 1_000_000
        now[:] = struct.unpack("<4i", table.read(16))
        reading = desk.run(service.poll(second))
        if reading:
            print(bay, second, 1 if reading[6] else 0)
        if service.bay.trusted and not sure:
            sure = True
            print(bay, second, "sure")
        if second % 900 == 0:
            reading = desk.run(service.report(second))
            assert sorted(reading) == [6, 7, 8], reading
            reports += 1
    assert reports == (seconds + 899) // 900


with open(path, "rb") as table:
    bay = 0
    while table.read(1):
        table.seek(bay * (seconds // SAMPLE_S + 1) * 16)
        one_bay(bay, table)
        bay += 1

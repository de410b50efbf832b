"""Runs in MicroPython: bins on a desk, each a service, its two drivers and their chip models, over a table of truths.

desk_bin.py TABLE PERIOD_S: TABLE has rows bin, distance in 0.01 mm, air in 0.01 Cel, as <3i. Prints a JSON list a row:
the bin and what its service reports.
"""

import json
import struct
import sys

import desk

from firmware.sensors.a02yyuw import A02YYUW
from firmware.sensors.ds18b20 import DS18B20
from firmware.services.bin import Service
from tools.twin.chips import a02yyuw, ds18b20

path, period_s = sys.argv[1], int(sys.argv[2])
now = [0, 0, 0]
bins = {}


def distance_mm(t_us):
    return now[1] / 100


def air_c(t_us):
    return now[2] / 100


def new_bin(i):
    rng = desk.Rng(i + 1)
    sound = a02yyuw.A02YYUW(desk.clock, distance_mm, air_c, rng)
    warmth = ds18b20.DS18B20(desk.clock, air_c, rng, damage=0.0005)
    sensors = {"distance": A02YYUW(desk.Uart(sound)), "temperature": DS18B20(warmth)}
    return Service({"empty_mm": 1200, "full_mm": 200}, sensors)


start_us = desk.clock.now_us
with open(path, "rb") as table:
    row = table.read(12)
    n = 0
    while row:
        now[:] = struct.unpack("<3i", row)
        if now[0] not in bins:
            bins[now[0]] = new_bin(now[0])
        desk.clock.now_us = max(desk.clock.now_us, start_us + n * period_s * 1_000_000)
        reading = desk.run(bins[now[0]].report(desk.clock.now_us // 1_000_000))
        print(json.dumps([now[0], {str(key): value for key, value in reading.items()}]))
        row = table.read(12)
        n += 1

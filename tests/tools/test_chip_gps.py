"""The GPS model: what comes out of its UART, and when."""

import itertools
import math
import random

import pytest

from tools.twin.chips.gps import GPS

SECOND_US = 1_000_000
HOME = (48.65702, -2.7856)


class Clock:
    now_us = 0


def a_receiver(seed=1, **nature):
    nature = {"damage": 0.0} | nature
    clock = Clock()
    return clock, GPS(clock, lambda t_us: HOME, random.Random(seed), **nature)


def lines(clock, chip, seconds):
    """Sentences of the next seconds, taken five times a second."""
    data = b""
    for _ in range(5 * seconds):
        clock.now_us += SECOND_US // 5
        data += chip.take()
    return data.decode().split("\r\n")[:-1]


def test_nothing_comes_without_power():
    clock, chip = a_receiver()
    assert chip.next_us() is None
    assert lines(clock, chip, 5) == []
    chip.set_pin("power", 1)
    assert chip.get_pin("power") == 1
    assert len(lines(clock, chip, 5)) > 20
    chip.powered = False
    assert chip.next_us() is None


def test_every_sentence_has_its_checksum_and_second():
    clock, chip = a_receiver(powered=True)
    clock.now_us = 60 * SECOND_US
    chip.take()
    got = lines(clock, chip, 20)
    for line in got:
        body, checksum = line[1:].split("*")
        total = 0
        for char in body:
            total ^= ord(char)
        assert line[0] == "$"
        assert f"{total:02X}" == checksum
        assert len(line) <= 80
    kinds = [line[3:6] for line in got]
    assert 19 <= kinds.count("RMC") <= 20
    times = [line.split(",")[1] for line in got if line[3:6] == "RMC"]
    assert len(set(times)) == len(times)
    assert sum(len(line) + 2 for line in got) / 20 < 600, "a second's sentences need no longer than a second at 9600 baud"


def test_time_and_date():
    clock, chip = a_receiver(powered=True, unix_s=1_709_164_790)  # 2024-02-28 23:59:50 UTC
    clock.now_us = 60 * SECOND_US
    rmc = next(line for line in lines(clock, chip, 2) if line[3:6] == "RMC").split(",")
    assert rmc[1][:4] == "0000"
    assert rmc[9] == "290224"


def test_no_position_before_the_fix():
    clock, chip = a_receiver(powered=True)
    got = lines(clock, chip, 15)
    assert all(line.split(",")[2] == "V" and line.split(",")[3] == "" for line in got if line[3:6] == "RMC")
    assert all(line.split(",")[6] == "0" and line.split(",")[2] == "" for line in got if line[3:6] == "GGA")
    chip.blind = True
    got = lines(clock, chip, 120)
    assert all(line.split(",")[2] == "V" for line in got if line[3:6] == "RMC")


def first_fix_s(clock, chip):
    start_us = clock.now_us
    while not any(line[3:6] == "RMC" and line.split(",")[2] == "A" for line in lines(clock, chip, 1)):
        assert clock.now_us - start_us < 100 * SECOND_US
    return (clock.now_us - start_us) / SECOND_US


def test_cold_and_hot_start():
    clock, chip = a_receiver(powered=True)
    assert 18 < first_fix_s(clock, chip) < 48
    chip.powered = False
    clock.now_us += 3600 * SECOND_US
    chip.powered = True
    assert first_fix_s(clock, chip) < 6
    chip.powered = False
    clock.now_us += 5 * 3600 * SECOND_US
    chip.powered = True
    assert first_fix_s(clock, chip) > 18


def metres(line):
    field = line.split(",")
    latitude = int(field[2][:2]) + float(field[2][2:]) / 60
    longitude = -(int(field[4][:3]) + float(field[4][3:]) / 60)
    east = (longitude - HOME[1]) * math.cos(math.radians(HOME[0]))
    return math.hypot(latitude - HOME[0], east) * 111_320


def test_position_errs_by_metres_and_hdop_falls():
    clock, chip = a_receiver(powered=True)
    clock.now_us = 20 * SECOND_US
    fixes = [line for line in lines(clock, chip, 600) if line[3:6] == "GGA" and line.split(",")[6] == "1"]
    away = [metres(line) for line in fixes]
    assert 0.5 < sum(away) / len(away) < 6
    assert max(away) < 15
    assert max(abs(a - b) for a, b in itertools.pairwise(away)) < 5, "slow"
    hdop = [float(line.split(",")[8]) for line in fixes]
    assert hdop[0] > 3
    assert hdop[60] < 1.2


def test_bytes_come_at_9600_baud():
    clock, chip = a_receiver(powered=True)
    clock.now_us = 60 * SECOND_US
    chip.take()
    before_us = clock.now_us
    seen = 0
    while seen < 3000:
        clock.now_us = chip.next_us()
        assert clock.now_us >= before_us
        piece = chip.take()
        assert piece.endswith(b"\n")
        assert 0 < len(piece) <= 82
        seen += len(piece)
    assert seen * 10 / 9600 < (clock.now_us - before_us) / SECOND_US + 1


def test_who_did_not_listen_has_lost_it():
    clock, chip = a_receiver(powered=True)
    clock.now_us = 3600 * SECOND_US
    assert len(chip.take()) < 2000


@pytest.mark.parametrize("seed", range(3))
def test_damage(seed):
    clock, chip = a_receiver(seed, powered=True, damage=0.2)
    clock.now_us = 60 * SECOND_US
    data = b""
    for _ in range(1000):
        clock.now_us += SECOND_US // 5
        data += chip.take()
    bad = total = 0
    for line in data.split(b"\n"):
        body, _, checksum = line.strip().lstrip(b"$").partition(b"*")
        value = 0
        for char in body:
            value ^= char
        total += 1
        bad += f"{value:02X}".encode() != checksum
    assert 0.1 < bad / total < 0.25
    chip.silent = True
    clock.now_us += SECOND_US
    assert chip.take() == b""

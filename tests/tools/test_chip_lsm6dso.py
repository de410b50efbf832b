"""The LSM6DSO model against its data sheet, register for register."""

import random
import statistics

import pytest

from tools.twin.chips.lsm6dso import LSM6DSO

SECOND_US = 1_000_000


class Clock:
    now_us = 0


def a_chip(force=lambda t_us: (0.0, 0.0, 1.0), seed=1, **nature):
    nature = {"rate_error": 0.0, "bias_g": (0.0, 0.0, 0.0), "noise_ug": 0.0} | nature
    clock = Clock()
    return clock, LSM6DSO(clock, force, random.Random(seed), **nature)


def put(chip, *values):
    for register, value in values:
        chip.write(bytes((register, value)))


def get(chip, register, n=1):
    chip.write(bytes((register,)))
    return chip.read(n)


def fill(chip):
    low, high = get(chip, 0x3A, 2)
    return low | (high & 3) << 8


def test_identity_and_defaults():
    _, chip = a_chip()
    assert get(chip, 0x0F) == b"\x6c"
    assert get(chip, 0x12) == b"\x04"
    put(chip, (0x0F, 0), (0x3A, 9), (0x28, 1))
    assert get(chip, 0x0F) == b"\x6c"
    assert get(chip, 0x3A) == get(chip, 0x28) == b"\x00"


def test_nothing_is_measured_while_powered_down():
    clock, chip = a_chip()
    put(chip, (0x09, 1), (0x0A, 6))
    clock.now_us = 10 * SECOND_US
    assert fill(chip) == 0
    assert get(chip, 0x1E)[0] & 1 == 0


@pytest.mark.parametrize(("code", "hz"), [(1, 13.02), (2, 26.04), (3, 52.09), (4, 104.2), (11, 13.02)])
def test_rates(code, hz):
    clock, chip = a_chip()
    put(chip, (0x09, 1), (0x0A, 6), (0x10, code << 4))
    clock.now_us = 4 * SECOND_US
    assert abs(fill(chip) - 4 * hz) <= 1
    if code == 11:  # 1.6 Hz in low-power mode alone
        put(chip, (0x15, 0x10), (0x0A, 0), (0x0A, 6))
        clock.now_us += 10 * SECOND_US
        assert fill(chip) == 16


def test_oscillator_and_what_it_says_of_itself():
    clock, chip = a_chip(rate_error=-0.03)
    assert get(chip, 0x63) == bytes((256 - 20,))
    put(chip, (0x09, 1), (0x0A, 6), (0x10, 0x10))
    clock.now_us = 20 * SECOND_US
    assert fill(chip) == int(20 * 13.0215 * 0.97)


@pytest.mark.parametrize(("scale", "lsb"), [(0, 0.000061), (1, 0.000488), (2, 0.000122), (3, 0.000244)])
def test_full_scale_and_saturation(scale, lsb):
    clock, chip = a_chip(lambda t_us: (0.5, -1.25, 30.0))
    put(chip, (0x10, 0x10 | scale << 2))
    clock.now_us = SECOND_US
    x, y, z = (int.from_bytes(get(chip, 0x28 + 2 * i, 2), "little", signed=True) for i in range(3))
    assert (x, y, z) == (round(0.5 / lsb), round(-1.25 / lsb), 32767)


def test_words_carry_tag_counter_and_parity_and_the_pointer_rolls():
    clock, chip = a_chip(lambda t_us: (t_us / 1e9, 0.0, 1.0))
    put(chip, (0x09, 1), (0x10, 0x10), (0x0A, 6))
    clock.now_us = 2 * SECOND_US
    n = fill(chip)
    data = get(chip, 0x78, 7 * n)
    tags = data[::7]
    assert all(tag >> 3 == 2 and tag.bit_count() % 2 == 0 for tag in tags)
    assert [tag >> 1 & 3 for tag in tags] == [(tags[0] >> 1) + i & 3 for i in range(n)]
    xs = [int.from_bytes(data[i + 1 : i + 3], "little") for i in range(7, 7 * n, 7)]
    assert xs == sorted(xs)
    assert len(set(xs)) > n // 2
    assert fill(chip) == 0
    assert get(chip, 0x78, 7) == bytes(7), "empty"


def test_byte_by_byte_is_the_same_word():
    words = []
    for piecewise in (False, True):
        clock, chip = a_chip()
        put(chip, (0x09, 1), (0x10, 0x18), (0x0A, 6))
        clock.now_us = SECOND_US
        chip.write(b"\x78")
        words.append(b"".join(chip.read(1) for _ in range(21)) if piecewise else chip.read(21))
        assert fill(chip) == 10
    assert words[0] == words[1]


def test_without_if_inc_the_pointer_stays():
    _, chip = a_chip()
    put(chip, (0x12, 0x00))
    assert get(chip, 0x0F, 3) == b"\x6c\x6c\x6c"


def test_continuous_mode_keeps_the_newest_and_latches_the_overrun():
    clock, chip = a_chip(lambda t_us: (t_us / 1e9, 0.0, 1.0))
    put(chip, (0x09, 1), (0x10, 0x10), (0x0A, 6))
    clock.now_us = 39 * SECOND_US
    assert get(chip, 0x3B)[0] & 0x68 == 0
    clock.now_us = 60 * SECOND_US
    assert fill(chip) == 512
    put(chip, (0x0A, 6))
    clock.now_us += SECOND_US
    assert get(chip, 0x3B)[0] & 0x68 == 0x68
    get(chip, 0x78, 7)
    assert get(chip, 0x3B)[0] & 0x48 == 0, "read, and the latch was read before"
    newest = get(chip, 0x78, 7 * 511)[-7:]
    assert abs(int.from_bytes(newest[1:3], "little") * 0.000061 - 0.061) < 0.0002


def test_fifo_mode_stops_when_full():
    clock, chip = a_chip(lambda t_us: (t_us / 1e9, 0.0, 1.0))
    put(chip, (0x09, 1), (0x10, 0x10), (0x0A, 1))
    clock.now_us = 100 * SECOND_US
    newest = get(chip, 0x78, 7 * 512)[-7:]
    assert abs(int.from_bytes(newest[1:3], "little") * 0.000061 - 0.0393) < 0.0002


def test_watermark_and_stop_on_it():
    clock, chip = a_chip()
    put(chip, (0x07, 20), (0x08, 0x80), (0x09, 1), (0x10, 0x10), (0x0A, 6))
    clock.now_us = SECOND_US
    assert get(chip, 0x3B)[0] & 0x80 == 0
    clock.now_us = 30 * SECOND_US
    assert fill(chip) == 20
    assert get(chip, 0x3B)[0] & 0x80


def test_bypass_empties_and_batching_needs_a_rate():
    clock, chip = a_chip()
    put(chip, (0x09, 1), (0x10, 0x10), (0x0A, 6))
    clock.now_us = SECOND_US
    assert fill(chip) == 13
    put(chip, (0x0A, 0))
    assert fill(chip) == 0
    put(chip, (0x09, 0), (0x0A, 6))
    clock.now_us = 2 * SECOND_US
    assert fill(chip) == 0


def test_bdu_holds_an_axis_until_both_bytes_are_read():
    clock, chip = a_chip(lambda t_us: (t_us / 1e7, 0.0, 1.0))
    put(chip, (0x12, 0x44), (0x10, 0x10))
    clock.now_us = SECOND_US
    low = get(chip, 0x28)[0]
    clock.now_us = 2 * SECOND_US
    value = low | get(chip, 0x29)[0] << 8
    assert abs(value * 0.000061 - 0.1) < 0.01
    clock.now_us = 3 * SECOND_US
    assert abs(int.from_bytes(get(chip, 0x28, 2), "little") * 0.000061 - 0.3) < 0.01


def test_reset_takes_its_time_and_forgets():
    clock, chip = a_chip()
    put(chip, (0x09, 1), (0x10, 0x10), (0x12, 0x01))
    with pytest.raises(OSError, match="5"):
        chip.read(1)
    clock.now_us += 50
    assert get(chip, 0x10) == get(chip, 0x09) == b"\x00"
    assert get(chip, 0x12) == b"\x04"
    chip.dead = True
    with pytest.raises(OSError, match="5"):
        chip.write(b"\x0f")


@pytest.mark.parametrize(("mode", "rms_g"), [((), 0.000179), (((0x15, 0x10),), 0.002), (((0x14, 0x80),), 0.0055)])
def test_noise_and_bias(mode, rms_g):
    clock, chip = a_chip(noise_ug=70.0, bias_g=(0.02, 0.0, -0.01))
    put(chip, *mode, (0x09, 1), (0x10, 0x18), (0x0A, 6))
    values = []
    for second in range(1, 101):
        clock.now_us = 30 * second * SECOND_US
        n = fill(chip)
        data = get(chip, 0x78, 7 * n)
        values += [int.from_bytes(data[i + 1 : i + 3], "little", signed=True) * 0.000122 for i in range(0, 7 * n, 7)]
    assert abs(statistics.fmean(values) - 0.02) < rms_g / 10 + 0.00002
    assert 0.95 * rms_g < statistics.pstdev(values[2:]) < 1.05 * rms_g + 0.00004


def test_a_day_away_costs_one_fifo():
    calls = 0

    def force(t_us):
        nonlocal calls
        calls += 1
        return 0.0, 0.0, 1.0

    clock, chip = a_chip(force)
    put(chip, (0x09, 1), (0x10, 0x10), (0x0A, 6))
    clock.now_us = 86_400 * SECOND_US
    assert fill(chip) == 512
    assert calls <= 514

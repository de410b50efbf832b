"""The chip models do what their data sheets say, beyond what our drivers use of it."""

import random
from types import SimpleNamespace

import pytest

from tools.twin.chips.a02yyuw import A02YYUW
from tools.twin.chips.ds18b20 import DS18B20
from tools.twin.chips.qmc5883l import QMC5883L
from tools.twin.chips.rm3100 import RM3100


@pytest.fixture
def clock():
    return SimpleNamespace(now_us=5_000_000)


def _sound(clock, mm=800.0, air_c=20.0, **nature):
    nature = {"sigma_mm": 0.0, "bias_mm": 0.0, "outliers": 0.0, "damage": 0.0, **nature}
    return A02YYUW(clock, lambda t: mm, lambda t: air_c, random.Random(1), **nature)


def _wait(clock, chip):
    clock.now_us = chip.next_us()
    return chip.take()


def test_a02yyuw_sends_frames_by_itself(clock):
    chip = _sound(clock, mm=1953.0)
    pauses = []
    for _ in range(50):
        before = clock.now_us
        assert _wait(clock, chip) == bytes.fromhex("ff07a1a7"), "the frame of the data sheet"
        pauses.append(clock.now_us - before)
    assert min(pauses) >= 100_000
    assert max(pauses) <= 300_000
    assert chip.take() == b""


@pytest.mark.parametrize(("air_c", "says"), [(20, 1000), (35, 975), (-5, 1046)])
def test_a02yyuw_counts_with_one_speed_of_sound(clock, air_c, says):
    frame = _wait(clock, _sound(clock, mm=1000.0, air_c=air_c))
    assert abs((frame[1] << 8 | frame[2]) - says) <= 1


@pytest.mark.parametrize("mm", [0.0, 29.0, 4600.0])
def test_a02yyuw_sends_0_where_it_sees_nothing(clock, mm):
    assert _wait(clock, _sound(clock, mm=mm)) == bytes.fromhex("ff0000ff")


def test_a02yyuw_share_of_outliers_and_damage(clock):
    chip = _sound(clock, outliers=0.1, damage=0.01)
    sent = b"".join(_wait(clock, chip) for _ in range(5000))
    right = sent.count(bytes.fromhex("ff032022")) / 5000
    assert 0.84 < right < 0.88, "0.9 x 0.99^4"


def test_a02yyuw_keeps_no_bytes_for_ever(clock):
    chip = _sound(clock)
    clock.now_us += 3600_000_000
    assert len(chip.take()) <= 4 * 51


def _read(chip, register, n=1):
    chip.write(bytes((register,)))
    return chip.read(n)


def _rm(clock, field=(10.0, -20.0, 30.0)):
    return RM3100(clock, lambda t: field, random.Random(2), noise_nt=0.0)


def _axes(chip):
    raw = _read(chip, 0x24, 9)
    return [int.from_bytes(raw[i : i + 3], "big", signed=True) for i in (0, 3, 6)]


def test_rm3100_after_power_on(clock):
    chip = _rm(clock)
    assert _read(chip, 0x36) == b"\x22"
    assert _read(chip, 0x04, 6) == bytes.fromhex("00c8" * 3)
    assert _read(chip, 0x34) == b"\x00"


def test_rm3100_single_measurement_takes_its_time(clock):
    chip = _rm(clock)
    chip.write(b"\x00\x70")
    clock.now_us += 6_000
    assert _read(chip, 0x34) == b"\x00"
    clock.now_us += 1_000
    assert _read(chip, 0x34) == b"\x80"
    assert _axes(chip) == [750, -1500, 2250]
    assert _read(chip, 0x34) == b"\x00", "reading a result ends DRDY"
    clock.now_us += 1_000_000
    assert _read(chip, 0x34) == b"\x00", "and it measures no more"


def test_rm3100_measures_the_axes_asked_for(clock):
    chip = _rm(clock)
    chip.write(b"\x00\x20")
    clock.now_us += 2_300
    assert _read(chip, 0x34) == b"\x80"
    assert _axes(chip) == [0, -1500, 0]


def test_rm3100_gain_follows_the_cycles(clock):
    chip = _rm(clock)
    chip.write(b"\x04\x00\x64\x00\x64\x00\x64")
    chip.write(b"\x00\x70")
    clock.now_us += 10_000
    assert _axes(chip)[2] == round(30 * 38.2)


def test_rm3100_continuous_mode(clock):
    chip = _rm(clock)
    chip.write(b"\x0b\x95")
    chip.write(b"\x01\x71")
    ready = 0
    for _ in range(1000):
        clock.now_us += 1_000
        if _read(chip, 0x34) == b"\x80":
            ready += 1
            _axes(chip)
    assert 73 <= ready <= 77, "TMRC 95 is 75 Hz"
    chip.write(b"\x00\x70")
    assert _read(chip, 0x00) == b"\x00", "POLL is ignored"
    chip.write(b"\x01\x00")
    clock.now_us += 100_000
    assert _read(chip, 0x34) == b"\x00"


def test_rm3100_does_not_answer(clock):
    chip = _rm(clock)
    chip.dead = True
    with pytest.raises(OSError, match="5"):
        chip.write(b"\x36")


def _qmc(clock, field=(10.0, -20.0, 30.0), chip_c=25.0, seed=3):
    return QMC5883L(clock, lambda t: field, lambda t: chip_c, random.Random(seed), noise_ut=0.0)


def _counts(chip):
    raw = _read(chip, 0, 6)
    return [int.from_bytes(raw[i : i + 2], "little", signed=True) for i in (0, 2, 4)]


def test_qmc5883l_rests_until_it_is_woken(clock):
    chip = _qmc(clock)
    clock.now_us += 1_000_000
    assert _read(chip, 6) == b"\x00"
    assert _read(chip, 0x0D) == b"\xff"


def test_qmc5883l_flags(clock):
    chip = _qmc(clock)
    chip.write(b"\x0b\x01")
    chip.write(b"\x09\x1d")
    clock.now_us += 5_000
    assert _read(chip, 6) == b"\x01"
    clock.now_us += 5_000
    assert _read(chip, 6) == b"\x05", "a measurement was not read: DOR"
    x, y, z = _counts(chip)
    assert abs(x - 300) < 45
    assert abs(y + 600) < 50
    assert abs(z - 900) < 55
    assert _read(chip, 6) == b"\x00"


@pytest.mark.parametrize(("control", "overflows"), [(0x0D, True), (0x1D, False)])
def test_qmc5883l_overflows_at_2_gauss(clock, control, overflows):
    chip = _qmc(clock, (0.0, 0.0, 300.0))
    chip.write(bytes((0x09, control)))
    clock.now_us += 5_000
    assert bool(_read(chip, 6)[0] & 2) is overflows


def test_qmc5883l_wanders_without_set_reset(clock):
    def wander(period):
        ends = []
        for chip_c in (-5.0, 35.0):
            chip = _qmc(clock, chip_c=chip_c)
            chip.write(bytes((0x0B, period)))
            chip.write(b"\x09\x0d")
            clock.now_us += 5_000
            ends.append(_counts(chip))
        return max(abs(a - b) for a, b in zip(*ends, strict=True)) / 120

    assert wander(1) < 3
    assert wander(0) > 2 * wander(1)


def test_qmc5883l_soft_reset(clock):
    chip = _qmc(clock)
    chip.write(b"\x09\x1d")
    chip.write(b"\x0a\x80")
    assert _read(chip, 9, 3) == b"\x00\x00\x00"


def _warmth(clock, celsius=21.4, **nature):
    return DS18B20(clock, lambda t: celsius, random.Random(4), bias_c=0.0, sigma_c=0.0, **nature)


def _command(chip, *command):
    assert chip.reset()
    for byte in command:
        chip.write_byte(byte)


def _pad(chip):
    _command(chip, 0xCC, 0xBE)
    return bytes(chip.read_byte() for _ in range(9))


def test_ds18b20_conversion_takes_its_time(clock):
    chip = _warmth(clock)
    assert _pad(chip) == bytes.fromhex("50054b467fff0c101c"), "power-on"
    _command(chip, 0xCC, 0x44)
    clock.now_us += 740_000
    assert chip.read_bit() == 0
    clock.now_us += 10_000
    assert chip.read_bit() == 1
    pad = _pad(chip)
    assert int.from_bytes(pad[:2], "little", signed=True) == round(21.4 * 16)


def test_ds18b20_resolution_shortens_it_and_is_kept(clock):
    chip = _warmth(clock, -21.4)
    _command(chip, 0xCC, 0x4E, 1, 2, 0x1F)
    _command(chip, 0xCC, 0x48)
    chip.power_on()
    assert _pad(chip)[2:5] == bytes((1, 2, 0x1F))
    _command(chip, 0xCC, 0x44)
    clock.now_us += 93_750
    assert int.from_bytes(_pad(chip)[:2], "little", signed=True) == -22 * 16 + 8


def test_ds18b20_answers_to_its_own_name(clock):
    chip = _warmth(clock)
    _command(chip, 0x33)
    assert bytes(chip.read_byte() for _ in range(8)) == chip.rom
    _command(chip, 0x55, *chip.rom, 0xBE)
    assert chip.read_byte() == 0x50
    _command(chip, 0x55, *chip.rom[:7], chip.rom[7] ^ 1, 0xBE)
    assert chip.read_byte() == 0xFF


def test_ds18b20_is_found_by_a_search(clock):
    chip = _warmth(clock)
    _command(chip, 0xF0)
    found = []
    for _ in range(64):
        bit, complement = chip.read_bit(), chip.read_bit()
        assert bit != complement
        found.append(bit)
        chip.write_bit(bit)
    assert bytes(sum(found[8 * i + k] << k for k in range(8)) for i in range(8)) == chip.rom
    assert _pad(chip)[0] == 0x50


def test_ds18b20_fed_by_its_line_browns_out(clock):
    chip = _warmth(clock, parasite=True)
    _command(chip, 0xCC, 0xB4)
    assert chip.read_bit() == 0
    _command(chip, 0xCC, 0x44)
    clock.now_us += 750_000
    assert _pad(chip)[:2] == b"\x50\x05"


def test_ds18b20_absent_or_shorted(clock):
    chip = _warmth(clock)
    chip.present = False
    assert not chip.reset()
    assert chip.read_byte() == 0xFF
    chip.shorted = True
    assert chip.reset()
    assert chip.read_byte() == 0

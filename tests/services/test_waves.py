"""The spectrum of waves on its own: many seas through the chip model, and what its parts must do."""

import itertools
import math
import random

import numpy as np
import pytest

from firmware.services import waves
from tools.twin.chips.lsm6dso import LSM6DSO
from tools.twin.world.sea import Buoy, Sea, jonswap

RECORD_S = 1024
CAPACITY = RECORD_S * 13021 // 4000


class Clock:
    now_us = 0


def measured(acceleration_g, rng, seconds=RECORD_S + 12, **chip_settings):
    """The Record that a chip on this acceleration gives, read as the data sheet says, and the chip."""
    clock = Clock()
    chip = LSM6DSO(clock, acceleration_g, rng, **chip_settings)
    for register, value in ((0x12, 0x44), (0x09, 0x01), (0x10, 0x18), (0x0A, 0x06)):
        chip.write(bytes((register, value)))
    record = waves.Record(CAPACITY)
    for second in range(20, seconds + 20, 20):
        clock.now_us = min(second, seconds) * 1_000_000
        chip.write(b"\x3a")
        low, high = chip.read(2)
        words = low | (high & 3) << 8
        chip.write(b"\x78")
        data = np.frombuffer(chip.read(7 * words), dtype=np.uint8).reshape(words, 7)[:, 1:]
        for x, y, z in data.copy().view("<i2").tolist():
            record.add(x, y, z)
    return record, chip


def analysed(record, rate_hz, spectrum=None):
    """(Hs in cm, Tp in 0.1 s or None) of a whole record."""
    spectrum = spectrum or waves.Spectrum(waves.segment(record.capacity))
    for _ in spectrum.work(record, min(record.capacity, record.count)):
        pass
    bin_hz, first, last = waves.elevation(spectrum, round(rate_hz * 1000))
    return waves.height_and_period(spectrum.psd, bin_hz, first, last)


def record_us(record, chip):
    """Start and end of what is analysed, by the chip's true rate."""
    end_us = (record.count + waves.STARTING) * 4e6 / chip.rate_hz()
    return round(end_us - record.capacity * 4e6 / chip.rate_hz()), round(end_us)


# Hs and Tp up to a steepness at which waves break; a swell below a wind sea; lists up to 15 degrees, wide swinging.
SEAS = [
    (0.3, 4.0, None), (0.9, 4.0, None), (0.3, 5.5, None), (1.5, 5.5, None), (0.5, 7.0, None), (1.2, 7.0, None),
    (2.5, 7.0, None), (0.3, 9.0, None), (2.0, 9.0, None), (4.0, 9.0, None), (1.0, 11.0, None), (5.0, 11.0, None),
    (0.3, 14.0, None), (2.0, 14.0, None), (5.0, 14.0, None), (1.0, 5.0, (0.4, 12.0)), (0.8, 4.5, (0.3, 14.0)),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(SEAS)))
def test_every_sea(case):
    """Hs within 10 % of 4 standard deviations of the elevation in the same record, Tp within a bin or 10 %."""
    hs_m, tp_s, swell = SEAS[case]
    rng = random.Random(case)
    sea = Sea(rng, hs_m=hs_m, tp_s=tp_s, swell=swell)
    buoy = Buoy(sea, rng, (48.6, -2.8), list_deg=(4.0, 10.0, 15.0)[case % 3], roll_deg=(2.0, 4.0)[case % 2])
    record, chip = measured(buoy.acceleration_g, rng)
    hs_cm, tp_ds = analysed(record, chip.rate_hz())
    start_us, end_us = record_us(record, chip)
    assert abs(hs_cm / 100 / buoy.significant_height_m(start_us, end_us) - 1) <= 0.10
    assert tp_ds is not None
    bin_s = chip.rate_hz() / 4 / waves.SEGMENT * tp_s * tp_s
    assert abs(tp_ds / 10 - tp_s) <= max(0.1 * tp_s, bin_s)


@pytest.mark.parametrize("tilt_deg", [0, 20])
@pytest.mark.parametrize(("amplitude_m", "period_s"), [(0.05, 2.0), (0.1, 5.0), (0.5, 9.3), (1.5, 13.7)])
def test_one_regular_wave(amplitude_m, period_s, tilt_deg):
    """4 x the standard deviation of a sine is 2 sqrt(2) amplitudes; its period is a time, not a frequency."""
    c, s = math.cos(math.radians(tilt_deg)), math.sin(math.radians(tilt_deg))
    w = 2 * math.pi / period_s

    def acceleration_g(t_us):
        up = 1 - amplitude_m * w * w * math.cos(w * t_us * 1e-6) / waves.G_M_S2
        return s * up, 0.0, c * up

    record, chip = measured(acceleration_g, random.Random(1), bias_g=(0.0, 0.0, 0.0))
    hs_cm, tp_ds = analysed(record, chip.rate_hz())
    assert abs(hs_cm / (200 * math.sqrt(2) * amplitude_m) - 1) <= 0.02 + 0.5 / hs_cm
    assert abs(tp_ds / 10 / period_s - 1) <= 0.02


def height_cm(disturbance, hs_m=1.0, tp_s=9.0, rate_hz=13.02):
    """Hs of an exact JONSWAP spectrum with disturbance(f_hz) in (m/s2)^2/Hz added to that of the acceleration."""
    spectrum = waves.Spectrum(waves.SEGMENT)
    bin_hz = rate_hz / 4 / waves.SEGMENT
    scale = 0.5 / (0.375 * waves.SEGMENT) / (rate_hz / 4) * (waves.COUNT_G / 2 * waves.G_M_S2) ** 2
    for k in range(1, len(spectrum.psd)):
        f_hz = k * bin_hz
        response = abs(np.sinc(4 * f_hz / rate_hz) / np.sinc(f_hz / rate_hz)) ** 6
        density = jonswap(f_hz, hs_m, tp_s) * (2 * math.pi * f_hz) ** 4 + disturbance(f_hz)
        spectrum.psd[k] = density * response / scale
    bin_hz, first, last = waves.elevation(spectrum, round(rate_hz * 1000))
    return waves.height_and_period(spectrum.psd, bin_hz, first, last)[0]


@pytest.mark.parametrize("level", [0.0, 1e-3, 1e-2])
def test_noise_below_the_waves_is_taken_away(level):
    """What falls with the frequency is measured and subtracted, under a swell too; a hump below the waves is cut off."""
    assert abs(height_cm(lambda f_hz: level * max(0.0, 1 - f_hz / 0.4), tp_s=13.0) - 100) <= 4
    assert abs(height_cm(lambda f_hz: level if 0.036 < f_hz < 0.062 else 0.0) - 100) <= 4


def test_a_swell_below_a_wind_sea_is_kept():
    def swell(f_hz):
        return jonswap(f_hz, 0.5, 15.0) * (2 * math.pi * f_hz) ** 4

    assert abs(height_cm(swell, 1.0, 5.0) - 100 * math.hypot(1.0, 0.5)) <= 4


def test_a_flat_sea_has_no_period():
    record, chip = measured(lambda t_us: (0.02, 0.01, 1.0), random.Random(2))
    hs_cm, tp_ds = analysed(record, chip.rate_hz())
    assert hs_cm < waves.FLAT_CM
    assert tp_ds is None


def test_single_precision_is_enough():
    """With buffers whose every sum and product is a single-precision float, as on boards, the answer is the same."""
    rng = random.Random(3)
    buoy = Buoy(Sea(rng, hs_m=0.5, tp_s=13.0), rng, (48.6, -2.8))
    record, chip = measured(buoy.acceleration_g, rng)
    double = analysed(record, chip.rate_hz())
    spectrum = waves.Spectrum(waves.SEGMENT)
    for name in ("_re", "_im", "_cos", "psd"):
        setattr(spectrum, name, np.array(getattr(spectrum, name), dtype=np.float32))
    single = analysed(record, chip.rate_hz(), spectrum)
    assert isinstance(spectrum.psd[20], np.float32)
    assert abs(single[0] - double[0]) <= 1
    assert abs(single[1] - double[1]) <= 1


class Samples:
    """A Record of given samples."""

    def __init__(self, values):
        self._values = values
        self.count = len(values)

    def get(self, i):
        return self._values[i]


@pytest.mark.parametrize("n", [64, 512])
def test_the_transform_is_a_fourier_transform(n):
    values = np.random.default_rng(4).integers(-8000, 8000, n)
    spectrum = waves.Spectrum(n)
    for _ in spectrum.work(Samples(values.tolist()), n):
        pass
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
    want = 4 * np.abs(np.fft.rfft((values - values.mean()) * window)) ** 2
    got = np.array(spectrum.psd)
    assert np.allclose(got[1:], want[1 : n // 4 + 1], rtol=1e-3, atol=want.max() * 1e-6)


def test_decimation_is_the_filter_that_the_spectrum_undoes():
    """Ten taps of (1 + z + z^2 + z^3)^3 / 64 of the magnitude, twice as fine, every fourth sample."""
    rng = np.random.default_rng(5)
    z = 8192 + rng.integers(-3000, 3000, 400)
    record = waves.Record(200)
    for value in z.tolist():
        record.add(0, 0, value)
    taps = np.convolve(np.convolve(np.ones(4), np.ones(4)), np.ones(4))
    want = np.convolve(z - 8192, taps, "valid")[2::4] / 32
    got = np.array([record.get(i) for i in range(record.count)])
    assert len(got) == len(want) == 98
    assert np.max(np.abs(got - want)) <= 1.0


def test_magnitude_of_any_sample():
    rng = random.Random(6)
    record = waves.Record(64)
    samples = [(0, 0, 0), (1, 0, 0), (-32768, -32768, -32768), (0, 0, 8192), (32767, 0, 0), (0, 3, 0)]
    samples += [tuple(rng.randint(-32768, 32767) for _ in range(3)) for _ in range(500)]
    for x, y, z in samples:
        true = math.sqrt(x * x + y * y + z * z)
        assert abs(record._root(x * x + y * y + z * z) - true) <= 1


def test_the_record_keeps_its_last_samples():
    record = waves.Record(300)
    for i in range(4 * 1000 + 8):
        record.add(0, 0, 8192 + i // 4)
    assert record.count == 1000
    newest = [record.get(i) for i in range(record.count - record.capacity, record.count)]
    assert all(b - a == 2 for a, b in itertools.pairwise(newest))
    record.reset()
    assert record.count == 0


@pytest.mark.parametrize(("samples", "n"), [(64, 64), (195, 64), (900, 256), (1023, 256), (1024, 512), (6000, 512)])
def test_segments_of_short_records(samples, n):
    assert waves.segment(samples) == n

"""Boards compute in single precision: the same code with float32 says the same to a millimetre and a nanotesla or two."""

import math
import random
from types import SimpleNamespace

import numpy as np
import pytest

from firmware.sensors import filters
from firmware.services import bin as bins


@pytest.fixture
def single(monkeypatch):
    short = SimpleNamespace(sqrt=lambda v: np.float32(math.sqrt(np.float32(v))))
    monkeypatch.setattr(bins, "math", short)
    monkeypatch.setattr(filters, "math", short)
    monkeypatch.setattr(filters, "float", np.float32, raising=False)


def test_sound(single):
    for air_dc in range(-300, 601):
        exact_m_s = 331.3 * (1 + air_dc / 2731.5) ** 0.5
        assert abs(bins.speed_of_sound_mm_s(np.float32(air_dc)) - exact_m_s * 1000) <= 0.6
        for mm in (30, 812, 4500):
            said = bins.compensate_mm(mm, np.float32(air_dc), np.float32(200))
            exact_mm = mm * exact_m_s / (331.3 * (1 + 200 / 2731.5) ** 0.5)
            assert abs(said - exact_mm) <= 0.6


def test_deviation(single):
    rng = random.Random(1)
    for _ in range(2000):
        a, b = ([rng.randrange(-12_800_000, 12_800_000) for _ in range(3)] for _ in range(2))  # 200 uT in 1/64 nT
        exact = sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) ** 0.5
        assert abs(filters.distance(a, b) - exact) <= 128, "2 nT"

"""The sea and its buoys: what nature must hold to."""

import itertools
import math
import random

import pytest

from tools.twin.world.sea import HOUR_US, Buoy, G, Sea, jonswap, wave_number

HOME = (48.65702, -2.7856)


def a_buoy(seed=1, *, hs_m=1.2, tp_s=7.0, depth_m=25.0, **buoy):
    rng = random.Random(seed)
    return Buoy(Sea(rng, hs_m=hs_m, tp_s=tp_s, depth_m=depth_m), rng, HOME, **buoy)


@pytest.mark.parametrize(("hs_m", "tp_s"), [(0.3, 4.0), (1.5, 7.0), (5.0, 14.0)])
def test_jonswap_has_its_height_and_peak(hs_m, tp_s):
    step = 0.0002
    grid = [i * step for i in range(50, 20000)]
    density = [jonswap(f, hs_m, tp_s) for f in grid]
    assert abs(4 * math.sqrt(sum(density) * step) / hs_m - 1) < 0.02
    assert abs(1 / grid[density.index(max(density))] / tp_s - 1) < 0.01


@pytest.mark.parametrize("seed", range(4))
def test_the_elevation_has_the_height_of_its_spectrum(seed):
    buoy = a_buoy(seed)
    assert abs(buoy.significant_height_m(0, 6 * HOUR_US // 2) / 1.2 - 1) < 0.12


@pytest.mark.parametrize("depth_m", [5.0, 25.0, 1000.0])
def test_dispersion(depth_m):
    for f_hz in (0.05, 0.1, 0.3, 1.0):
        k = wave_number(f_hz, depth_m)
        assert abs(G * k * math.tanh(k * depth_m) / (2 * math.pi * f_hz) ** 2 - 1) < 1e-9


def test_the_buoy_feels_the_second_derivative_of_its_elevation():
    """Upright and not following the slope, its third axis is gravity and the vertical acceleration."""
    buoy = a_buoy(list_deg=0.0, roll_deg=0.0, follow=0.0)
    h_us = 50_000
    for i in range(200):
        t_us = 10_000_000 + i * 137_000
        before, here, after = (buoy.elevation_m(t_us + d) for d in (-h_us, 0, h_us))
        second = (before - 2 * here + after) / (h_us * 1e-6) ** 2
        assert abs((buoy.acceleration_g(t_us)[2] - 1) * G - second) < 0.03


def test_in_deep_water_the_force_stands_on_the_surface():
    """Pressure is constant along a free surface: a hull that follows it entirely feels no force along its deck."""
    buoy = a_buoy(hs_m=0.6, depth_m=1000.0, list_deg=0.0, roll_deg=0.0, follow=1.0)
    still = a_buoy(hs_m=0.6, depth_m=1000.0, list_deg=0.0, roll_deg=0.0, follow=0.0)
    along, upright = [], []
    for i in range(500):
        t_us = i * 200_000
        along.append(math.hypot(*buoy.acceleration_g(t_us)[:2]))
        upright.append(math.hypot(*still.acceleration_g(t_us)[:2]))
    assert max(along) < 0.15 * max(upright)


def test_tilt_turns_the_force_and_keeps_its_magnitude():
    leaning, upright = a_buoy(list_deg=15.0), a_buoy(list_deg=0.0, roll_deg=0.0)
    tilts = []
    for i in range(500):
        t_us = i * 200_000
        assert abs(math.hypot(*leaning.acceleration_g(t_us)) - math.hypot(*upright.acceleration_g(t_us))) < 1e-9
        tilts.append(leaning.tilt_deg(t_us))
    assert 12 < sum(tilts) / len(tilts) < 20
    assert max(tilts) > 20


def test_it_is_a_function_of_time():
    """In whatever order it is asked, and however finely."""
    one, other = a_buoy(), a_buoy()
    times = [i * 76_803 for i in range(300)]
    forward = [one.acceleration_g(t_us) for t_us in times]
    backward = [other.acceleration_g(t_us) for t_us in reversed(times)]
    assert forward == backward[::-1]
    assert max(math.dist(a, b) for a, b in itertools.pairwise(forward)) < 0.25


def test_two_buoys_ride_different_waves_of_one_sea():
    rng = random.Random(3)
    sea = Sea(rng)
    one, other = Buoy(sea, rng, HOME), Buoy(sea, rng, HOME)
    heights = [(one.elevation_m(i * 500_000), other.elevation_m(i * 500_000)) for i in range(4000)]
    a, b = zip(*heights, strict=True)
    covariance = sum(x * y for x, y in heights) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))
    assert abs(covariance) < 0.3


def test_drawn_seas_do_not_break():
    for seed in range(50):
        sea = Sea(random.Random(seed))
        assert 0.4 <= sea.hs_m <= 2.2
        assert 4.0 <= sea.tp_s < 12.0
        assert sea.hs_m / (G * sea.tp_s**2 / 2 / math.pi) < 0.041


def test_tide_warmth_and_current():
    sea = Sea(random.Random(4), tide_m=3.9, water_c=14.5)
    tides = [sea.tide_m(i * HOUR_US // 6) for i in range(6 * 24 * 30)]
    high = [b for a, b, c in zip(tides, tides[1:], tides[2:], strict=False) if a < b > c]
    assert 56 <= len(high) <= 59, "two tides a day, each 50 minutes later"
    assert max(high) > 5.0
    assert min(high) < 3.0
    warmth = [sea.water_c(i * HOUR_US) for i in range(24 * 30)]
    assert 13.5 < min(warmth) < 14.3
    assert 14.7 < max(warmth) < 15.5
    for i in range(200):
        t_us = i * HOUR_US // 4
        rising = sea.tide_m(t_us + HOUR_US // 12) - sea.tide_m(t_us)
        assert abs(sea.current_m_s(t_us)) <= 0.6
        if abs(sea.current_m_s(t_us)) > 0.4:
            assert (rising > 0) == (sea.current_m_s(t_us) > 0)


def metres(position):
    east = (position[1] - HOME[1]) * math.cos(math.radians(HOME[0]))
    return math.hypot(position[0] - HOME[0], east) * 111_320


def test_the_mooring_holds_until_it_parts():
    buoy = a_buoy(circle_m=30.0, adrift_us=48 * HOUR_US)
    away = [metres(buoy.position_deg(i * HOUR_US // 10)) for i in range(480)]
    assert 5 < max(away) < 30
    assert max(abs(a - b) for a, b in itertools.pairwise(away)) < 15, "six minutes"
    assert metres(buoy.position_deg(50 * HOUR_US)) > 3000

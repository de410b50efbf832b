"""The world that bins and bays stand in: always the same for a seed, whatever is asked first, and believable."""

import itertools
import random

import pytest

from tools.twin.world.bins import Bin
from tools.twin.world.cars import CarPark
from tools.twin.world.weather import Weather

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US


def _weather(seed=1):
    return Weather(random.Random(seed))


def _bin(seed=1, **nature):
    return Bin(random.Random(seed), empty_mm=1200, full_mm=200, **nature)


def _park(seed=1, bays=4):
    return CarPark(random.Random(seed), _weather(seed).air_c, bays)




@pytest.mark.parametrize("what", ["air", "fill", "field", "occupied"])
def test_the_same_whatever_is_asked_first(what):
    def ask(times):
        weather, rubbish, park = _weather(), _bin(), _park()
        source = {
            "air": weather.air_c,
            "fill": rubbish.fill_mm,
            "field": lambda t_us: park.field_ut(2, t_us),
            "occupied": lambda t_us: park.occupied(1, t_us),
        }[what]
        return {t_us: source(t_us) for t_us in times}

    times = [int(t * 0.37 * HOUR_US) for t in range(300)]
    mixed = random.Random(3).sample(times, 300)
    assert ask(times) == ask(mixed)


def test_nights_are_colder_than_afternoons():
    weather = _weather()
    for day in range(10):
        night, afternoon = (weather.air_c(day * DAY_US + (h - 8) * HOUR_US) for h in (24 + 4, 15))
        assert 1 < afternoon - night < 16
    daily = [weather.air_c(day * DAY_US) for day in range(60)]
    assert 2 < max(daily) - min(daily) < 20
    steps = [abs(weather.air_c(t * 60_000_000) - weather.air_c((t + 1) * 60_000_000)) for t in range(3000)]
    assert max(steps) < 0.15, "it does not jump"


def test_bins_fill_by_day_and_are_emptied_in_the_morning():
    rubbish = _bin(2, days_to_full=1.5)
    changes = rubbish.changes(20 * DAY_US)
    assert changes == sorted(changes)
    emptied, thrown = [], [0.0] * 24
    before = rubbish.fill_mm(0)
    for t_us, after in changes:
        assert rubbish.fill_mm(t_us) == after
        assert rubbish.fill_mm(t_us - 1) == before
        hour = t_us // HOUR_US + 8
        if after < before and before > 20:
            emptied.append(hour % 24)
        else:
            thrown[hour % 24] += after - before
        before = after
    assert 18 <= len(emptied) <= 21
    assert set(emptied) <= {6, 7}
    assert sum(thrown[11:22]) > 8 * sum(thrown[0:6])
    assert all(0 <= fill <= 1120 for _, fill in changes)
    assert rubbish.distance_mm(0) == 1200 - rubbish.fill_mm(0)


def test_bays_are_taken_as_the_changes_say():
    park = _park()
    for bay in range(4):
        changes = park.changes(bay, 5 * DAY_US)
        assert len(changes) > 60
        for (t_us, taken), (next_us, next_taken) in itertools.pairwise(changes):
            assert taken != next_taken
            assert next_us - t_us > 40_000_000
            assert park.occupied(bay, t_us) is taken
            assert park.occupied(bay, t_us - 1) is not taken
            assert park.occupied(bay, next_us - 1) is taken
    shares = [sum(park.occupied(bay, h * HOUR_US // 4) for h in range(480)) / 480 for bay in range(4)]
    assert 0.3 < sum(shares) / 4 < 0.75


def test_cars_bend_the_field_and_neighbours_a_little():
    park = _park(4)
    own, beside = [], []
    for k in range(3000):
        t_us = k * 90_000_000
        off = [a - b for a, b in zip(park.field_ut(1, t_us), park.empty_ut(1), strict=True)]
        size = sum(v * v for v in off) ** 0.5
        near = park.occupied(0, t_us) + park.occupied(2, t_us)
        if park.occupied(1, t_us):
            own.append(size)
        elif near:
            beside.append(size)
    own.sort()
    beside.sort()
    assert 12 < own[len(own) // 2] < 35
    assert 0.5 < beside[len(beside) // 2] < 3


def test_field_changes_steadily_while_a_car_rolls_in():
    park = _park(6)
    rest_us = next(t for t, taken in park.changes(1, DAY_US) if taken)
    path = [park.field_ut(1, rest_us + k * 5_000) for k in range(-2000, 200)]
    jumps = [max(abs(a - b) for a, b in zip(p, q, strict=True)) for p, q in itertools.pairwise(path)]
    assert max(jumps) < 6
    assert path[-1] == pytest.approx(path[-10], abs=0.2)

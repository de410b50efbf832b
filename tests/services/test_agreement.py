"""What the services say agrees with the world, which shares no code with them: the very drivers and services in real
MicroPython, on chip models with the noise of their data sheets."""

import bisect
import json
import random
import struct
from pathlib import Path

import mp
import pytest

from tools.twin.world.bins import Bin
from tools.twin.world.cars import CarPark
from tools.twin.world.weather import Weather

HERE = Path(__file__).parent
SENSORS = HERE.parent / "sensors"
SAMPLE_S = 10
DWELL_S = 30


def _desk(script, *args):
    return mp.run(HERE / script, path=[SENSORS], args=args, timeout_s=120).splitlines()


def test_fill_within_2_cm(tmp_path):
    """Six bins, from -5 to 35 Cel, one echo in ten false: every report is within 2 cm of the rubbish."""
    bins = [Bin(random.Random(seed), empty_mm=1200, full_mm=200) for seed in range(6)]
    rows = []
    steps = 250
    for step in range(steps):
        air_c = -5 + 40 * step / (steps - 1)
        for i, one in enumerate(bins):
            rows.append((i, one.distance_mm(step * 1_800_000_000), air_c))
    table = tmp_path / "table"
    table.write_bytes(b"".join(struct.pack("<3i", i, round(mm * 100), round(c * 100)) for i, mm, c in rows))
    lines = _desk("desk_bin.py", table, 300)
    assert len(lines) == len(rows)
    assert min(mm for _, mm, _ in rows) < 350, "the bins were filled"
    worst_mm = 0.0
    for (i, true_mm, air_c), line in zip(rows, lines, strict=True):
        said, reading = json.loads(line)
        assert said == i
        assert "-7" not in reading, line
        assert abs(reading["2"] / 10 - air_c) <= 0.7
        worst_mm = max(worst_mm, abs(reading["4"] - true_mm))
        fill = max(0.0, min(100.0, (1200 - true_mm) / 10))
        assert abs(reading["3"] - fill) <= 2.5, "2 cm of 1 m, rounded to whole percent"
    assert worst_mm <= 20


def _park(seed, hours, bays, **nature):
    rng = random.Random(seed)
    weather = Weather(rng)
    park = CarPark(rng, weather.air_c, bays, stay_s=1800, gap_s=1200, **nature)
    rows = bytearray()
    for bay in range(bays):
        for second in range(0, hours * 3600, SAMPLE_S):
            t_us = second * 1_000_000
            x, y, z = (round(ut * 1000) for ut in park.field_ut(bay, t_us))
            rows += struct.pack("<4i", x, y, z, round(weather.air_c(t_us) * 100))
    return park, bytes(rows)


def _judge(true, said, until_s):
    """(share of samples right while empty, while taken, samples of each, worst delay of a change that was said)."""
    t_true, t_said = [t for t, _ in true], [t for t, _ in said]
    right, n = [0, 0], [0, 0]
    for t in range(600, until_s, SAMPLE_S):  # the first ten minutes are for finding the baseline
        i, j = bisect.bisect_right(t_true, t), bisect.bisect_right(t_said, t)
        taken = true[i - 1][1] if i else not true[0][1]
        told = said[j - 1][1] if j else not said[0][1]
        n[taken] += 1
        right[taken] += taken == told
    # Each change that was said belongs to the latest true change to that state.
    late_s = [min((t - u for u, v in true if v == taken and u <= t), default=0) for t, taken in said]
    return right, n, late_s


@pytest.mark.parametrize("chip", ["rm3100", "qmc5883l"])
def test_occupancy_right_in_98_percent_of_each_class(chip, tmp_path):
    """Six bays in a row for more than a day: neighbours, cars that drive past, drift with the temperature."""
    hours, bays = 28, 6
    park, rows = _park(5, hours, bays)
    table = tmp_path / "table"
    table.write_bytes(rows)
    said = [[] for _ in range(bays)]
    for line in _desk("desk_parking.py", chip, table, hours * 3600):
        bay, second, taken = map(int, line.split())
        said[bay].append((second, bool(taken)))
    changes, right, n, late = 0, [0, 0], [0, 0], []
    for bay in range(bays):
        true = [(t_us / 1e6, taken) for t_us, taken in park.changes(bay, hours * 3_600_000_000)]
        changes += len(true)
        r, m, late_s = _judge(true, said[bay], hours * 3600)
        right = [a + b for a, b in zip(right, r, strict=True)]
        n = [a + b for a, b in zip(n, m, strict=True)]
        late += late_s
        assert abs(len(true) - len(said[bay])) <= 4, f"bay {bay}"
    assert changes >= 200
    assert right[False] / n[False] >= 0.98
    assert right[True] / n[True] >= 0.98
    assert max(late) <= DWELL_S

"""What the services say agrees with the world, which shares no code with them: the very drivers and services in real
MicroPython, on chip models with the noise of their data sheets."""

import bisect
import json
import random
import struct
from pathlib import Path

import mp
import pytest

from firmware.services.parking import Bay
from tools.twin.world.bins import Bin
from tools.twin.world.cars import CarPark
from tools.twin.world.weather import Weather

HERE = Path(__file__).parent
SENSORS = HERE.parent / "sensors"
SAMPLE_S = 10
DWELL_S = 30
WAKE_S = 7 * 3600


def _desk(script, *args):
    return mp.run(HERE / script, path=[SENSORS], args=args, timeout_s=120).splitlines()


def fill_run(folder):
    """Six bins, from -5 to 35 Cel, one echo in ten false: rows of (true mm, air Cel, what the service reports)."""
    bins = [Bin(random.Random(seed), empty_mm=1200, full_mm=200) for seed in range(6)]
    rows = []
    steps = 250
    for step in range(steps):
        air_c = -5 + 40 * step / (steps - 1)
        for i, one in enumerate(bins):
            rows.append((i, one.distance_mm(step * 1_800_000_000), air_c))
    table = folder / "table"
    table.write_bytes(b"".join(struct.pack("<3i", i, round(mm * 100), round(c * 100)) for i, mm, c in rows))
    said = [json.loads(line) for line in _desk("desk_bin.py", table, 300)]
    assert [i for i, _ in said] == [i for i, _, _ in rows]
    return [(mm, air_c, reading) for (_, mm, air_c), (_, reading) in zip(rows, said, strict=True)]


def test_fill_within_2_cm(tmp_path):
    """Every report is within 2 cm of the rubbish."""
    rows = fill_run(tmp_path)
    assert len(rows) == 1500
    assert min(mm for mm, _, _ in rows) < 350, "the bins were filled"
    for true_mm, air_c, reading in rows:
        assert "-7" not in reading
        assert abs(reading["2"] / 10 - air_c) <= 0.7
        assert abs(reading["4"] - true_mm) <= 20
        fill = max(0.0, min(100.0, (1200 - true_mm) / 10))
        assert abs(reading["3"] - fill) <= 2.5, "2 cm of 1 m, rounded to whole percent"


def _park(seed, bays, **nature):
    rng = random.Random(seed)
    weather = Weather(rng, start_s=WAKE_S)
    return CarPark(rng, weather.air_c, bays, start_s=WAKE_S, stay_s=1500, gap_s=1100, **nature), weather


def _changes(park, bay, until_s):
    return [(t_us / 1e6, taken) for t_us, taken in park.changes(bay, until_s * 1_000_000)]


class Score:
    """Samples right and samples in all, [empty, taken]; delays of the changes that were told, s."""

    def __init__(self):
        self.right, self.n, self.late_s, self.changes = [0, 0], [0, 0], [], 0

    def bay(self, true, said, from_s, until_s):
        """Add a bay: true and told changes, (second, taken); samples count from from_s to until_s."""
        t_true, t_said = [t for t, _ in true], [t for t, _ in said]
        for t in range(from_s, until_s, SAMPLE_S):
            i, j = bisect.bisect_right(t_true, t), bisect.bisect_right(t_said, t)
            taken = true[i - 1][1] if i else not true[0][1]
            told = said[j - 1][1] if j else not said[0][1]
            self.n[taken] += 1
            self.right[taken] += taken == told
        # A change that was told belongs to the latest true one to that state: one that never was is late for long.
        told = [(t, taken) for t, taken in said if t >= from_s]
        self.late_s += [min((t - u for u, v in true if v == taken and u <= t), default=0) for t, taken in told]
        self.changes += sum(t >= from_s for t in t_true)

    def shares(self):
        """Shares of the samples that are right, [empty, taken]."""
        return [self.right[i] / self.n[i] for i in (False, True)]


def occupancy_run(chip, written, folder):
    """Six bays in a row from seven to midnight: neighbours, cars that drive past, drift with the temperature.

    The empty bay's field is written down when the sensor is set, or learned; what is learned counts once it is sure."""
    until_s, bays = 17 * 3600, 6
    park, weather = _park(5, bays)
    rows = bytearray()
    for bay in range(bays):
        rows += struct.pack("<4i", *(round(ut * 1000) for ut in park.empty_ut(bay)), 1500)
        for second in range(0, until_s, SAMPLE_S):
            t_us = second * 1_000_000
            x, y, z = (round(ut * 1000) for ut in park.field_ut(bay, t_us))
            rows += struct.pack("<4i", x, y, z, round(weather.air_c(t_us) * 100))
    table = folder / "table"
    table.write_bytes(rows)
    said, sure_s = [[] for _ in range(bays)], {}
    for line in _desk("desk_parking.py", chip, table, until_s, int(written)):
        bay, second, what = line.split()
        if what == "sure":
            sure_s[int(bay)] = int(second)
        else:
            said[int(bay)].append((int(second), what == "1"))
    score = Score()
    for bay in range(bays):
        true = _changes(park, bay, until_s)
        assert written or sure_s[bay] <= true[3][0]
        score.bay(true, said[bay], sure_s[bay] + DWELL_S, until_s)
    return score


@pytest.mark.parametrize(("chip", "written"), [("rm3100", True), ("qmc5883l", False)])
def test_occupancy_right_in_98_percent_of_each_class(chip, written, tmp_path):
    score = occupancy_run(chip, written, tmp_path)
    assert score.changes >= 200
    assert min(score.shares()) >= 0.98
    assert max(score.late_s) <= DWELL_S
    assert abs(len(score.late_s) - score.changes) <= 0.02 * score.changes


def test_occupancy_while_the_field_drifts_by_20_ut_a_day():
    """The detector alone, on a sensor as noisy as a QMC5883L, with ten to twenty times the usual drift."""
    until_s, bays = 48 * 3600, 3
    park, _ = _park(8, bays, drift_ut_per_c=2.0)
    noise = random.Random(1)
    score = Score()
    swing_ut = 0.0
    for bay_no in range(bays):
        bay, said = Bay({}), []
        path = []
        for second in range(0, until_s, SAMPLE_S):
            t_us = second * 1_000_000
            nt = [round(ut * 1000 + noise.gauss(0, 200)) for ut in park.field_ut(bay_no, t_us)]
            if bay.update(*nt, second):
                said.append((second, bay.occupied))
            if not park.occupied(bay_no, t_us):
                path.append(nt)
        swing_ut = max(swing_ut, *((max(axis) - min(axis)) / 1000 for axis in zip(*path, strict=True)))
        score.bay(_changes(park, bay_no, until_s), said, 600, until_s)
    assert score.changes >= 100
    assert swing_ut > 15
    assert min(score.shares()) >= 0.95

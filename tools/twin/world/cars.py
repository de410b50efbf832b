"""A row of parking bays: cars come and go, and each bends the Earth's magnetic field as its iron does.

Along x runs a bay (out of it is positive), along y the row, z is down; a sensor lies in the middle of each bay. Fields in
uT. A car is a handful of magnetic dipoles: engine, axles, floor, so that neighbours and cars that drive past come out of
the same law. A bay is taken from when a car has come to rest in it until it has left the bay wholly.
"""

import bisect
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
# How much is going on, by the hour of the day.
DAY_CURVE = (1, 1, 1, 1, 1, 2, 4, 7, 9, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 9, 7, 5, 3, 2)
PITCH_M = 2.5
FREE_M = 4.7  # a car whose middle is farther out has left the bay
AWAY_M = 14.0
LANE_M = 6.5
LEAST_STAY_US = 90_000_000
LEAST_GAP_US = 45_000_000
EARTH_UT = (22.0, 5.0, 40.0)
REFERENCE_C = 15.0

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Car:
    """Dipoles: (x from the middle of the car, height above the sensor, moment), m and A m2."""

    dipoles: tuple[tuple[float, float, Vector], ...]

    def field_ut(self, x_m: float, y_m: float) -> Vector:
        """The car's own field at the sensor when its middle is at (x, y) from it: mu0 / 4 pi (3 (m r) r / r^5 - m / r^3)."""
        bx = by = bz = 0.0
        for along_m, height_m, (mx, my, mz) in self.dipoles:
            rx, ry, rz = -(x_m + along_m), -y_m, height_m
            r2 = rx * rx + ry * ry + rz * rz
            r3 = 0.1 / (r2 * math.sqrt(r2))
            dot = 3 * (mx * rx + my * ry + mz * rz) / r2
            bx += (dot * rx - mx) * r3
            by += (dot * ry - my) * r3
            bz += (dot * rz - mz) * r3
        return bx, by, bz


def some_car(rng: random.Random) -> Car:
    """A car as they come: magnetised by the Earth's field downward and along, and by its making any which way."""
    nose = rng.choice((-1, 1))

    def iron(along_m: float, height_m: float, moment: float) -> tuple[float, float, Vector]:
        made = [rng.gauss(0, 0.35) * moment for _ in range(3)]
        strength = rng.uniform(0.7, 1.3) * moment
        return along_m, height_m, (made[0] + 0.45 * strength, made[1], made[2] + 0.9 * strength)

    parts = [iron(nose * rng.uniform(1.1, 1.6), 0.6, 90), iron(-nose * rng.uniform(1.1, 1.5), 0.4, 45)]
    parts += [iron(along_m, rng.uniform(0.35, 0.5), 12) for along_m in (-0.8, -0.3, 0.3, 0.8)]
    return Car(tuple(parts))


@dataclass(frozen=True)
class Visit:
    """One car in one bay: at rest from rest_us, rolls out at start_us with an acceleration in m/s2, off the marks by
    x and y; the bay is free at gone_us."""

    bay: int
    rest_us: int
    start_us: int
    car: Car
    x_m: float
    y_m: float
    m_s2: float
    still: dict[int, Vector] = field(default_factory=dict, compare=False)

    @property
    def gone_us(self) -> int:
        """When the bay is free again."""
        return self.start_us + int(math.sqrt(2 * FREE_M / self.m_s2) * 1e6)

    @property
    def ride_us(self) -> int:
        """How long it is near before it rests and after it has started."""
        return int(math.sqrt(2 * AWAY_M / self.m_s2) * 1e6)

    def field_ut(self, bay: int, t_us: int) -> Vector:
        """Its field at the sensor of a bay."""
        off_us = max(self.rest_us - t_us, t_us - self.start_us)
        if off_us > self.ride_us:
            return 0.0, 0.0, 0.0
        y_m = (self.bay - bay) * PITCH_M + self.y_m
        if off_us > 0:
            return self.car.field_ut(self.x_m + 0.5 * self.m_s2 * (off_us / 1e6) ** 2, y_m)
        if bay not in self.still:
            self.still[bay] = self.car.field_ut(self.x_m, y_m)
        return self.still[bay]


class CarPark:
    """Bays 0 to bays - 1, and one more at either end that nobody measures.

    air_c(t_us): temperature of the air; start_s: time of day at t = 0, s; stay_s, gap_s: means by day;
    drift_ut_per_c: by how much the field of ground and mount drifts with the temperature, along each axis at most;
    empty_ut: the empty bays' fields at 15 Cel where they are known, None where not.
    """

    def __init__(
        self,
        rng: random.Random,
        air_c: Callable[[int], float],
        bays: int,
        *,
        start_s: int = 8 * 3600,
        stay_s: float = 2700.0,
        gap_s: float = 1500.0,
        drift_ut_per_c: float = 0.1,
        empty_ut: Sequence[Vector | None] = (),
    ) -> None:
        self.bays = bays
        self._air_c = air_c
        self._start_us = start_s * 1_000_000
        self._stay_s = stay_s
        self._gap_s = gap_s
        self._earth = [_around(rng, EARTH_UT, 1.0) for _ in range(bays)]
        for bay, known_ut in enumerate(empty_ut):
            self._earth[bay] = known_ut or self._earth[bay]
        self._drift = [_around(rng, (0.0, 0.0, 0.0), drift_ut_per_c) for _ in range(bays)]
        self._rows = [_Row(self, random.Random(rng.getrandbits(64)), bay) for bay in range(-1, bays + 1)]
        self._lane = _Lane(self, random.Random(rng.getrandbits(64)))

    def occupied(self, bay: int, t_us: int) -> bool:
        """Whether the bay is taken."""
        visit = self._rows[bay + 1].at(t_us)
        return visit.rest_us <= t_us < visit.gone_us

    def field_ut(self, bay: int, t_us: int) -> Vector:
        """The field at the sensor of a bay: Earth, drift, and every car near it."""
        warmer_c = self._air_c(t_us) - REFERENCE_C
        total = [e + d * warmer_c for e, d in zip(self._earth[bay], self._drift[bay], strict=True)]
        for row in self._rows[max(0, bay - 1) : bay + 4]:
            if row.at(t_us).bay - bay in (-2, -1, 0, 1, 2):
                _add(total, row.at(t_us).field_ut(bay, t_us))
        self._lane.add_to(total, bay, t_us)
        return total[0], total[1], total[2]

    def empty_ut(self, bay: int) -> Vector:
        """The field of the empty bay at 15 Cel with nobody near: what is measured when a sensor is set."""
        return self._earth[bay]

    def changes(self, bay: int, until_us: int) -> list[tuple[int, bool]]:
        """Every change of a bay from t = 0 to until_us: (t_us, taken after it)."""
        row = self._rows[bay + 1]
        row.at(until_us)
        both = [(t, taken) for v in row.visits for t, taken in ((v.rest_us, True), (v.gone_us, False))]
        return [(t_us, taken) for t_us, taken in both if 0 <= t_us <= until_us]

    def busy(self, t_us: int) -> float:
        """How much is going on, 0.1 to 1."""
        return DAY_CURVE[(t_us + self._start_us) // HOUR_US % 24] / 10

    def stay_us(self, rng: random.Random) -> int:
        """How long a car stays."""
        return max(LEAST_STAY_US, int(self._stay_s * rng.lognormvariate(-0.32, 0.8) * 1e6))

    def gap_us(self, rng: random.Random, t_us: int) -> int:
        """How long a bay stays free from t_us on."""
        return LEAST_GAP_US + int(rng.expovariate(1.0) * self._gap_s / self.busy(t_us) * 1e6)


class _Row:
    """The visits of one bay, in order."""

    def __init__(self, park: CarPark, rng: random.Random, bay: int) -> None:
        self._park = park
        self._rng = rng
        self._bay = bay
        self.visits: list[Visit] = []
        self._near_us: list[int] = []
        self._next(-DAY_US // 4)

    def at(self, t_us: int) -> Visit:
        """The visit that is near its bay, or the one before, or the first."""
        while self.visits[-1].gone_us < t_us + DAY_US // 24:
            self._next(self.visits[-1].gone_us)
        return self.visits[max(0, bisect.bisect_right(self._near_us, t_us) - 1)]

    def _next(self, from_us: int) -> None:
        rng = self._rng
        rest_us = from_us + self._park.gap_us(rng, from_us)
        start_us = rest_us + self._park.stay_us(rng)
        place = (max(-0.5, min(0.5, rng.gauss(0, 0.2))), max(-0.35, min(0.35, rng.gauss(0, 0.15))))
        visit = Visit(self._bay, rest_us, start_us, some_car(rng), *place, rng.uniform(0.5, 1.0))
        self.visits.append(visit)
        self._near_us.append(rest_us - visit.ride_us)


class _Lane:
    """Cars that drive past."""

    def __init__(self, park: CarPark, rng: random.Random) -> None:
        self._park = park
        self._rng = rng
        self._t_us = [-DAY_US // 24]
        self._cars = [(some_car(rng), 4.0)]

    def add_to(self, total: list[float], bay: int, t_us: int) -> None:
        """Add the field of the cars in the lane within 20 m of a bay."""
        while self._t_us[-1] < t_us + 60_000_000:
            often = self._park.busy(self._t_us[-1]) / 90
            self._t_us.append(self._t_us[-1] + int(self._rng.expovariate(often) * 1e6))
            self._cars.append((some_car(self._rng), self._rng.uniform(2.0, 7.0)))
        last = bisect.bisect_right(self._t_us, t_us + 30_000_000)
        for i in range(bisect.bisect_left(self._t_us, t_us - 60_000_000), last):
            car, m_s = self._cars[i]
            y_m = (t_us - self._t_us[i]) / 1e6 * m_s - bay * PITCH_M
            if abs(y_m) < 20:
                _add(total, car.field_ut(LANE_M, y_m))


def _around(rng: random.Random, centre: Vector, by: float) -> Vector:
    x, y, z = (c + rng.uniform(-by, by) for c in centre)
    return x, y, z


def _add(total: list[float], more: Vector) -> None:
    for i in range(3):
        total[i] += more[i]

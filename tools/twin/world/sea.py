"""The sea off the town: tide, waves, water temperature, and buoys that ride on it.

Waves are a JONSWAP sea (Hasselmann et al. 1973) as a sum of seeded components with directions spread about the wind's,
linear theory in water of finite depth. Everything is a function of time alone, the same whatever was asked before.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from operator import mul

G = 9.80665
HOUR_US = 3_600_000_000
GRID_US = 200_000  # waves end at 1.1 Hz: between points 0.2 s apart the motion is smooth
METRES_A_DEGREE = 111_320.0
HIGHEST_HZ = 1.1
Vector = tuple[float, float, float]
STEP = 0.03  # of the peak frequency: how far apart the components are about the peak


def jonswap(f_hz: float, hs_m: float, tp_s: float, gamma: float = 3.3) -> float:
    """JONSWAP spectral density of the elevation in m2/Hz, by significant height and peak period."""
    fp = 1 / tp_s
    sigma = 0.07 if f_hz <= fp else 0.09
    peak = math.pow(gamma, math.exp(-((f_hz / fp - 1) ** 2) / (2 * sigma * sigma)))
    shape = 0.3125 * hs_m * hs_m * math.pow(fp, 4) / math.pow(f_hz, 5) * math.exp(-1.25 * (fp / f_hz) ** 4)
    return (1 - 0.287 * math.log(gamma)) * shape * peak


def wave_number(f_hz: float, depth_m: float) -> float:
    """Wave number in rad/m by the dispersion relation w^2 = g k tanh(k d)."""
    deep = (2 * math.pi * f_hz) ** 2 / G
    k = deep / math.sqrt(math.tanh(deep * depth_m))
    for _ in range(20):
        t = math.tanh(k * depth_m)
        slope = t + k * depth_m * (1 - t * t)
        k -= (k * t - deep) / slope
    return k


def _amplitudes(rng: random.Random, hs_m: float, tp_s: float, gamma: float) -> list[tuple[float, float]]:
    """Frequencies in Hz and amplitudes in m: one in each of many bands, narrow about the peak and wider beyond."""
    found = []
    low = 0.6 / tp_s  # below, a JONSWAP sea has nothing
    while low < HIGHEST_HZ:
        width = STEP / tp_s * max(1.0, low * tp_s / 1.5) ** 2
        f_hz = low + rng.random() * width
        found.append((f_hz, math.sqrt(2 * jonswap(f_hz, hs_m, tp_s, gamma) * width)))
        low += width
    return found


class Sea:
    """Waves, tide and warmth of one stretch of sea; every Buoy on it has the same waves, each at its place.

    hs_m, tp_s: significant height and peak period, drawn unless given; swell: a second system (hs_m, tp_s) beside it;
    to_deg: where the waves go, clockwise from north; spread_deg: of the directions; tide_m: half the mean range; water_c:
    mean temperature.
    """

    def __init__(
        self,
        rng: random.Random,
        *,
        hs_m: float | None = None,
        tp_s: float | None = None,
        gamma: float = 3.3,
        swell: tuple[float, float] | None = None,
        to_deg: float = 225.0,
        spread_deg: float = 25.0,
        depth_m: float = 25.0,
        tide_m: float = 3.9,
        water_c: float = 14.5,
    ) -> None:
        self.hs_m = rng.uniform(0.4, 2.2) if hs_m is None else hs_m
        steepness = rng.uniform(0.01, 0.04)  # height over the length of the peak's waves
        self.tp_s = max(4.0, math.sqrt(self.hs_m * 2 * math.pi / G / steepness)) if tp_s is None else tp_s
        self.depth_m = depth_m
        self._tide_m = tide_m
        self._water_c = water_c
        self._tide_phase = rng.uniform(0, 2 * math.pi)
        self._warm_phase = rng.uniform(0, 2 * math.pi)
        # of each component: rad/s, m, rad/m, direction (sine and cosine from north), phase
        self.components: list[tuple[float, float, float, float, float, float]] = []
        for height_m, period_s in [(self.hs_m, self.tp_s), *([swell] if swell else [])]:
            for f_hz, amplitude_m in _amplitudes(rng, height_m, period_s, gamma):
                towards = math.radians(rng.gauss(to_deg, spread_deg))
                phase = rng.uniform(0, 2 * math.pi)
                k = wave_number(f_hz, depth_m)
                self.components.append((2 * math.pi * f_hz, amplitude_m, k, math.sin(towards), math.cos(towards), phase))

    def tide_m(self, t_us: int) -> float:
        """Height of the water above its mean, m: the moon's and the sun's half-day tides."""
        h = t_us / HOUR_US
        moon = math.cos(2 * math.pi * h / 12.4206 + self._tide_phase)
        return self._tide_m * (moon + 0.37 * math.cos(2 * math.pi * h / 12.0))

    def current_m_s(self, t_us: int) -> float:
        """Tidal current, m/s: strongest at half tide, the flood positive."""
        h = t_us / HOUR_US
        return -0.6 * math.sin(2 * math.pi * h / 12.4206 + self._tide_phase)

    def water_c(self, t_us: int) -> float:
        """Temperature of the water at a buoy's hull, Cel: a little warmer in the afternoon and at low water."""
        h = t_us / HOUR_US
        day = 0.4 * math.sin(2 * math.pi * h / 24 + self._warm_phase)
        return self._water_c + day - 0.15 * self.tide_m(t_us) / max(self._tide_m, 0.1)


class Buoy:
    """A buoy at anchor that follows the surface; position (latitude, longitude) is that of the anchor, degrees.

    list_deg: its steady tilt; roll_deg: rms of its own swinging of about 2.4 s, which waves keep going; follow: the share
    of the surface's slope that the hull follows; circle_m: radius within which the mooring lets it drift. After
    `adrift_us` the mooring has parted.
    """

    def __init__(
        self,
        sea: Sea,
        rng: random.Random,
        position: tuple[float, float],
        *,
        list_deg: float = 4.0,
        roll_deg: float = 3.0,
        follow: float = 0.8,
        circle_m: float = 30.0,
        adrift_us: int | None = None,
    ) -> None:
        self._sea = sea
        self._anchor = position
        self._follow = follow
        self._circle_m = circle_m
        self.adrift_us = adrift_us
        self._list = (math.radians(list_deg), rng.uniform(0, 2 * math.pi))
        self._yaw = (rng.uniform(0, 2 * math.pi), rng.uniform(0.2, 0.5), rng.uniform(200, 500))
        self._swings = [
            (2 * math.pi * rng.uniform(0.36, 0.48), math.radians(roll_deg) / 2, axis, rng.uniform(0, 2 * math.pi))
            for axis in (0, 0, 0, 0, 1, 1, 1, 1)
        ]
        self._drifts = [(rng.uniform(0.2, 0.35), rng.uniform(900, 4000), rng.uniform(0, 6.28)) for _ in range(4)]
        self._place(rng)
        self._grid: dict[int, Vector] = {}
        self._window: tuple[Vector, Vector, Vector, Vector] = ((0.0, 0.0, 1.0),) * 4
        self._window_at: int | None = None

    def _place(self, rng: random.Random) -> None:
        """Lay out the sums: one row a component, at this buoy's place."""
        depth_m = self._sea.depth_m
        x_m, y_m = rng.uniform(0, 5000), rng.uniform(0, 5000)  # where on the sea: waves differ from buoy to buoy
        rows = []
        for w, amplitude_m, k, east, north, phase in self._sea.components:
            wide = amplitude_m * w * w / math.tanh(k * depth_m)  # horizontal acceleration at the surface
            at = phase - k * (x_m * east + y_m * north)
            rows.append((w, at, amplitude_m, amplitude_m * w * w, wide * east, wide * north,
                         amplitude_m * k * east, amplitude_m * k * north))  # fmt: skip
        columns = list(zip(*rows, strict=True))
        self._w, self._phase = columns[0], columns[1]
        self._up_m, self._up, self._east, self._north, self._slope_e, self._slope_n = columns[2:]

    def elevation_m(self, t_us: int) -> float:
        """Height of the surface and of the buoy by waves alone, m."""
        return _dot(self._up_m, [math.cos(w * t_us * 1e-6 + p) for w, p in zip(self._w, self._phase, strict=True)])

    def significant_height_m(self, start_us: int, end_us: int) -> float:
        """4 x the standard deviation of the elevation over a record, m."""
        n = max(2, (end_us - start_us) // 400_000)
        heights = [self.elevation_m(start_us + i * (end_us - start_us) // n) for i in range(n)]
        mean = sum(heights) / n
        return 4 * math.sqrt(sum((h - mean) ** 2 for h in heights) / n)

    def acceleration_g(self, t_us: int) -> Vector:
        """Specific force in the axes of the buoy's body (z its mast), g: what an accelerometer in it feels."""
        i, part = divmod(t_us, GRID_US)
        if i != self._window_at:
            self._window = (self._force(i - 1), self._force(i), self._force(i + 1), self._force(i + 2))
            self._window_at = i
        (ax, ay, az), (bx, by, bz), (cx, cy, cz), (dx, dy, dz) = self._window
        x = part / GRID_US  # Catmull and Rom's cubic through the four
        a, b = x * (-0.5 + x * (1 - 0.5 * x)), 1 + x * x * (1.5 * x - 2.5)
        c, d = x * (0.5 + x * (2 - 1.5 * x)), x * x * (0.5 * x - 0.5)
        return (
            a * ax + b * bx + c * cx + d * dx,
            a * ay + b * by + c * cy + d * dy,
            a * az + b * bz + c * cz + d * dz,
        )

    def tilt_deg(self, t_us: int) -> float:
        """Angle between mast and vertical, degrees."""
        _, sines = self._waves(t_us * 1e-6)
        east, north = self._lean(t_us * 1e-6, sines)
        return math.degrees(math.acos(math.cos(east) * math.cos(north)))

    def position_deg(self, t_us: int) -> tuple[float, float]:
        """Latitude and longitude, degrees."""
        h = t_us / HOUR_US
        swing = 0.4 * self._sea.current_m_s(t_us) / 0.6
        parts = [a * math.sin(2 * math.pi * h * 3600 / period_s + p) for a, period_s, p in self._drifts]
        east_m = self._circle_m * (swing + parts[0] + parts[1]) * 0.7
        north_m = self._circle_m * (parts[2] + parts[3]) * 0.7
        if self.adrift_us is not None and t_us > self.adrift_us:
            east_m += 0.5 * (t_us - self.adrift_us) * 1e-6  # carried off by half a metre a second
        latitude, longitude = self._anchor
        return (
            latitude + north_m / METRES_A_DEGREE,
            longitude + east_m / METRES_A_DEGREE / math.cos(math.radians(latitude)),
        )

    # -- motion

    def _waves(self, t_s: float) -> tuple[list[float], list[float]]:
        """Cosines and sines of the components at a time."""
        angles = [w * t_s + p for w, p in zip(self._w, self._phase, strict=True)]
        return [math.cos(a) for a in angles], [math.sin(a) for a in angles]

    def _lean(self, t_s: float, sines: Sequence[float]) -> tuple[float, float]:
        """Lean of the mast to east and north, rad: its list, down the slope that it follows, its own swinging."""
        angle, at = self._list
        east = angle * math.cos(at) - self._follow * math.atan(_dot(self._slope_e, sines))
        north = angle * math.sin(at) - self._follow * math.atan(_dot(self._slope_n, sines))
        for w, amplitude, axis, phase in self._swings:
            swing = amplitude * math.sqrt(2) * math.sin(w * t_s + phase)
            if axis:
                north += swing
            else:
                east += swing
        return east, north

    def _force(self, i: int) -> Vector:
        """Specific force in body axes at grid point i, remembered: neighbours ask for the same points."""
        known = self._grid.get(i)
        if known is None:
            if len(self._grid) > 64:
                self._grid.clear()
            known = self._grid[i] = self._compute(i * GRID_US * 1e-6)
        return known

    def _compute(self, t_s: float) -> Vector:
        cosines, sines = self._waves(t_s)
        up = 1 - _dot(self._up, cosines) / G
        # under a crest the water moves with the wave, so on its front slope (slope < 0) it gains speed
        east_a, north_a = -_dot(self._east, sines) / G, -_dot(self._north, sines) / G
        lean_e, lean_n = self._lean(t_s, sines)
        base, swing, period_s = self._yaw
        yaw = base + swing * math.sin(2 * math.pi * t_s / period_s)
        return _rotate((east_a, north_a, up), lean_e, lean_n, yaw)


def _rotate(force: Vector, east: float, north: float, yaw: float) -> Vector:
    """World axes (east, north, up) into those of a body leaning `east` and `north` and turned by `yaw`, rad."""
    x, y, z = force
    c, s = math.cos(east), math.sin(east)
    x, z = x * c - z * s, x * s + z * c
    c, s = math.cos(north), math.sin(north)
    y, z = y * c - z * s, y * s + z * c
    c, s = math.cos(yaw), math.sin(yaw)
    return x * c + y * s, y * c - x * s, z


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    total: float = sum(map(mul, a, b))
    return total

"""The weather of the town: air temperature with days and nights, warmer and colder days, clouds."""

import math
import random

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
WARMEST_H = 15.0


class Weather:
    """Air temperature at any time, the same whatever was asked before.

    start_s: time of day at t = 0, s; mean_c: mean of the season; swing_c: from night to afternoon of a clear day.
    """

    def __init__(
        self, rng: random.Random, *, start_s: int = 8 * 3600, mean_c: float = 18.0, swing_c: float = 9.0
    ) -> None:
        self._seed = rng.getrandbits(64)
        self._start_us = start_s * 1_000_000
        self._mean_c = mean_c
        self._swing_c = swing_c
        self._days: dict[int, tuple[float, float]] = {}

    def air_c(self, t_us: int) -> float:
        """Temperature of the air in the shade, Cel."""
        day, in_day = divmod(t_us + self._start_us, DAY_US)
        part = in_day / DAY_US
        (warm_a, clear_a), (warm_b, clear_b) = self._day(day), self._day(day + 1)
        blend = (1 - math.cos(math.pi * part)) / 2
        warm_c = warm_a + (warm_b - warm_a) * blend
        clear = clear_a + (clear_b - clear_a) * blend
        wave = math.cos(2 * math.pi * (part - WARMEST_H / 24))
        gust_c = 0.3 * math.sin(2 * math.pi * t_us / (37 * HOUR_US / 60)) * clear
        return self._mean_c + warm_c + self._swing_c / 2 * clear * wave + gust_c

    def _day(self, day: int) -> tuple[float, float]:
        """How much warmer than the mean a day begins, and how clear its sky is (0.4 to 1)."""
        if day not in self._days:
            rng = random.Random(self._seed + day)
            self._days[day] = (rng.gauss(0, 2.0), rng.uniform(0.4, 1.0))
        return self._days[day]

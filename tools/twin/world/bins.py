"""Rubbish: people throw things in by day, it piles up, a lorry comes in the early morning."""

import bisect
import random

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
# How much is thrown in, by the hour of the day: little at night, most at noon and in the evening.
DAY_CURVE = (1, 1, 0, 0, 0, 1, 2, 4, 5, 6, 7, 9, 12, 12, 8, 7, 7, 8, 10, 12, 11, 8, 5, 3)
THROWN_MM = 14.0
BRIM_MM = 120  # how far rubbish can pile up above what counts as full


class Bin:
    """One bin. empty_mm, full_mm: distances from under the lid to the bottom and to the highest filling; start_s: time of
    day at t = 0, s; days_to_full: how fast people fill it; rounds_h: when the lorry comes, hours of the day."""

    def __init__(
        self,
        rng: random.Random,
        *,
        empty_mm: int,
        full_mm: int,
        start_s: int = 8 * 3600,
        days_to_full: float = 1.3,
        rounds_h: tuple[float, ...] = (6.5,),
    ) -> None:
        self._rng = rng
        self._start_us = start_s * 1_000_000
        self.empty_mm = empty_mm
        self.full_mm = full_mm
        self._rounds_h = rounds_h
        self._thrown_a_day = (empty_mm - full_mm) / days_to_full / THROWN_MM
        self._highest_mm = max(empty_mm - full_mm, min(empty_mm - 40, empty_mm - full_mm + BRIM_MM))
        first_day, _ = divmod(self._start_us, DAY_US)
        self._day = first_day
        self._t_us = [-DAY_US]
        self._fill_mm = [rng.uniform(0.0, 0.6) * (empty_mm - full_mm)]

    def fill_mm(self, t_us: int) -> float:
        """Height of the rubbish above the bottom, mm."""
        self._know(t_us)
        return self._fill_mm[bisect.bisect_right(self._t_us, t_us) - 1]

    def distance_mm(self, t_us: int) -> float:
        """From under the lid down to the rubbish, mm."""
        return self.empty_mm - self.fill_mm(t_us)

    def percent(self, t_us: int) -> float:
        """Fill from 0 to 100."""
        return max(0.0, min(100.0, 100 * self.fill_mm(t_us) / (self.empty_mm - self.full_mm)))

    def changes(self, until_us: int) -> list[tuple[int, float]]:
        """Every change from t = 0 to until_us: (t_us, fill_mm after it)."""
        self._know(until_us)
        first = bisect.bisect_left(self._t_us, 0)
        last = bisect.bisect_right(self._t_us, until_us)
        return list(zip(self._t_us[first:last], self._fill_mm[first:last], strict=True))

    def _know(self, t_us: int) -> None:
        """Let the days happen up to t_us, one after the other."""
        while self._day * DAY_US - self._start_us <= t_us:
            self._live(self._day)
            self._day += 1

    def _live(self, day: int) -> None:
        midnight_us = day * DAY_US - self._start_us
        events: list[tuple[int, float]] = []
        for hour, weight in enumerate(DAY_CURVE):
            mean = self._thrown_a_day * weight / sum(DAY_CURVE)
            wait = self._rng.expovariate(1.0)
            while mean and wait < mean:
                t_us = midnight_us + int((hour + self._rng.random()) * HOUR_US)
                events.append((t_us, min(90.0, self._rng.expovariate(1 / THROWN_MM))))
                wait += self._rng.expovariate(1.0)
        for round_h in self._rounds_h:
            late_h = self._rng.uniform(-0.4, 0.6)
            events.append((midnight_us + int((round_h + late_h) * HOUR_US), -1.0))
        for t_us, thrown_mm in sorted(events):
            before_mm = self._fill_mm[-1]
            emptied = thrown_mm < 0
            after_mm = self._rng.uniform(0, 15) if emptied else min(self._highest_mm, before_mm + thrown_mm)
            self._t_us.append(t_us)
            self._fill_mm.append(after_mm)

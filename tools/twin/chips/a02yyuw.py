"""Model of the A02YYUW ultrasonic distance sensor, UART output, after its data sheet.

9600 8N1; a frame FF, high, low, sum every 100 to 300 ms; sum = (FF + high + low) & FF; millimetres. Range 30 to 4500 mm,
accuracy +-1 cm; outside and without an echo it sends 0. It measures the time of flight and counts with one fixed speed
of sound, so that its reading scales with the air's temperature.
"""

import math

TYPE_CHECKING = False  # MicroPython has no typing; type checkers take this name for true
if TYPE_CHECKING:
    from collections.abc import Callable

    from tools.twin.chips.kinds import Clock, Rng

BYTE_US = 1_000_000 * 10 // 9600
FRAME_US = 4 * BYTE_US
PERIOD_US = (100_000, 300_000)
NEAREST_MM = 30
FARTHEST_MM = 4500
ASSUMED_M_S = 343.2  # the speed of sound at 20 Cel
OLDEST_US = 5_000_000  # what was sent longer ago is in no receiver's buffer any more


class A02YYUW:
    """The sensor on its UART.

    distance_mm(t_us): true distance to the surface; air_c(t_us): air temperature between. outliers: share of frames with
    a false echo or none; damage: share of bytes with a wrong bit or missing. Attributes: `powered` (also pin "power"),
    `silent` (a dead part).
    """

    def __init__(
        self,
        clock: "Clock",
        distance_mm: "Callable[[int], float]",
        air_c: "Callable[[int], float]",
        rng: "Rng",
        *,
        sigma_mm: float = 2.5,
        bias_mm: "float | None" = None,
        outliers: float = 0.1,
        damage: float = 0.002,
        powered: bool = True,
    ) -> None:
        self._clock = clock
        self._distance_mm = distance_mm
        self._air_c = air_c
        self._rng = rng
        self._sigma_mm = sigma_mm
        self._bias_mm = rng.random() * 8 - 4 if bias_mm is None else bias_mm
        self._outliers = outliers
        self.damage = damage
        self.silent = False
        self.on_edge: Callable[[str, int], None] | None = None
        self._powered = powered
        self._next_us = clock.now_us + self._pause_us()

    @property
    def powered(self) -> bool:
        """Whether the supply is on; the first frame comes a period after it."""
        return self._powered

    @powered.setter
    def powered(self, on: bool) -> None:
        if on and not self._powered:
            self._next_us = self._clock.now_us + self._pause_us()
        self._powered = on

    def set_pin(self, name: str, level: int) -> None:
        """The pin "power" switches the supply."""
        if name == "power":
            self.powered = bool(level)

    def get_pin(self, name: str) -> int:
        """The sensor drives no pin."""
        return 0

    def next_us(self) -> "int | None":
        """When the next frame will have arrived completely, None when none will come."""
        return self._next_us if self._powered and not self.silent else None

    def take(self) -> bytes:
        """All bytes that have arrived since the last take, at most those of the last 5 s."""
        sent = b""
        now_us = self._clock.now_us
        if self._powered and not self.silent:
            self._next_us = max(self._next_us, now_us - OLDEST_US)
            while self._next_us <= now_us:
                sent += self._damaged(self._frame(self._next_us - FRAME_US))
                self._next_us += self._pause_us()
        return sent

    def write(self, data: bytes) -> None:
        """The receiving line only chooses between processed and raw values; this model always processes."""

    def _pause_us(self) -> int:
        return PERIOD_US[0] + int(self._rng.random() * (PERIOD_US[1] - PERIOD_US[0]))

    def _frame(self, t_us: int) -> bytes:
        mm = self._measure(t_us)
        high, low = mm >> 8, mm & 0xFF
        return bytes((0xFF, high, low, (0xFF + high + low) & 0xFF))

    def _measure(self, t_us: int) -> int:
        """The millimetres that the sensor sends; 0 for no echo and for what lies in its blind zone."""
        true_mm = self._distance_mm(t_us)
        chance = self._rng.random()
        way_mm = self._false_echo(true_mm, chance / self._outliers) if chance < self._outliers else true_mm
        speed_m_s = 331.3 * math.sqrt(1 + self._air_c(t_us) / 273.15)
        mm = way_mm * ASSUMED_M_S / speed_m_s + self._bias_mm + self._rng.gauss(0, self._sigma_mm)
        return int(mm + 0.5) if NEAREST_MM <= mm <= FARTHEST_MM and true_mm >= NEAREST_MM else 0

    def _false_echo(self, true_mm: float, kind: float) -> float:
        """From the wall on the way, from a second reflection or from nowhere."""
        if kind < 0.45:
            return true_mm * (0.3 + 0.65 * self._rng.random())
        if kind < 0.9:
            return true_mm * (1.05 + 0.95 * self._rng.random())
        return FARTHEST_MM * 2.0

    def _damaged(self, frame: bytes) -> bytes:
        out = bytearray()
        for byte in frame:
            chance = self._rng.random()
            if chance < self.damage / 2:
                continue
            if chance < self.damage:
                byte ^= 1 << int(self._rng.random() * 8)  # noqa: PLW2901
            out.append(byte)
        return bytes(out)

"""Model of a GPS receiver with NMEA 0183 output at 9600 baud, as u-blox receivers of generations 6 to 8 send it.

Once a second, some 50 to 150 ms after the full second: RMC, VTG, GGA, GSA, GSV and GLL, with `$`, checksum and CR LF.
Without a fix RMC says V, GGA quality 0, and their position fields are empty; the time comes earlier than the position.
After power-on it needs `cold_s` to the first fix, `hot_s` when it had a fix less than four hours ago. The position errs
slowly (Gauss-Markov, a minute) and a little from second to second; HDOP falls in the first seconds of a fix.
"""

import math

TYPE_CHECKING = False  # MicroPython has no typing; type checkers take this name for true
if TYPE_CHECKING:
    from collections.abc import Callable

    from tools.twin.chips.kinds import Clock, Rng

SECOND_US = 1_000_000
BYTE_US = SECOND_US * 10 // 9600
HOT_US = 4 * 3600 * SECOND_US  # as long as its orbit data are good
SLOW_S = 60.0
METRES_A_DEGREE = 111_320.0
OLDEST_US = 2 * SECOND_US  # what was sent longer ago is in no receiver's buffer any more


class GPS:
    """The receiver on its UART; position_deg(t_us) -> (latitude, longitude) in degrees.

    unix_s: the date at t = 0; cold_s, hot_s: mean times to first fix; sigma_m: slow error of each axis; damage: share of
    sentences with a wrong, missing or doubled byte. Attributes: `powered` (also pin "power"), `silent` (a dead part),
    `blind` (no sky: never a fix).
    """

    def __init__(
        self,
        clock: "Clock",
        position_deg: "Callable[[int], tuple[float, float]]",
        rng: "Rng",
        *,
        unix_s: int = 1_764_000_000,
        powered: bool = False,
        cold_s: float = 29.0,
        hot_s: float = 2.0,
        sigma_m: float = 2.0,
        damage: float = 0.002,
        talker: str = "GP",
    ) -> None:
        self._clock = clock
        self._position_deg = position_deg
        self._rng = rng
        self._unix_s = unix_s
        self._cold_s = cold_s
        self._hot_s = hot_s
        self._sigma_m = sigma_m
        self.damage = damage
        self._talker = talker
        self.silent = False
        self.blind = False
        self.on_edge: Callable[[str, int], None] | None = None
        self._powered = False
        self._had_fix_us: int | None = None
        self._fix_us = 0
        self._error_m = (rng.gauss(0, sigma_m), rng.gauss(0, sigma_m))
        self._error_us = clock.now_us
        self._second = 0
        self._sent: list[tuple[int, bytes]] = []  # (complete at, sentence) of the second under way
        self.powered = powered

    @property
    def powered(self) -> bool:
        """Whether the supply is on."""
        return self._powered

    @powered.setter
    def powered(self, on: bool) -> None:
        now_us = self._clock.now_us
        if on and not self._powered:
            hot = self._had_fix_us is not None and now_us - self._had_fix_us < HOT_US
            wait_s = self._hot_s if hot else self._cold_s
            self._fix_us = now_us + int(wait_s * (0.7 + 0.8 * self._rng.random()) * SECOND_US)
            self._second = now_us // SECOND_US
            self._sent = []
        elif self._powered and not on and now_us >= self._fix_us and not self.blind:
            self._had_fix_us = now_us
        self._powered = on

    def set_pin(self, name: str, level: int) -> None:
        """The pin "power": 1 switches the supply on."""
        self.powered = bool(level)

    def get_pin(self, name: str) -> int:
        """The level of the pin "power"."""
        return int(self._powered)

    def next_us(self) -> "int | None":
        """When the next sentence will have arrived completely, None when none will come."""
        if not self._powered or self.silent:
            return None
        while not self._sent:
            self._second += 1
            self._send(self._second * SECOND_US)
        return self._sent[0][0]

    def take(self) -> bytes:
        """All bytes that have arrived since the last take, at most those of the last 2 s."""
        now_us = self._clock.now_us
        got = b""
        oldest = (now_us - OLDEST_US) // SECOND_US
        if oldest > self._second:
            self._second = oldest
            self._sent = []
        next_us = self.next_us()
        while next_us is not None and next_us <= now_us:
            got += self._sent.pop(0)[1]
            next_us = self.next_us()
        return got

    def write(self, data: bytes) -> None:
        """It takes no commands."""

    # -- sentences

    def _send(self, second_us: int) -> None:
        """Put what follows the full second into `_sent`."""
        at_us = second_us + 50_000 + int(self._rng.random() * 100_000)
        for body in self._sentences(second_us):
            line = f"${body}*{_checksum(body):02X}\r\n".encode()
            line = self._damaged(line)
            at_us += len(line) * BYTE_US
            self._sent.append((at_us, line))

    def _sentences(self, t_us: int) -> list[str]:
        fix_s = (t_us - self._fix_us) / SECOND_US
        fixed = fix_s >= 0 and not self.blind
        unix_s = self._unix_s + t_us // SECOND_US
        time, date = _time_and_date(unix_s) if fixed or fix_s > -self._cold_s / 2 else ("", "")
        place = self._place(t_us) if fixed else ",,,"
        hdop = 0.9 + 3.5 * math.exp(-max(0.0, fix_s) / 4) + 0.2 * self._rng.random() if fixed else 99.99
        used = min(10, 4 + int(fix_s)) if fixed else 0
        talker = self._talker
        height = f"{45 + self._rng.gauss(0, 2):.1f},M,48.0,M" if fixed else ",,,"
        speed = f"{abs(self._rng.gauss(0, 0.2)):.3f}" if fixed else ""
        seen = "".join(f",{3 * i + 2:02d},{(17 * i) % 80 + 5:02d},{(97 * i) % 360:03d},{30 + i}" for i in range(4))
        return [
            f"{talker}RMC,{time},{'A' if fixed else 'V'},{place},{speed},,{date},,,{'A' if fixed else 'N'}",
            f"{talker}VTG,,,,,,,,,{'A' if fixed else 'N'}",
            f"{talker}GGA,{time},{place},{int(fixed)},{used:02d},{hdop:.2f},{height},,",
            f"{talker}GSA,A,{3 if fixed else 1},02,05,08,11,,,,,,,,,{hdop + 0.8:.2f},{hdop:.2f},{hdop + 0.5:.2f}",
            f"{talker}GSV,2,1,08{seen}",
            f"{talker}GSV,2,2,08{seen}",
            f"{talker}GLL,{place},{time},{'A' if fixed else 'V'},{'A' if fixed else 'N'}",
        ]

    def _place(self, t_us: int) -> str:
        latitude, longitude = self._position_deg(t_us)
        north_m, east_m = self._error(t_us)
        latitude += (north_m + self._rng.gauss(0, 0.4)) / METRES_A_DEGREE
        longitude += (east_m + self._rng.gauss(0, 0.4)) / METRES_A_DEGREE / math.cos(math.radians(latitude))
        longitude = (longitude + 180) % 360 - 180
        north, east = "N" if latitude >= 0 else "S", "E" if longitude >= 0 else "W"
        return f"{_degrees(latitude, 2)},{north},{_degrees(longitude, 3)},{east}"

    def _error(self, t_us: int) -> "tuple[float, float]":
        """The slow error, north and east, m."""
        keep = math.exp(-max(0, t_us - self._error_us) / SECOND_US / SLOW_S)
        kick_m = self._sigma_m * math.sqrt(1 - keep * keep)
        north_m, east_m = self._error_m
        self._error_m = (keep * north_m + self._rng.gauss(0, kick_m), keep * east_m + self._rng.gauss(0, kick_m))
        self._error_us = max(t_us, self._error_us)
        return self._error_m

    def _damaged(self, line: bytes) -> bytes:
        if self._rng.random() >= self.damage:
            return line
        at = int(self._rng.random() * len(line))
        kind = self._rng.random()
        if kind < 0.4:
            return line[:at] + line[at + 1 :]
        if kind < 0.5:
            return line[:at] + line[at : at + 1] + line[at:]
        return line[:at] + bytes((line[at] ^ 1 << int(self._rng.random() * 7),)) + line[at + 1 :]


def _checksum(body: str) -> int:
    total = 0
    for char in body:
        total ^= ord(char)
    return total


def _degrees(value: float, digits: int) -> str:
    """Degrees and decimal minutes, as NMEA writes them: ddmm.mmmmm."""
    units = round(abs(value) * 60 * 100_000)
    whole, units = divmod(units, 6_000_000)
    return f"{whole:0{digits}d}{units // 100_000:02d}.{units % 100_000:05d}"


def _time_and_date(unix_s: int) -> "tuple[str, str]":
    """hhmmss.ss and ddmmyy of a unix time, by the civil calendar."""
    days, second = divmod(unix_s, 86_400)
    days += 719_468
    era, in_era = divmod(days, 146_097)
    year = (in_era - in_era // 1460 + in_era // 36_524 - in_era // 146_096) // 365
    in_year = in_era - (365 * year + year // 4 - year // 100)
    month = (5 * in_year + 2) // 153
    day = in_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    year += era * 400 + (1 if month <= 2 else 0)
    return (
        f"{second // 3600:02d}{second // 60 % 60:02d}{second % 60:02d}.00",
        f"{day:02d}{month:02d}{year % 100:02d}",
    )

"""A GPS receiver that sends NMEA 0183 sentences (9600 baud, 8N1), of which RMC and GGA count.

Positions are integers of 1e-5 degree, a little more than a metre: single-precision floats would lose half of it.
"""

import asyncio

from firmware.wire.errors import DeviceError

BAUD = 9600
SLICE_MS = 100  # 96 bytes arrive in it, the receive buffer holds 256
HDOP_MAX_X100 = 250
SETTLED = 3  # good positions in a row, of which the last is the answer
WAIT_S = 90
LONGEST = 82  # characters of a sentence, by the standard


class Parser:
    """Reads sentences byte by byte. Attributes: `sound` and `bad` count sentences with a right and a wrong checksum;
    lat_e5, lon_e5: the newest good position."""

    def __init__(self):
        self.sound = 0
        self.bad = 0
        self.lat_e5 = 0
        self.lon_e5 = 0
        self._line = bytearray(LONGEST)
        self._n = -1  # -1: between sentences
        self._valid = False  # what the last RMC said
        self._commas = bytearray(24)

    def feed(self, byte):
        """Take one byte. Return None, True when it completes a good position, False when one that is not good."""
        if byte == 0x24:  # $
            if self._n >= 0:
                self.bad += 1
            self._n = 0
        elif self._n < 0:
            pass
        elif byte == 0x0D:
            n, self._n = self._n, -1
            if self._checked(n):
                self.sound += 1
                return self._understand(n - 3)
            self.bad += 1
        elif self._n == LONGEST:
            self._n = -1
            self.bad += 1
        else:
            self._line[self._n] = byte
            self._n += 1
        return None

    def _checked(self, n):
        line = self._line
        if n < 9 or line[n - 3] != 0x2A:  # *
            return False
        total = 0
        for i in range(n - 3):
            total ^= line[i]
        return total == _hex(line[n - 2]) << 4 | _hex(line[n - 1])

    def _understand(self, n):
        line = self._line
        count = 0
        for i in range(n):
            if line[i] == 0x2C and count < len(self._commas):
                self._commas[count] = i
                count += 1
        kind = line[2] << 16 | line[3] << 8 | line[4]
        if kind == 0x524D43 and count >= 9:  # RMC
            self._valid = line[self._commas[1] + 1] == 0x41  # A
        elif kind == 0x474741 and count >= 14:  # GGA
            return self._position()
        return None

    def _position(self):
        """GGA: time, latitude, N, longitude, E, quality, satellites, HDOP, ..."""
        at = self._commas
        quality = self._decimal(5, 0)
        hdop_x100 = self._decimal(7, 2)
        latitude = self._decimal(1, 5)
        longitude = self._decimal(3, 5)
        if not self._valid or latitude is None or longitude is None or hdop_x100 is None:
            return False
        if quality not in (1, 2, 3, 4, 5) or hdop_x100 > HDOP_MAX_X100:
            return False
        lat_e5, lon_e5 = _e5(latitude), _e5(longitude)
        if lat_e5 > 9_000_000 or lon_e5 > 18_000_000:
            return False
        self.lat_e5 = -lat_e5 if self._line[at[2] + 1] == 0x53 else lat_e5  # S
        self.lon_e5 = -lon_e5 if self._line[at[4] + 1] == 0x57 else lon_e5  # W
        return True

    def _decimal(self, field, digits):
        """The field after comma number `field` times 10^digits, None when it is empty or no plain number."""
        line = self._line
        i = self._commas[field] + 1
        value = 0
        left = -1  # digits still to come after the point; -1 before it
        if line[i] == 0x2C:
            return None
        while line[i] != 0x2C:
            digit = line[i] - 0x30
            i += 1
            if digit == -2 and left < 0:
                left = digits
            elif not 0 <= digit <= 9:
                return None
            elif left:
                value = value * 10 + digit
                left -= left > 0
        for _ in range(digits if left < 0 else left):
            value *= 10
        return value


def _hex(char):
    if 0x30 <= char <= 0x39:
        return char - 0x30
    return char - 0x37 if 0x41 <= char <= 0x46 else 0x100


def _e5(value):
    """1e-5 degree of dddmm.mmmmm times 1e5, rounded."""
    return value // 10_000_000 * 100_000 + (value % 10_000_000 + 30) // 60


class NMEA:
    """The receiver on a machine.UART whose read does not wait; power: the machine.Pin that switches it on, or None.

    answer_ms: what `read` may take at most.
    """

    answer_ms = WAIT_S * 1000 + 5000

    def __init__(self, uart, power=None):
        self._uart = uart
        self._power = power
        self._chunk = bytearray(64)
        self._parser = Parser()
        self._bytes = self._good = 0

    def begin(self):
        """Switch it on and forget what came before."""
        if self._power:
            self._power.value(1)
        while self._uart.any():
            self._uart.readinto(self._chunk)
        self._parser = Parser()
        self._bytes = self._good = 0

    def end(self):
        """Switch it off."""
        if self._power:
            self._power.value(0)

    def poll(self):
        """Read what has come; call it every SLICE_MS. Return (lat_e5, lon_e5) once the position has settled, else None."""
        uart = self._uart
        parser = self._parser
        while uart.any():
            got = uart.readinto(self._chunk) or 0
            self._bytes += got
            for i in range(got):
                good = parser.feed(self._chunk[i])
                if good is None:
                    continue
                self._good = self._good + 1 if good else 0
                if self._good == SETTLED:
                    return parser.lat_e5, parser.lon_e5
        return None

    def fault(self):
        """Why there is no position: DeviceError sensor_silent (no byte), sensor_checksum (no sound sentence), sensor_range
        (no position, or none that is good enough)."""
        return DeviceError("sensor_range" if self._parser.sound else "sensor_checksum" if self._bytes else "sensor_silent")

    async def read(self, wait_s=WAIT_S):
        """Return (lat_e5, lon_e5); takes from 3 s to wait_s. Raises what fault() says."""
        self.begin()
        try:
            for _ in range(wait_s * 1000 // SLICE_MS):
                await asyncio.sleep_ms(SLICE_MS)
                position = self.poll()
                if position:
                    return position
            raise self.fault()
        finally:
            self.end()


def make(spec, buses):
    return NMEA(buses.uart(spec, BAUD), buses.power(spec))

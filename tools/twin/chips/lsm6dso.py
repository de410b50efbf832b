"""Model of the LSM6DSO accelerometer on I2C, register for register, after its data sheet and application note AN5192.

FIFO_CTRL1..4 07 to 0A (watermark, STOP_ON_WTM, batch rates, mode), WHO_AM_I 0F, CTRL1_XL 10 (rate, full scale), CTRL3_C 12
(BDU bit 6, IF_INC bit 2, SW_RESET bit 0), CTRL5_C 14 (ultra-low power bit 7), CTRL6_C 15 (low power bit 4), STATUS 1E,
OUT_TEMP 20, OUTX_A 28 to 2D, FIFO_STATUS1/2 3A 3B (fill, watermark, overrun, full, overrun latched), INTERNAL_FREQ_FINE 63,
FIFO words at 78 to 7E: tag (sensor << 3, counter << 1, parity) and three 16-bit integers, low byte first. The pointer
increments, and from 7E returns to 78. The FIFO holds 512 words. True rates are 6667 Hz (1 + 0.0015 FREQ_FINE) over 512,
256, 128 ...: 13.02 Hz for "12.5". The gyroscope, embedded functions and compression stay off in this model.
"""

import struct

TYPE_CHECKING = False  # MicroPython has no typing; type checkers take this name for true
if TYPE_CHECKING:
    from collections.abc import Callable

    from tools.twin.chips.kinds import Clock, Rng

FIFO_CTRL1, FIFO_CTRL2, FIFO_CTRL3, FIFO_CTRL4 = 0x07, 0x08, 0x09, 0x0A
WHO_AM_I, CTRL1_XL, CTRL3_C, CTRL5_C, CTRL6_C = 0x0F, 0x10, 0x12, 0x14, 0x15
STATUS, OUT_TEMP, OUTX_A, FIFO_STATUS1, FIFO_STATUS2, FREQ_FINE = 0x1E, 0x20, 0x28, 0x3A, 0x3B, 0x63
TAG, LAST = 0x78, 0x7E
BYPASS, STOP_WHEN_FULL, CONTINUOUS = 0, 1, 6
WORDS = 512
TAGS = (0x11, 0x12, 0x14, 0x17)  # accelerometer (2) << 3, counter << 1, even parity
DEFAULTS = {WHO_AM_I: 0x6C, CTRL3_C: 0x04}
READ_ONLY = ((0x0F, 0x0F), (0x1A, 0x2D), (0x35, 0x37), (0x39, 0x43), (FREQ_FINE, FREQ_FINE), (TAG, 0x7F))
LSB_G = (0.000061, 0.000488, 0.000122, 0.000244)  # by FS_XL: +-2, 16, 4, 8 g
LOW_POWER_RMS_G = (0.0018, 0.0030, 0.0020, 0.0024)
ULTRA_LOW_POWER_RMS_G = 0.0055
RESET_US = 50


class LSM6DSO:
    """The sensor; acceleration_g(t_us) -> (x, y, z), the specific force in g along its axes (z up at rest: 0, 0, 1).

    rate_error: of its oscillator, a share (None: drawn, 1.5 % standard deviation); bias_g: zero-g level of each axis
    (None: drawn, data sheet +-20 mg typical); noise_ug: density in ug / sqrt(Hz). Samples are computed when something is
    read, at most a FIFO full of them. Attributes: `dead` (does not acknowledge), `registers` (bytearray of 128).
    """

    def __init__(
        self,
        clock: "Clock",
        acceleration_g: "Callable[[int], tuple[float, float, float]]",
        rng: "Rng",
        *,
        address: int = 0x6A,
        rate_error: "float | None" = None,
        bias_g: "tuple[float, float, float] | None" = None,
        noise_ug: float = 70.0,
        temperature_c: "Callable[[int], float] | None" = None,
    ) -> None:
        self.address = address
        self._clock = clock
        self._acceleration_g = acceleration_g
        self._rng = rng
        drawn = max(-0.04, min(0.04, rng.gauss(0, 0.015)))
        self.rate_error = drawn if rate_error is None else rate_error
        drawn_g = (rng.gauss(0, 0.012), rng.gauss(0, 0.012), rng.gauss(0, 0.012))
        self.bias_g = drawn_g if bias_g is None else bias_g
        self._noise_ug = noise_ug
        self._temperature_c = temperature_c
        self.dead = False
        self.registers = bytearray(0x80)
        self._fifo: list[tuple[int, bytes]] = []
        self._ready_us = 0
        self.power_on()

    def power_on(self) -> None:
        """All registers as after power-on or SW_RESET; measuring stops and the FIFO is empty."""
        self.registers[:] = bytes(0x80)
        for register, value in DEFAULTS.items():
            self.registers[register] = value
        self.registers[FREQ_FINE] = round(self.rate_error / 0.0015) & 0xFF
        self._pointer = 0
        self._half_read = 0  # axes of which only the low byte was read while BDU is set, a bit each
        self._overrun = self._latched = False
        self._count = 0
        self._empty()
        self._restart()

    def rate_hz(self) -> float:
        """True rate of the samples in Hz, 0 when powered down."""
        code = self.registers[CTRL1_XL] >> 4
        if code == 0 or code > 11:
            return 0.0
        true_hz = 6667 * (1 + self.rate_error)
        if code == 11:
            return true_hz / (4096 if self._low_power() else 512)
        return true_hz / (1024 >> code)

    def write(self, data: bytes) -> None:
        """One I2C write: the register pointer, then values. OSError(5): not acknowledged."""
        self._acknowledge()
        self._advance()
        if data:
            self._pointer = data[0] & 0x7F
        for value in data[1:]:
            self._store(self._pointer, value)
            self._step()

    def read(self, n: int) -> bytes:
        """One I2C read of n bytes from the pointer on. OSError(5): not acknowledged."""
        self._acknowledge()
        self._advance()
        if self._pointer == TAG and n % 7 == 0 and self.registers[CTRL3_C] & 4:
            return b"".join(self._pop() for _ in range(n // 7))
        out = bytearray()
        for _ in range(n):
            if self._pointer == TAG:
                self.registers[TAG : LAST + 1] = self._pop()
            out.append(self._load(self._pointer))
            self._step()
        return bytes(out)

    def _acknowledge(self) -> None:
        if self.dead or self._clock.now_us < self._ready_us:
            raise OSError(5)

    def _step(self) -> None:
        if self.registers[CTRL3_C] & 4:
            self._pointer = TAG if self._pointer == LAST else (self._pointer + 1) & 0x7F

    # -- registers

    def _store(self, register: int, value: int) -> None:
        if any(first <= register <= last for first, last in READ_ONLY):
            return
        if register == CTRL3_C and value & 1:
            self.power_on()
            self._ready_us = self._clock.now_us + RESET_US
            return
        before, self.registers[register] = self.registers[register], value
        if register in (CTRL1_XL, CTRL5_C, CTRL6_C) and before != value:
            self._restart()
        elif register == FIFO_CTRL4 and value & 7 == BYPASS:
            self._empty()

    def _load(self, register: int) -> int:
        registers = self.registers
        if register == FIFO_STATUS1:
            return len(self._fifo) & 0xFF
        if register == FIFO_STATUS2:
            return self._fifo_status2()
        if OUTX_A <= register < OUTX_A + 6:
            axis = 1 << (register - OUTX_A) // 2
            if registers[CTRL3_C] & 0x40 and not register & 1:
                self._half_read |= axis
            elif register & 1:
                self._half_read &= ~axis
            registers[STATUS] &= ~1 & 0xFF
        return registers[register]

    def _fifo_status2(self) -> int:
        n = len(self._fifo)
        mark = self._watermark()
        value = n >> 8 | (0x80 if mark and n >= mark else 0) | (0x20 if n >= WORDS - 1 else 0)
        value |= (0x40 if self._overrun else 0) | (0x08 if self._latched else 0)
        self._latched = False
        return value

    def _watermark(self) -> int:
        return self.registers[FIFO_CTRL1] | (self.registers[FIFO_CTRL2] & 1) << 8

    def _low_power(self) -> bool:
        return bool(self.registers[CTRL5_C] & 0x80 or self.registers[CTRL6_C] & 0x10)

    # -- samples

    def _restart(self) -> None:
        """Count samples anew from now, after a change of rate, full scale or power mode."""
        self._start_us = self._clock.now_us
        self._made = 0

    def _empty(self) -> None:
        self._fifo.clear()
        self._overrun = False

    def _advance(self) -> None:
        """Make the samples that have come up to now; of a long time only those that can still be read."""
        hz = self.rate_hz()
        if not hz:
            return
        due = int((self._clock.now_us - self._start_us) * hz / 1e6)
        batches = self._batches()
        stops = batches and (self.registers[FIFO_CTRL4] & 7 == STOP_WHEN_FULL or self.registers[FIFO_CTRL2] & 0x80)
        scale = self.registers[CTRL1_XL] >> 2 & 3
        rms_g = self._rms_g(scale)
        word, t_us = b"", 0
        while self._made < due:
            wanted = WORDS + 1 if batches else 1  # of those still to come, the newest that can be read
            if stops and not self._overrun:
                wanted = due
            lost = max(0, due - self._made - wanted)
            self._count += lost
            self._made += lost + 1
            t_us = self._start_us + int(self._made * 1e6 / hz)
            word = self._sample(t_us, LSB_G[scale], rms_g)
            if batches:
                self._batch(word)
        if word:
            self._show(word, t_us)

    def _batches(self) -> bool:
        return bool(self.registers[FIFO_CTRL3] & 0x0F) and self.registers[FIFO_CTRL4] & 7 in (STOP_WHEN_FULL, CONTINUOUS)

    def _sample(self, t_us: int, lsb_g: float, rms_g: float) -> bytes:
        """Measure: the three axes as they stand in registers and FIFO."""
        counts = []
        true_g = self._acceleration_g(t_us)
        gauss = self._rng.gauss
        for axis in range(3):
            g = true_g[axis] + self.bias_g[axis] + gauss(0.0, rms_g)
            if self._made == 1:
                g /= 2  # the filter settles: AN5192 asks to discard the first sample
            counts.append(max(-0x8000, min(0x7FFF, round(g / lsb_g))))
        return struct.pack("<hhh", *counts)

    def _show(self, word: bytes, t_us: int) -> None:
        """Put the newest sample into the output registers."""
        if not self._half_read:
            self.registers[OUTX_A : OUTX_A + 6] = word
        celsius = self._temperature_c(t_us) if self._temperature_c else 25.0
        self.registers[OUT_TEMP : OUT_TEMP + 2] = struct.pack("<h", round((celsius - 25) * 256))
        self.registers[STATUS] |= 5

    def _rms_g(self, scale: int) -> float:
        if self.registers[CTRL5_C] & 0x80:
            return ULTRA_LOW_POWER_RMS_G
        if self._low_power():
            return LOW_POWER_RMS_G[scale]
        return self._noise_ug * 1e-6 * float((self.rate_hz() / 2) ** 0.5)

    def _batch(self, word: bytes) -> None:
        limit = self._watermark() if self.registers[FIFO_CTRL2] & 0x80 else WORDS
        if len(self._fifo) >= (limit or WORDS):
            self._overrun = self._latched = True
            if self.registers[FIFO_CTRL4] & 7 == STOP_WHEN_FULL or limit < WORDS:
                return
            self._fifo.pop(0)
        self._count += 1
        self._fifo.append((TAGS[self._count & 3], word))

    def _pop(self) -> bytes:
        if not self._fifo:
            return bytes(7)
        self._overrun = False
        tag, word = self._fifo.pop(0)
        return bytes((tag,)) + word

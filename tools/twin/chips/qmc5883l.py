"""Model of the QMC5883L magnetometer on I2C, register for register, after its data sheet.

Data 00 to 05 (x, y, z, low byte first), STATUS 06 (bit 0 DRDY, 1 OVL, 2 DOR), temperature 07 and 08 (100 counts per Cel,
no absolute zero), CONTROL1 09 (bits 7-6 oversampling, 5-4 range, 3-2 rate, 1-0 mode), CONTROL2 0A (bit 7 soft reset),
set/reset period 0B (01 recommended), chip id 0D = FF. 12000 counts per gauss at 2 G, 3000 at 8 G. Noise 2 mG; offset up
to 10 mG; sensitivity 0.05 % per Cel; without set/reset pulses the offset is large and wanders with the temperature.
"""

TYPE_CHECKING = False  # MicroPython has no typing; type checkers take this name for true
if TYPE_CHECKING:
    from collections.abc import Callable

    from tools.twin.chips.kinds import Clock, Rng

DATA, STATUS, TEMPERATURE, CONTROL1, CONTROL2, SET_RESET, CHIP_ID = 0x00, 0x06, 0x07, 0x09, 0x0A, 0x0B, 0x0D
DRDY, OVL, DOR = 1, 2, 4
PERIOD_US = (100_000, 20_000, 10_000, 5_000)
COUNTS_PER_UT = (120.0, 30.0, 30.0, 30.0)
CALIBRATED_C = 25.0


class QMC5883L:
    """The sensor; field_ut(t_us) -> (x, y, z) in uT along its axes, chip_c(t_us) its own temperature. Attributes: `dead`
    (does not acknowledge), `stuck` (never measures), `identity` (what 0D reads), `registers` (bytearray of 16)."""

    address = 0x0D

    def __init__(
        self,
        clock: "Clock",
        field_ut: "Callable[[int], tuple[float, float, float]]",
        chip_c: "Callable[[int], float]",
        rng: "Rng",
        *,
        noise_ut: float = 0.2,
        offset_ut_per_c: float = 0.03,
    ) -> None:
        self._clock = clock
        self._field_ut = field_ut
        self._chip_c = chip_c
        self._rng = rng
        self._noise_ut = noise_ut
        self._offset_ut = [rng.random() * 2 - 1 for _ in range(3)]
        self._drift_ut = [(rng.random() * 2 - 1) * offset_ut_per_c for _ in range(3)]
        self._sensitivity = 1 + (rng.random() * 2 - 1) * 0.02
        self._tempco = (rng.random() * 2 - 1) * 0.0005
        self.dead = False
        self.stuck = False
        self.identity = 0xFF
        self.registers = bytearray(16)
        self._pointer = 0
        self._next_us: int | None = None
        self.power_on()

    def power_on(self) -> None:
        """All registers as after power-on or a soft reset."""
        self.registers[:] = bytes(16)
        self.registers[CHIP_ID] = self.identity
        self._next_us = None

    def write(self, data: bytes) -> None:
        """One I2C write: the register pointer, then values. OSError(5): not acknowledged."""
        self._acknowledge()
        self._advance()
        if data:
            self._pointer = data[0]
        for value in data[1:]:
            if self._pointer in (CONTROL1, CONTROL2, SET_RESET):
                self._store(self._pointer, value)
            self._pointer += 1

    def read(self, n: int) -> bytes:
        """One I2C read of n bytes from the pointer on. OSError(5): not acknowledged."""
        self._acknowledge()
        self._advance()
        self.registers[CHIP_ID] = self.identity
        out = bytearray()
        status = self.registers[STATUS]
        for _ in range(n):
            at = self._pointer & 0x0F
            out.append(status if at == STATUS else self.registers[at])
            if at < STATUS:
                self.registers[STATUS] &= ~(DRDY | DOR) & 0xFF
            self._pointer += 1
        return bytes(out)

    def _acknowledge(self) -> None:
        if self.dead:
            raise OSError(5)

    def _store(self, register: int, value: int) -> None:
        if register == CONTROL2 and value & 0x80:
            self.power_on()
            return
        self.registers[register] = value
        if register == CONTROL1:
            running = value & 3 == 1
            self._next_us = self._clock.now_us + self._period_us() if running else None

    def _period_us(self) -> int:
        return PERIOD_US[self.registers[CONTROL1] >> 2 & 3]

    def _advance(self) -> None:
        """Put the latest finished measurement into the registers."""
        now_us = self._clock.now_us
        if self._next_us is None or now_us < self._next_us or self.stuck:
            return
        missed, _ = divmod(now_us - self._next_us, self._period_us())
        t_us = self._next_us + missed * self._period_us()
        self._next_us = t_us + self._period_us()
        if missed or self.registers[STATUS] & DRDY:
            self.registers[STATUS] |= DOR
        self._measure(t_us)

    def _measure(self, t_us: int) -> None:
        warmer_c = self._chip_c(t_us) - CALIBRATED_C
        scale = COUNTS_PER_UT[self.registers[CONTROL1] >> 4 & 3] * self._sensitivity * (1 + self._tempco * warmer_c)
        poor = 1.0 if self.registers[SET_RESET] else 10.0
        noise_ut = self._noise_ut * (1, 1.4, 2, 2.8)[self.registers[CONTROL1] >> 6]
        field_ut = self._field_ut(t_us)
        overflow = False
        for axis in range(3):
            offset_ut = poor * (self._offset_ut[axis] + self._drift_ut[axis] * warmer_c)
            counts = round((field_ut[axis] + offset_ut + self._rng.gauss(0, noise_ut)) * scale)
            overflow |= not -32768 <= counts <= 32767
            self._put(DATA + 2 * axis, max(-32768, min(32767, counts)))
        self._put(TEMPERATURE, max(-32768, min(32767, round(warmer_c * 100))))
        self.registers[STATUS] = self.registers[STATUS] & DOR | DRDY | (OVL if overflow else 0)

    def _put(self, at: int, counts: int) -> None:
        self.registers[at] = counts & 0xFF
        self.registers[at + 1] = counts >> 8 & 0xFF

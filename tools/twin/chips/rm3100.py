"""Model of the RM3100 magnetometer on I2C, register for register, after its manual.

POLL 00 (bits 4 to 6: axes), CMM 01 (bit 0 start, bits 4 to 6 axes), cycle counts 04 to 09, TMRC 0B, results 24 to 2C
(three 24-bit integers, high byte first), BIST 33, STATUS 34 (bit 7 DRDY), HSHAKE 35, REVID 36. The pointer increments.
POLL is ignored in continuous mode. DRDY falls when a result is read or POLL or CMM is written (HSHAKE bits 1 and 0).
Gain and time of a measurement follow the cycle count: 75 counts per uT, 15 nT of noise, 2.3 ms an axis at 200.
"""

TYPE_CHECKING = False  # MicroPython has no typing; type checkers take this name for true
if TYPE_CHECKING:
    from collections.abc import Callable

    from tools.twin.chips.kinds import Clock, Rng

POLL, CMM, CCX, TMRC, MX, STATUS, HSHAKE, REVID = 0x00, 0x01, 0x04, 0x0B, 0x24, 0x34, 0x35, 0x36
DRDY = 0x80
FASTEST_US = 1667  # TMRC 92; every further step takes twice as long
DEFAULTS = {CCX: 0, 0x05: 0xC8, 0x06: 0, 0x07: 0xC8, 0x08: 0, 0x09: 0xC8, TMRC: 0x96, HSHAKE: 0x1B, REVID: 0x22}
WRITABLE = (POLL, CMM, 4, 5, 6, 7, 8, 9, TMRC, 0x33, HSHAKE)


class RM3100:
    """The sensor; field_ut(t_us) -> (x, y, z) in uT along its axes. Attributes: `dead` (does not acknowledge), `stuck`
    (acknowledges, never measures), `registers` (bytearray of 0x40)."""

    def __init__(
        self,
        clock: "Clock",
        field_ut: "Callable[[int], tuple[float, float, float]]",
        rng: "Rng",
        *,
        address: int = 0x20,
        noise_nt: float = 15.0,
    ) -> None:
        self.address = address
        self._clock = clock
        self._field_ut = field_ut
        self._rng = rng
        self._noise_nt = noise_nt
        self.dead = False
        self.stuck = False
        self.registers = bytearray(0x40)
        self._pointer = 0
        self._axes = 0
        self._done_us: int | None = None
        self.power_on()

    def power_on(self) -> None:
        """All registers as after power-on."""
        self.registers[:] = bytes(0x40)
        for register, value in DEFAULTS.items():
            self.registers[register] = value
        self._done_us = None

    def write(self, data: bytes) -> None:
        """One I2C write: the register pointer, then values. OSError(5): not acknowledged."""
        self._acknowledge()
        self._advance()
        if data:
            self._pointer = data[0]
        for value in data[1:]:
            if self._pointer in WRITABLE:
                self._store(self._pointer, value)
            self._pointer = (self._pointer + 1) & 0x7F

    def read(self, n: int) -> bytes:
        """One I2C read of n bytes from the pointer on. OSError(5): not acknowledged."""
        self._acknowledge()
        out = bytearray()
        for _ in range(n):
            self._advance()
            out.append(self.registers[self._pointer] if self._pointer < 0x40 else 0)
            if MX <= self._pointer <= MX + 8 and self.registers[HSHAKE] & 2:
                self.registers[STATUS] &= ~DRDY & 0xFF
            self._pointer = (self._pointer + 1) & 0x7F
        return bytes(out)

    def _acknowledge(self) -> None:
        if self.dead:
            raise OSError(5)

    def _store(self, register: int, value: int) -> None:
        if register == POLL:
            if self.registers[CMM] & 1:
                return
            value &= 0x70
            self._start(value)
        self.registers[register] = value
        if register == CMM:
            self._done_us = None
            if value & 1:
                self._start(value & 0x70)
        if register in (POLL, CMM) and self.registers[HSHAKE] & 1:
            self.registers[STATUS] &= ~DRDY & 0xFF

    def _cycles(self, axis: int) -> int:
        at = CCX + 2 * axis
        return self.registers[at] << 8 | self.registers[at + 1]

    def _start(self, axes: int) -> None:
        self._axes = axes
        if axes:
            self._done_us = self._clock.now_us + self._measuring_us()

    def _measuring_us(self) -> int:
        """The time of a measurement of all chosen axes: an overhead and 11 us a cycle."""
        return sum(60 + 11 * self._cycles(axis) for axis in range(3) if self._axes >> (4 + axis) & 1)

    def _period_us(self) -> int:
        steps = max(0, min(13, self.registers[TMRC] - 0x92))
        return max(FASTEST_US << steps, self._measuring_us())

    def _advance(self) -> None:
        """Put the latest finished measurement into the registers."""
        now_us = self._clock.now_us
        if self._done_us is None or now_us < self._done_us or self.stuck:
            return
        done_us = self._done_us
        if self.registers[CMM] & 1:
            period_us = self._period_us()
            done_us += (now_us - done_us) // period_us * period_us
            self._done_us = done_us + period_us
        else:
            self._done_us = None
            self.registers[POLL] = 0
        field_ut = self._field_ut(done_us)
        for axis in range(3):
            if self._axes >> (4 + axis) & 1:
                self._result(axis, field_ut[axis])
        self.registers[STATUS] |= DRDY

    def _result(self, axis: int, ut: float) -> None:
        cycles = self._cycles(axis)
        gain = 75.0 if cycles == 200 else 0.3671 * cycles + 1.5
        noise_ut = self._rng.gauss(0, self._noise_nt / 1000 * (200 / max(cycles, 1)) ** 0.5)
        counts = max(-0x800000, min(0x7FFFFF, round((ut + noise_ut) * gain))) & 0xFFFFFF
        at = MX + 3 * axis
        self.registers[at : at + 3] = bytes((counts >> 16, counts >> 8 & 0xFF, counts & 0xFF))

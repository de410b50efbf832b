"""Model of the DS18B20 thermometer on 1-wire, bit for bit, after its data sheet.

ROM commands: search F0, read 33, match 55, skip CC. Functions: convert 44, write scratchpad 4E, read scratchpad BE, copy
48, recall B8, read power supply B4. The scratchpad: temperature (2, low byte first, 1/16 Cel), TH, TL, configuration,
FF, a count (0C until the first conversion), 10, CRC. A conversion takes 94 to 750 ms with the resolution; power-on leaves
85 Cel. Powered by the line alone ("parasite") it needs a strong pull-up to convert; without one it browns out.
"""

TYPE_CHECKING = False  # MicroPython has no typing; type checkers take this name for true
if TYPE_CHECKING:
    from collections.abc import Callable

    from tools.twin.chips.kinds import Clock, Rng

SEARCH, READ_ROM, MATCH, SKIP = 0xF0, 0x33, 0x55, 0xCC
CONVERT, WRITE_PAD, READ_PAD, COPY, RECALL, READ_POWER = 0x44, 0x4E, 0xBE, 0x48, 0xB8, 0xB4
CONVERSION_US = (93_750, 187_500, 375_000, 750_000)
POWER_ON = bytes((0x50, 0x05, 0x4B, 0x46, 0x7F, 0xFF, 0x0C, 0x10))


def crc(data: "bytes | bytearray") -> int:
    """Dallas CRC-8, x^8 + x^5 + x^4 + 1, least significant bit first."""
    value = 0
    for byte in data:
        for bit in range(8):
            mix = (value ^ byte >> bit) & 1
            value >>= 1
            if mix:
                value ^= 0x8C
    return value


class DS18B20:
    """The thermometer; temperature_c(t_us) is the truth at its case. Attributes: `present`, `shorted` (line stuck low),
    `parasite`, `damage` (share of the bits read wrongly), `rom` (8 bytes, the last its CRC)."""

    def __init__(
        self,
        clock: "Clock",
        temperature_c: "Callable[[int], float]",
        rng: "Rng",
        *,
        serial: int = 0x1234,
        bias_c: "float | None" = None,
        sigma_c: float = 0.03,
        parasite: bool = False,
        damage: float = 0.0,
    ) -> None:
        self._clock = clock
        self._temperature_c = temperature_c
        self._rng = rng
        self._bias_c = rng.random() * 0.8 - 0.4 if bias_c is None else bias_c
        self._sigma_c = sigma_c
        self.parasite = parasite
        self.damage = damage
        self.present = True
        self.shorted = False
        body = b"\x28" + serial.to_bytes(6, "little")
        self.rom = body + bytes((crc(body),))
        self._eeprom = bytearray(POWER_ON[2:5])
        self._pad = bytearray(POWER_ON)
        self._state = "idle"
        self._bits: list[int] = []
        self._out: list[int] = []
        self._path: list[int] = []
        self._done_us: int | None = None
        self.power_on()

    def power_on(self) -> None:
        """As after power-on: 85 Cel, thresholds and resolution from the EEPROM."""
        self._pad[:] = POWER_ON
        self._pad[2:5] = self._eeprom
        self._done_us = None
        self._idle()

    def reset(self) -> bool:
        """A reset pulse; whether the line is low in the presence slot."""
        self._finish()
        self._state = "rom"
        self._bits = []
        self._out = []
        return self.present or self.shorted

    def write_byte(self, byte: int) -> None:
        """Eight write slots, least significant bit first."""
        for bit in range(8):
            self.write_bit(byte >> bit & 1)

    def read_byte(self) -> int:
        """Eight read slots, least significant bit first."""
        return sum(self.read_bit() << bit for bit in range(8))

    def read_bit(self) -> int:
        """One read slot: what the line shows."""
        self._finish()
        if self.shorted:
            return 0
        if not self.present:
            return 1
        converting = self._done_us is not None and not self.parasite
        bit = self._out.pop(0) if self._out else 0 if converting else 1
        return bit ^ 1 if self.damage and self._rng.random() < self.damage else bit

    def write_bit(self, bit: int) -> None:
        """One write slot."""
        if not self.present or self.shorted or self._state == "idle":
            return
        if self._state == "search":
            self._search(bit)
            return
        self._bits.append(bit)
        want = 64 if self._state == "match" else 24 if self._state == "write" else 8
        if len(self._bits) == want:
            value = bytes(sum(self._bits[i + k] << k for k in range(8)) for i in range(0, want, 8))
            self._bits = []
            self._take(value)

    def _take(self, value: bytes) -> None:
        if self._state == "rom":
            self._rom_command(value[0])
        elif self._state == "match":
            self._state = "function" if value == self.rom else "idle"
        elif self._state == "write":
            self._pad[2:5] = bytes((value[0], value[1], value[2] & 0x60 | 0x1F))
            self._idle()
        elif self._state == "function":
            self._function(value[0])

    def _rom_command(self, command: int) -> None:
        self._state = {SEARCH: "search", MATCH: "match", SKIP: "function", READ_ROM: "function"}.get(command, "idle")
        if command == SEARCH:
            self._path = _bits_of(self.rom)
            self._offer()
        elif command == READ_ROM:
            self._out = _bits_of(self.rom)

    def _offer(self) -> None:
        """In a search: the next bit of the ROM and its complement."""
        self._out = [self._path[0], self._path[0] ^ 1]

    def _search(self, bit: int) -> None:
        if bit != self._path.pop(0):
            self._idle()
        elif self._path:
            self._offer()
        else:
            self._state = "function"

    def _function(self, command: int) -> None:
        self._idle()
        if command == CONVERT:
            self._done_us = self._clock.now_us + CONVERSION_US[self._pad[4] >> 5 & 3]
        elif command == READ_PAD:
            self._out = _bits_of(bytes(self._pad) + bytes((crc(self._pad),)))
        elif command == WRITE_PAD:
            self._state = "write"
        elif command == COPY:
            self._eeprom[:] = self._pad[2:5]
        elif command == RECALL:
            self._pad[2:5] = self._eeprom
        elif command == READ_POWER:
            self._out = [0 if self.parasite else 1]

    def _idle(self) -> None:
        self._state = "idle"
        self._bits = []
        self._out = []

    def _finish(self) -> None:
        """Put the result of a conversion that has ended into the scratchpad."""
        if self._done_us is None or self._clock.now_us < self._done_us:
            return
        t_us, self._done_us = self._done_us, None
        if self.parasite:
            self.power_on()
            return
        celsius = self._temperature_c(t_us) + self._bias_c + self._rng.gauss(0, self._sigma_c)
        coarse = 3 - (self._pad[4] >> 5 & 3)
        raw = max(-55 * 16, min(125 * 16, round(celsius * 16))) >> coarse << coarse
        self._pad[0] = raw & 0xFF
        self._pad[1] = raw >> 8 & 0xFF
        self._pad[6] = 0x10 - (raw & 0x0F)


def _bits_of(data: bytes) -> "list[int]":
    return [byte >> bit & 1 for byte in data for bit in range(8)]

"""The digital half of an SX126x: SPI transactions, BUSY, registers, sleep, oscillator and calibration."""

from . import tables as t

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..lora import Clock, Random

# Where in a transaction the answer of a command begins that only tells: GetIrqStatus, GetRxBufferStatus, GetPacketStatus,
# GetRssiInst, GetDeviceErrors, ReadRegister, ReadBuffer.
ANSWER_AT = {0x12: 2, 0x13: 2, 0x14: 2, 0x15: 2, 0x17: 2, 0x1D: 4, 0x1E: 3}


class Faults:
    """What can be made to go wrong. Counts are used up one by one; the rest stays until it is set back."""

    def __init__(self) -> None:
        self.busy_stuck = False
        self.dio1_lost = 0  # rising edges of DIO1 that are not signalled; the level still rises
        self.tx_done_lost = 0  # transmissions that never start nor end
        self.crc_error = 0  # frames that arrive damaged
        self.header_error = 0  # frames whose header arrives damaged
        self.xosc = False  # the oscillator does not start
        self.spi_byte: int | None = None  # all that comes back: 0xFF or 0x00


class Core:
    """Registers, commands and their times. Instants and durations are us of `clock`."""

    def __init__(self, clock: "Clock", rng: "Random", variant: str, version: bytes, tcxo: tuple[int, int]) -> None:
        self.clock = clock
        self.rng = rng
        self.variant = variant
        self.version = version
        self.tcxo_mv, self.tcxo_start_us = tcxo  # voltage it needs, 0 = a crystal instead; time it needs
        self.faults = Faults()
        self.on_edge: Callable[[str, int], object] = lambda name, level: None
        self.violations = 0  # transactions while BUSY was high
        self.refused: list[int] = []  # commands that the mode does not allow, by opcode
        self._in_reset = False
        self._busy_until_us = 0
        self._cold_start()

    # -- reset and sleep

    def _cold_start(self) -> None:
        """Everything as after power-on; the chip calibrates itself with what oscillator it finds."""
        self.regs = dict(t.RESET_VALUES)
        for i, byte in enumerate((self.version + bytes(16))[:16]):
            self.regs[t.VERSION_STRING + i] = byte
        self.buffer = bytearray(256)
        self.mode = t.STBY_RC
        self.warm = False
        self.command_status = 1
        self.irq = self.irq_mask = self.dio1_mask = 0
        self.dio1 = 0
        self.device_errors = 0
        self.lora = False
        self.freq_hz = 0
        self.sf, self.bw_hz, self.cr, self.low_rate = 7, 125000, 5, False
        self.preamble, self.explicit, self.length, self.crc, self.invert_bit = 12, True, 255, True, 0
        self.pa = (0, 0, 0)
        self.power_byte, self.ramp_us = 0, 10
        self.tx_base = self.rx_base = 0
        self.rx_start, self.rx_length = 0, 0
        self.packet_status = (0, 0, 0)
        self.fallback = t.STBY_RC
        self.dcdc = False
        self.dio2_switch = False
        self.dio3: tuple[int, int] | None = None  # millivolts, start-up us
        self.symbol_timeout = 0
        self.stop_on_preamble = False
        self.cad_exit = 0
        self.cad_symbols = 1
        self.image_mhz: tuple[int, int] | None = None
        self.calibrated = 0
        self._calibrate(t.ALL_BLOCKS)
        self._last_opcode = 0

    def _halt(self) -> None:
        """Stop the radio part; the other half of the chip knows how."""

    def _fall_asleep(self, warm: bool) -> None:
        self._halt()
        self.mode = t.SLEEP
        self.warm = warm
        self.buffer = bytearray(256)
        self._busy_for(t.SLEEP_ENTRY_US)

    def _wake(self) -> None:
        if self.warm:
            kept = self._retained()
            for address in t.FORGOTTEN:
                if address not in kept:
                    self.regs[address] = t.RESET_VALUES[address]
            self.mode = t.STBY_RC
            self._busy_for(t.WARM_WAKE_US)
        else:
            self._cold_start()
            self._busy_for(t.COLD_WAKE_US)

    def _retained(self) -> list[int]:
        count = min(4, self.regs.get(t.RETENTION_LIST, 0))
        at = [t.RETENTION_LIST + 1 + 2 * i for i in range(count)]
        return [self.regs.get(a, 0) << 8 | self.regs.get(a + 1, 0) for a in at]

    # -- pins

    def get_pin(self, name: str) -> int:
        """Level of `busy`, `dio1` or `dio2`, or of an input as it was last set."""
        if name == "busy":
            asleep = self.mode == t.SLEEP
            return int(self.faults.busy_stuck or self._in_reset or asleep or self.clock.now_us < self._busy_until_us)
        if name == "dio1":
            return self.dio1
        if name == "dio2":
            return int(self.dio2_switch and self.mode == t.TX)
        raise KeyError(name)

    def set_pin(self, name: str, level: int) -> None:
        """Drive `reset` (low = in reset) or `cs` (its falling edge wakes a sleeping chip)."""
        if name == "reset":
            if not level:
                self._halt()
                self._set_dio1(0)
            elif self._in_reset:
                self._cold_start()
                self._busy_for(t.RESET_US)
            self._in_reset = not level
        elif name == "cs":
            if not level and self.mode == t.SLEEP and self.clock.now_us >= self._busy_until_us:
                self._wake()
        else:
            raise KeyError(name)

    def _set_dio1(self, level: int) -> None:
        if level == self.dio1:
            return
        self.dio1 = level
        if level and self.faults.dio1_lost > 0:
            self.faults.dio1_lost -= 1
            return
        self.on_edge("dio1", level)

    def _busy_for(self, us: int) -> None:
        self._busy_until_us = max(self._busy_until_us, self.clock.now_us + us)

    # -- SPI

    def spi(self, mosi: bytes) -> bytes:
        """One transaction, from NSS low to NSS high: the bytes that go out, as many as came in."""
        if self.faults.spi_byte is not None:
            return bytes([self.faults.spi_byte]) * len(mosi)
        if self._in_reset or self.faults.busy_stuck:
            return bytes(len(mosi))
        if self.mode == t.SLEEP:
            self.set_pin("cs", 0)
            return bytes(len(mosi))
        if self.clock.now_us < self._busy_until_us:
            self.violations += 1
            return bytes(len(mosi))
        miso = bytearray(bytes([self.status()]) * len(mosi))
        if mosi and mosi[0]:
            self._command(mosi[0], bytes(mosi[1:]), miso)
            self._last_opcode = mosi[0]
        return bytes(miso)

    def peek(self, mosi: bytes) -> int:
        """The byte that goes out while the last of `mosi` comes in, for a bus that goes byte by byte; `spi` acts in the end."""
        if self.faults.spi_byte is not None:
            return self.faults.spi_byte
        if self._in_reset or self.faults.busy_stuck or self.mode == t.SLEEP or self.clock.now_us < self._busy_until_us:
            return 0
        at = len(mosi) - 1 - ANSWER_AT.get(mosi[0], len(mosi))
        if at < 0:
            return self.status()
        answer = getattr(self, f"_op_{mosi[0]:02x}")(bytes(mosi[1:]))
        return int(answer[at]) if at < len(answer) else self.status()

    def status(self) -> int:
        """The byte that the chip sends first: mode and what became of the last command."""
        return self.mode << 4 | self.command_status << 1

    def _command(self, opcode: int, args: bytes, miso: bytearray) -> None:
        handler = getattr(self, f"_op_{opcode:02x}", None)
        if handler is None:
            self._refuse(opcode)
            return
        self._busy_for(t.COMMAND_US)
        answer = handler(args)
        if answer is not None:
            at = ANSWER_AT[opcode]
            for i, byte in enumerate(answer[: max(0, len(miso) - at)]):
                miso[at + i] = byte

    def _refuse(self, opcode: int) -> None:
        self.command_status = 5
        self.refused.append(opcode)

    def _standby_only(self, opcode: int) -> bool:
        """False, and noted, unless the chip is in standby: where parameters may be set."""
        if self.mode in (t.STBY_RC, t.STBY_XOSC, t.FS):
            self.command_status = 1
            return True
        self._refuse(opcode)
        return False

    def _op_0d(self, args: bytes) -> None:  # WriteRegister
        address = args[0] << 8 | args[1]
        for i, byte in enumerate(args[2:]):
            self._write_register(address + i, byte)

    def _write_register(self, address: int, byte: int) -> None:
        if t.VERSION_STRING <= address < t.VERSION_STRING + 16:
            return
        self.regs[address] = byte

    def _op_1d(self, args: bytes) -> bytes:  # ReadRegister
        address = args[0] << 8 | args[1]
        return bytes(self._read_register(address + i) for i in range(len(args) - 3))

    def _read_register(self, address: int) -> int:
        if t.RANDOM <= address < t.RANDOM + 4:
            return self.rng.getrandbits(8)
        return self.regs.get(address, 0)

    def _op_0e(self, args: bytes) -> None:  # WriteBuffer
        for i, byte in enumerate(args[1:]):
            self.buffer[(args[0] + i) & 0xFF] = byte

    def _op_1e(self, args: bytes) -> bytes:  # ReadBuffer
        return bytes(self.buffer[(args[0] + i) & 0xFF] for i in range(len(args) - 2))

    # -- oscillator and calibration

    def _clock_starts(self) -> bool:
        """Does the 32 MHz clock run when it is asked for? A TCXO needs DIO3's voltage, a crystal needs it absent."""
        if self.faults.xosc:
            return False
        if not self.tcxo_mv:
            return self.dio3 is None
        return self.dio3 is not None and self.dio3[0] >= self.tcxo_mv - 100 and self.dio3[1] >= self.tcxo_start_us

    def _clock_start_us(self) -> int:
        """How long the way from standby RC costs for the clock alone."""
        if self.mode != t.STBY_RC:
            return 0
        return self.dio3[1] if self.dio3 else t.XOSC_US

    def _calibrate(self, blocks: int) -> None:
        self.calibrated |= blocks & t.RC_BLOCKS
        if blocks & ~t.RC_BLOCKS:
            rest = blocks & ~t.RC_BLOCKS
            if self._clock_starts():
                self.calibrated |= rest
            else:
                self.calibrated &= ~rest
                self.device_errors |= t.XOSC_START_ERR
                self.device_errors |= t.PLL_CALIB_ERR if rest & t.PLL_BLOCK else 0
                self.device_errors |= t.ADC_CALIB_ERR if rest & t.ADC_BLOCKS else 0
                self.device_errors |= t.IMG_CALIB_ERR if rest & t.IMAGE_BLOCK else 0
        if blocks & t.IMAGE_BLOCK:
            self.image_mhz = t.DEFAULT_IMAGE_MHZ if self.calibrated & t.IMAGE_BLOCK else None
            self.regs[t.RX_PATCH] = t.RESET_VALUES[t.RX_PATCH]

    def _op_89(self, args: bytes) -> None:  # Calibrate
        if self.mode != t.STBY_RC or args[0] & 0x80:
            self._refuse(0x89)
            return
        self._calibrate(args[0])
        self._busy_for(t.CALIBRATE_US + self._clock_start_us())

    def _op_98(self, args: bytes) -> None:  # CalibrateImage
        if self.mode != t.STBY_RC:
            self._refuse(0x98)
            return
        if self._clock_starts():
            self.image_mhz = (args[0] * 4, args[1] * 4)
            self.calibrated |= t.IMAGE_BLOCK
        else:
            self.device_errors |= t.XOSC_START_ERR | t.IMG_CALIB_ERR
        self._busy_for(t.CALIBRATE_IMAGE_US + self._clock_start_us())

    def _op_97(self, args: bytes) -> None:  # SetDIO3AsTcxoCtrl
        if self._standby_only(0x97):
            self.dio3 = (t.TCXO_MV[args[0] & 7], (args[1] << 16 | args[2] << 8 | args[3]) * 125 // 8)

    def _op_17(self, args: bytes) -> bytes:  # GetDeviceErrors
        return bytes([self.device_errors >> 8, self.device_errors & 0xFF])

    def _op_07(self, args: bytes) -> None:  # ClearDeviceErrors
        self.device_errors = 0

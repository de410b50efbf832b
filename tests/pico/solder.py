"""The twin's chips on the pins of the emulated Pico: one function a bus, `solder` for a whole circuit.

The emulator shows every edge and every byte, and the models of the chips take whole transactions: here is the way between.
"""

from collections.abc import Callable, Mapping
from typing import Any

from emulator import Pico
from rp2040py.gpio_pin import GPIOPinState
from rp2040py.peripherals.i2c import I2CMode

from gateway.inventory import Board
from tools.twin.chips.sx126x.tables import SLEEP
from tools.twin.ports import Circuit, Digital, I2cChip, UartPort, WireChip

_BUSY_US = 10  # between two looks at BUSY while it is high


class Air:
    """The air around one board: `frames`, (start in us, end in us, bytes). Nobody answers."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, int, bytes]] = []

    def transmit(self, chip: Any, emission: Any) -> None:
        self.frames.append((emission.start_us, emission.end_us, emission.payload))

    def abort(self, chip: Any, emission: Any) -> None:
        self.frames.pop()

    def level_dbm(self, chip: Any, freq_hz: int, bw_hz: int) -> float:
        return -117.0

    def carries(self, chip: Any, emission_like: Any) -> bool:
        return False


def solder(pico: Pico, board: Board, circuit: Circuit) -> None:
    """Connect everything of a board's circuit."""
    radio = Radio(pico, circuit, board.radio.wiring) if board.radio else None
    for pin, (chip, name) in circuit.pins.items():
        if name not in ("busy", "dio1"):
            _output(pico, pin, chip, name, radio.look if radio else lambda: None)
    for number, port in circuit.uarts.items():
        _uart(pico, number, port)
    for number, chips in circuit.i2c.items():
        I2c(pico, number, chips)
    for pin, wire in circuit.wires.items():
        Wire(pico, pin, wire)
    for pin, adc in circuit.adcs.items():
        pico.mcu.adc.channel_values[pin - 26] = adc.read_u16() >> 4


def _output(pico: Pico, pin: int, chip: Digital, name: str, then: Callable[[], None]) -> None:
    """A pin of the board drives one of a chip."""

    def changed(new: GPIOPinState, old: GPIOPinState) -> None:
        if new in (GPIOPinState.LOW, GPIOPinState.HIGH):
            chip.set_pin(name, int(new))
            then()

    pico.mcu.gpio[pin].add_listener(changed)


class Radio:
    """A radio chip on an SPI of the board; a byte takes its eight clocks."""

    def __init__(self, pico: Pico, circuit: Circuit, wiring: Mapping[str, int]) -> None:
        self._chip: Any = circuit.selects[wiring["cs"]]
        self._spi = pico.mcu.spi[wiring["spi"]]
        self._clock = pico.clock
        self._busy = pico.mcu.gpio[wiring["busy"]]
        self._mosi: bytearray | None = None  # None: not selected, or woken by this selection
        self._out = 0
        self._spi.on_transmit = self._byte
        self._shifted = pico.mcu.clock.create_alarm(lambda: self._spi.complete_transmit(self._out))
        self._ready = pico.mcu.clock.create_alarm(self.look)
        pico.mcu.gpio[wiring["cs"]].add_listener(self._select)
        dio1_pin = pico.mcu.gpio[wiring["dio1"]]
        self._chip.on_edge = lambda name, level: dio1_pin.set_input_value(bool(level))
        dio1_pin.set_input_value(False)
        self.look()

    def _select(self, new: GPIOPinState, old: GPIOPinState) -> None:
        if new == GPIOPinState.LOW:
            asleep = self._chip.mode == SLEEP
            self._chip.set_pin("cs", 0)
            self._mosi = None if asleep else bytearray()
        elif self._mosi is not None:
            mosi, self._mosi = self._mosi, None
            if mosi:
                self._chip.spi(bytes(mosi))
        self.look()

    def _byte(self, value: int) -> None:
        self._out = 0
        if self._mosi is not None:
            self._mosi.append(value)
            self._out = self._chip.peek(bytes(self._mosi))
        self._shifted.schedule(8e9 / self._spi.clock_frequency)

    def look(self) -> None:
        """Show BUSY as it is now, and again while it is high. A sleeping chip's stays high until it is selected."""
        level = self._chip.get_pin("busy")
        self._busy.set_input_value(bool(level))
        if level and self._chip.mode != SLEEP:
            self._ready.schedule(_BUSY_US * 1000)


def _uart(pico: Pico, number: int, port: UartPort) -> None:
    """A part that talks by itself: each byte arrives when its frame has."""

    def look() -> None:
        for byte in port.chip.take():
            pico.mcu.uart[number].feed_byte(byte)
        pico.clock.at(max(port.chip.next_us() or 0, pico.clock.now_us + 10_000), look)

    look()


class I2c:
    """The chips of one I2C by address; a byte is read when the board wants it, and written when the transfer ends."""

    def __init__(self, pico: Pico, number: int, chips: dict[int, I2cChip]) -> None:
        self._bus = pico.mcu.i2c[number]
        self._chips = chips
        self._chip: I2cChip | None = None
        self._written: bytearray | None = None
        self._bus.on_start = self._start
        self._bus.on_connect = self._connect
        self._bus.on_write_byte = self._write
        self._bus.on_read_byte = self._read
        self._bus.on_stop = self._stop

    def _flush(self) -> None:
        written, self._written = self._written, None
        if self._chip is not None and written is not None:
            try:
                self._chip.write(bytes(written))
            except OSError:
                pass  # a dead chip: it has not acknowledged its address either

    def _start(self, repeated: bool) -> None:
        self._flush()
        self._bus.complete_start()

    def _connect(self, address: int, mode: I2CMode) -> None:
        self._chip = self._chips.get(address)
        dead = self._chip is None or getattr(self._chip, "dead", False)
        self._written = bytearray() if mode == I2CMode.WRITE and not dead else None
        self._bus.complete_connect(not dead)

    def _write(self, value: int) -> None:
        assert self._written is not None
        self._written.append(value)
        self._bus.complete_write(True)

    def _read(self, ack: bool) -> None:
        assert self._chip is not None
        self._bus.complete_read(self._chip.read(1)[0])

    def _stop(self) -> None:
        self._flush()
        self._bus.complete_stop()


class Wire:
    """A part alone on a 1-wire line, asked with SKIP ROM: how long the board holds the line low makes the time slots."""

    def __init__(self, pico: Pico, pin: int, chip: WireChip) -> None:
        self._chip = chip
        self._clock = pico.clock
        self._line = pico.mcu.gpio[pin]
        self._fell_us = 0
        self._line.set_input_value(True)  # the resistor
        self._line.add_listener(self._changed)

    def _changed(self, new: GPIOPinState, old: GPIOPinState) -> None:
        now_us = self._clock.now_us
        if new == GPIOPinState.LOW:
            self._fell_us = now_us
            if not self._chip.read_bit():
                self._hold(now_us, 30)
        elif old == GPIOPinState.LOW:
            low_us = now_us - self._fell_us
            if low_us < 300:
                self._chip.write_bit(int(low_us < 20))
            elif self._chip.reset():
                self._hold(now_us + 30, 120)

    def _hold(self, from_us: int, us: int) -> None:
        self._clock.at(from_us, self._line.set_input_value, False)
        self._clock.at(from_us + us, self._line.set_input_value, True)

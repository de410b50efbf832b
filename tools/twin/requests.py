"""What a board's requests do to the chips on its pins."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial

from tools.twin.clock import FOREVER_US, Clock, Handle
from tools.twin.ports import Circuit
from tools.twin.rpc import Line, Op, Request

FALLING, RISING = 4, 8
AHEAD_US = 100_000  # how far a board may run on its own when nothing else will happen: a cable may bring something any time
_EIO = 5


class Handlers(ABC):
    """Pins, buses and waiting of one board."""

    line: Line

    def __init__(self, clock: Clock, circuit: Circuit) -> None:
        self.clock = clock
        self.circuit = circuit
        self._outputs: dict[int, int] = {}
        self._triggers: dict[int, int] = {}
        self._pending = 0  # pins with an interrupt to deliver
        self._nudged = False  # bytes came in that the board does not yet know of
        self._waiting = False
        self._wakes: list[Handle] = []
        self._do: dict[int, Callable[[Request], None]] = {
            Op.SYNC: lambda _: self.answer(),
            Op.PIN_GET: self._pin_get,
            Op.PIN_SET: self._pin_set,
            Op.PIN_MODE: self._pin_mode,
            Op.PIN_IRQ: self._pin_irq,
            Op.SPI: self._spi,
            Op.I2C: self._i2c,
            Op.UART_SET: self._uart_set,
            Op.UART_ANY: self._uart_any,
            Op.UART_READ: self._uart_read,
            Op.UART_WRITE: self._uart_write,
            Op.WIRE_RESET: self._wire_reset,
            Op.WIRE_WRITE: self._wire_write,
            Op.WIRE_READ: self._wire_read,
            Op.WIRE_BIT: self._wire_bit,
            Op.ADC: self._adc,
        }
        edges: dict[int, dict[str, int]] = {}
        for pin, (chip, name) in circuit.pins.items():
            edges.setdefault(id(chip), {})[name] = pin
            chip.on_edge = partial(self._edge, edges[id(chip)])

    def answer(self, value: int = 0, error: int = 0, data: bytes = b"") -> None:
        """Reply to the request that is under way, with the time and everything that waits for the board."""
        pins, self._pending = self._pending, 0
        self._nudged = False
        now_us = self.clock.now_us
        horizon_us = min(self.clock.next_us(), now_us + AHEAD_US)
        self.line.reply((now_us, horizon_us, pins, value, self.flags(), error), data)

    def flags(self) -> int:
        """Flags of the next reply."""
        return 0

    def perform(self, request: Request) -> None:
        """Do and answer one request to a pin or a bus."""
        self._do[request.op](request)

    def forget(self) -> None:
        """The board has lost power: its pins float, nothing waits."""
        self.stop_waiting()
        self._outputs.clear()
        self._triggers.clear()
        self._pending = 0
        self._nudged = False

    # -- waiting

    def start_waiting(self, until_us: int, uarts: int) -> bool:
        """Let the board wait; True when there is no reason to, and it is answered."""
        if self._pending or self._nudged or until_us <= self.clock.now_us:
            self.answer()
            return True
        self._waiting = True
        if until_us < FOREVER_US:
            self._wakes.append(self.clock.at(until_us, self.resume))
        for bus, port in self.circuit.uarts.items():
            next_us = port.chip.next_us() if uarts >> bus & 1 else None
            if next_us is not None:
                self._wakes.append(self.clock.at(next_us, self.resume))
        return False

    def stop_waiting(self) -> None:
        """The board no longer waits."""
        self._waiting = False
        for wake in self._wakes:
            wake.cancel()
        self._wakes.clear()

    def nudge(self) -> None:
        """Something came in: wake the board, or let it find out when it next asks."""
        self._nudged = True
        if self._waiting:
            self.stop_waiting()
            self._wakes.append(self.clock.at(self.clock.now_us, self.resume))

    @abstractmethod
    def resume(self) -> None:
        """End the board's waiting."""

    # -- pins

    def _edge(self, pins: dict[str, int], name: str, level: int) -> None:
        pin = pins.get(name)
        if pin is not None and self._triggers.get(pin, 0) & (RISING if level else FALLING):
            self._pending |= 1 << pin
            if self._waiting:
                self.nudge()

    def _pin_get(self, request: Request) -> None:
        found = self.circuit.pins.get(request.dev)
        self.answer(found[0].get_pin(found[1]) if found else self._outputs.get(request.dev, 0))

    def _drive(self, pin: int, level: int) -> None:
        self._outputs[pin] = level
        found = self.circuit.pins.get(pin)
        if found:
            found[0].set_pin(found[1], level)

    def _pin_set(self, request: Request) -> None:
        self._drive(request.dev, request.data[0])
        self.answer()

    def _pin_mode(self, request: Request) -> None:
        mode, level = request.data
        if mode != 0 and request.dev not in self._outputs and request.dev not in self.circuit.selects:
            self._drive(request.dev, level)
        self.answer()

    def _pin_irq(self, request: Request) -> None:
        self._triggers[request.dev] = request.data[0]
        self.answer()

    # -- buses

    def _spi(self, request: Request) -> None:
        self.answer(data=self.circuit.selects[request.dev].spi(request.data))

    def _i2c(self, request: Request) -> None:
        address, n = struct.unpack_from("<BH", request.data)
        out = request.data[3:]
        chip = self.circuit.i2c.get(request.dev, {}).get(address)
        try:
            if chip is None:
                raise OSError(_EIO)
            if out or not n:
                chip.write(out)
            self.answer(data=chip.read(n) if n else b"")
        except OSError:
            self.answer(error=_EIO, data=bytes(n))

    def _uart_set(self, request: Request) -> None:
        port = self.circuit.uarts.get(request.dev)
        if port:
            port.size = struct.unpack("<IH", request.data)[1]
        self.answer()

    def _uart_any(self, request: Request) -> None:
        port = self.circuit.uarts.get(request.dev)
        self.answer(port.arrived() if port else 0)

    def _uart_read(self, request: Request) -> None:
        port = self.circuit.uarts.get(request.dev)
        n = struct.unpack("<H", request.data)[0]
        data = port.read(n) if port else b""
        self.answer(len(data), data=data + bytes(n - len(data)))

    def _uart_write(self, request: Request) -> None:
        port = self.circuit.uarts.get(request.dev)
        if port:
            port.chip.write(request.data)
        self.answer()

    def _wire_reset(self, request: Request) -> None:
        chip = self.circuit.wires.get(request.dev)
        self.answer(int(chip.reset()) if chip else 0)

    def _wire_write(self, request: Request) -> None:
        chip = self.circuit.wires.get(request.dev)
        if chip:
            chip.write_byte(request.data[0])
        self.answer()

    def _wire_read(self, request: Request) -> None:
        chip = self.circuit.wires.get(request.dev)
        self.answer(chip.read_byte() if chip else 0xFF)

    def _wire_bit(self, request: Request) -> None:
        chip = self.circuit.wires.get(request.dev)
        if chip is None:
            self.answer(1)
        elif request.data[0] == 2:
            self.answer(chip.read_bit())
        else:
            chip.write_bit(request.data[0])
            self.answer()

    def _adc(self, request: Request) -> None:
        chip = self.circuit.adcs.get(request.dev)
        self.answer(chip.read_u16() if chip else 0)

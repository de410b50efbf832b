"""What the pins of a simulated board lead to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol


class Digital(Protocol):
    """A chip with pins of its own; a level is 0 or 1."""

    on_edge: Any  # fn(name, level)

    def get_pin(self, name: str) -> int: ...

    def set_pin(self, name: str, level: int) -> None: ...


class SpiChip(Protocol):
    """A chip on SPI."""

    def spi(self, mosi: bytes) -> bytes: ...


class I2cChip(Protocol):
    """A chip on I2C; OSError(5) when it does not acknowledge."""

    @property
    def address(self) -> int: ...

    def write(self, data: bytes) -> None: ...

    def read(self, n: int) -> bytes: ...


class UartChip(Protocol):
    """A part that talks on a UART."""

    def next_us(self) -> int | None: ...

    def take(self) -> bytes: ...

    def write(self, data: bytes) -> None: ...


class WireChip(Protocol):
    """A part on 1-wire."""

    def reset(self) -> bool: ...

    def write_byte(self, byte: int) -> None: ...

    def read_byte(self) -> int: ...

    def write_bit(self, bit: int) -> None: ...

    def read_bit(self) -> int: ...


class AdcChip(Protocol):
    """A voltage; 65535 is the full scale of the converter."""

    def read_u16(self) -> int: ...


class UartPort:
    """The board's end of a UART: what arrived and was not yet read, at most `size` bytes."""

    def __init__(self, chip: UartChip) -> None:
        self.chip = chip
        self.size = 256
        self.lost = 0
        self._waiting = bytearray()

    def arrived(self) -> int:
        """How many bytes wait."""
        self._waiting += self.chip.take()
        if len(self._waiting) > self.size:
            self.lost += len(self._waiting) - self.size
            del self._waiting[self.size :]
        return len(self._waiting)

    def read(self, n: int) -> bytes:
        """Up to n of them."""
        self.arrived()
        data = bytes(self._waiting[:n])
        del self._waiting[:n]
        return data


@dataclass
class Circuit:
    """By number of the pin (of the bus, for I2C and UART) what hangs there. `selects`: SPI chips by chip-select pin."""

    pins: dict[int, tuple[Digital, str]] = field(default_factory=dict)
    selects: dict[int, SpiChip] = field(default_factory=dict)
    i2c: dict[int, dict[int, I2cChip]] = field(default_factory=dict)
    uarts: dict[int, UartPort] = field(default_factory=dict)
    wires: dict[int, WireChip] = field(default_factory=dict)
    adcs: dict[int, AdcChip] = field(default_factory=dict)

"""What the presets say of copper: what the pins of a chip can be, where they are on a board, what is printed on a part."""

from dataclasses import dataclass
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Chip:
    """A chip's pins. `functions`: {"uart 0": {"tx": pins}}; empty where a matrix leads any function to any pin.

    `units`: the numbers of its UARTs, I2C and SPI buses that are free; `adc_no_wifi`: analogue only while there is no Wi-Fi;
    `strapping`: pin -> what its level must be at the start; `taken`: pin -> by what; `pin_ua`: the most that a pin drives.
    """

    name: str
    units: dict[str, frozenset[int]]
    functions: dict[str, dict[str, frozenset[int]]]
    adc: frozenset[int]
    adc_no_wifi: frozenset[int]
    input_only: frozenset[int]
    strapping: dict[int, str]
    taken: dict[int, str]
    pin_ua: int

    def able(self, unit: str | None, number: int | None, role: str) -> frozenset[int] | None:
        """The pins that can play a role of a unit ("uart", 0, "tx"); None where each can."""
        if role == "adc":
            return self.adc | self.adc_no_wifi
        return self.functions.get(f"{unit} {number}", {}).get(role)


class HeaderPin(NamedTuple):
    """A pin as one finds it: its number, its print, its GPIO if it has one; `side` is left, bottom or right, from the top."""

    number: str
    label: str
    gpio: int | None
    side: str

    @property
    def ground(self) -> bool:
        """Ground for any part; not AGND, which is for measuring."""
        return self.label in ("GND", "G")


class Feed(NamedTuple):
    """Where a battery of lo_mv to hi_mv goes in: the print of the pin, and of its own ground if it has one. `charges`: the
    board charges what hangs there, so nothing that cannot be charged may."""

    pin: str
    lo_mv: int
    hi_mv: int
    ground: str = ""
    charges: bool = False


@dataclass(frozen=True)
class Terminal:
    """A terminal of a part by the name printed on it.

    to: a role of the bus (tx, sda ...), supply, ground, open, antenna, battery, or another terminal of the part, which a
    bridge joins it to. pull_up_ohm: what it needs to the supply; `pull_up_on_part`: and has. `wire`: the colour, if it has one.
    """

    name: str
    to: str
    by_address: dict[int, str]
    number: str = ""
    wire: str = ""
    note: str = ""
    pull_up_ohm: int = 0
    pull_up_on_part: bool = False

    def leads(self, address: int | None) -> str:
        """Where it leads with that I2C address."""
        return self.by_address.get(address or 0, self.to)


@dataclass(frozen=True)
class Buy:
    """What to buy, and what it cost in euro cents at `as_of` (YYYY-MM) by `source`, which says so if it is assumed."""

    what: str
    price_eur_cents: int
    as_of: str
    source: str

    @property
    def assumed(self) -> bool:
        """Is the price a guess of ours?"""
        return self.source.startswith("assumed")


@dataclass(frozen=True)
class Part:
    """What a board needs beside the modules: batteries, power gate, resistors, housing. cell_mah, range_mv: of a battery."""

    name: str
    title: str
    terminals: tuple[Terminal, ...]
    buy: Buy
    cell_mah: int
    range_mv: tuple[int, int]
    rechargeable: bool
    ohm: int
    ways: int


def numbers(text: object) -> frozenset[int]:
    """`0-2, 7` as {0, 1, 2, 7}."""
    found: set[int] = set()
    for part in str(text).replace(" ", "").split(","):
        first, _, last = part.partition("-")
        if first:
            found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def chip(name: str, raw: dict[str, Any]) -> Chip:
    """A preset of kind chip."""
    functions = raw.get("functions", {})
    return Chip(
        name=name,
        units={unit: numbers(which) for unit, which in raw["units"].items()},
        functions={unit: {role: numbers(pins) for role, pins in roles.items()} for unit, roles in functions.items()},
        adc=numbers(raw["adc"]),
        adc_no_wifi=numbers(raw.get("adc_no_wifi", "")),
        input_only=numbers(raw.get("input_only", "")),
        strapping={int(pin): why for pin, why in raw.get("strapping", {}).items()},
        taken={pin: what for pins, what in raw.get("taken", {}).items() for pin in numbers(pins)},
        pin_ua=raw["pin_ua"],
    )


def header(raw: dict[str, str]) -> tuple[HeaderPin, ...]:
    """`{left: "1 GP0 0, 3 GND"}`: number, print, GPIO."""
    pins = []
    for side in ("left", "bottom", "right"):
        for text in raw[side].split(",") if side in raw else ():
            number, label, *gpio = text.split()
            pins.append(HeaderPin(number, label, int(gpio[0]) if gpio else None, side))
    return tuple(pins)


def terminals(raw: dict[str, dict[str, Any]]) -> tuple[Terminal, ...]:
    """`{VCC: {to: supply, wire: red}}`, in the order of the part."""
    found = []
    for name, spec in raw.items():
        by_address = {int(address): to for address, to in spec.get("by_address", {}).items()}
        rest = {key: value for key, value in spec.items() if key not in ("to", "by_address", "number")}
        found.append(Terminal(name, spec.get("to", "open"), by_address, str(spec.get("number", "")), **rest))
    return tuple(found)


def part(name: str, raw: dict[str, Any]) -> Part:
    """A preset of kind part."""
    low, high = raw.get("range_mv", (0, 0))
    return Part(
        name=name,
        title=raw["title"],
        terminals=terminals(raw.get("terminals", {})),
        buy=Buy(**raw["buy"]),
        cell_mah=raw.get("cell_mah", 0),
        range_mv=(low, high),
        rechargeable=raw.get("rechargeable", False),
        ohm=raw.get("ohm", 0),
        ways=raw.get("ways", 0),
    )

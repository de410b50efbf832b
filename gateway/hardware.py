"""What the presets say of copper: what the pins of a chip can be, where they are on a board, what is printed on a part."""

from dataclasses import dataclass
from typing import Any


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

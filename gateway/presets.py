"""What is known of a board, a radio module, a sensor or a service before a town names it: the small files of the firmware.

They lie beside the code that they describe: `firmware/chips/*.yaml`, `firmware/boards/*.yaml` (kind board or radio),
`firmware/sensors/*.yaml` (driver), `firmware/services/*.yaml` (service), `firmware/parts/*.yaml` (what is bought besides).
A new one is a new file; nothing here names any.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import firmware
from gateway import hardware, yamlfile
from gateway.hardware import Buy, Chip, Feed, HeaderPin, Part, Terminal, numbers

# A bus is a unit with a number (None: a bare pin) and the pins that lead to it.
BUSES: dict[str, tuple[str | None, tuple[str, ...]]] = {
    "uart": ("uart", ("tx", "rx")),
    "i2c": ("i2c", ("sda", "scl")),
    "pin": (None, ("pin",)),
}
RADIO_PINS = ("sck", "mosi", "miso", "cs", "busy", "reset", "dio1")


@dataclass(frozen=True)
class MicroPython:
    """How MicroPython comes onto a board. image: its name on the download site. family: the number by which an image says which
    chip it is for, in the header of an ESP32's and in each block of a UF2.

    offset: address in an ESP32's flash at which the image begins. drive: the Board-ID that a Pico shows in BOOTSEL mode;
    flash_bytes: the size of its flash.
    """

    image: str
    family: int
    offset: int = 0
    drive: str = ""
    flash_bytes: int = 0


@dataclass(frozen=True)
class BoardType:
    """A board that one can buy. `gpio` are the pins that a person may wire; wiring is the usual one of each bus.

    power: what it draws in uA and how long it computes in ms, as firmware/node/energy.py wants it; source: says who.
    header: its pins in their places, top: what is at their upper end; supply_mv: what the pins of that print give to parts;
    feed: where a battery goes in; divider_on_board: the battery's pin measures it without a wire.
    """

    name: str
    title: str
    platform: str
    chip: str
    uid_bytes: int
    micropython: MicroPython
    gpio: frozenset[int]
    input_only: frozenset[int]
    led: int | None
    battery: dict[str, int] | None
    radio: str | None
    radio_wiring: dict[str, int]
    wiring: dict[str, dict[str, int]]
    power: dict[str, int]
    source: str
    header: tuple[HeaderPin, ...]
    top: str
    supply_mv: dict[str, int]
    feed: tuple[Feed, ...]
    divider_on_board: bool
    buy: Buy

    def outside(self, gpio: int) -> bool:
        """Is the pin on the header, where a wire can reach it?"""
        return any(pin.gpio == gpio for pin in self.header)

    def on_board(self, role: str, gpio: int) -> bool:
        """Does the pin do this without a wire: the board's LED, its battery divider, its radio?"""
        adc = self.battery["adc"] if self.battery and self.divider_on_board else None
        radio = [pin for key, pin in self.radio_wiring.items() if key != "spi"] if self.radio else []
        return {"led": gpio == self.led, "adc": gpio == adc}.get(role, gpio in radio)


@dataclass(frozen=True)
class RadioModule:
    """A radio module. `needs`: pins beyond RADIO_PINS without which it is deaf or mute; `wiring`: fixed by its plug.

    tx_ua: what sending draws, by power in dBm; source: says who. plugs_onto: the board types that it sits on without a wire,
    plug_battery: the pin that its own battery divider takes there; no terminals: part of the board, as it has no `buy`.
    """

    name: str
    title: str
    chip: str
    variant: str
    tcxo_mv: int
    dio2_rf_switch: bool
    needs: tuple[str, ...]
    power_dbm: tuple[int, int]
    antenna_dbi: int
    wiring: dict[str, int]
    tx_ua: dict[int, int]
    rx_ua: int
    sleep_ua: int
    source: str
    supply_mv: tuple[int, int]
    terminals: tuple[Terminal, ...]
    plugs_onto: tuple[str, ...]
    plug_battery: int | None
    antenna_included: bool
    buy: Buy | None


@dataclass(frozen=True)
class Driver:
    """A sensor's driver: its bus, on I2C the addresses that the part can have (the usual one first), and what else an entry
    may give: `power`, a pin, and `rom`, hexadecimal. What it draws, in uA, for how many ms a measurement; source: says who.
    reads: what a sound one reads, anywhere. peak_ua: the most that it draws; supply_mv: least and most; terminals: as printed
    on the part; outside: of the housing, on a cable."""

    name: str
    title: str
    bus: str
    address: tuple[int, ...]
    options: tuple[str, ...]
    active_ua: int
    active_ms: int
    standby_ua: int
    source: str
    peak_ua: int
    supply_mv: tuple[int, int]
    terminals: tuple[Terminal, ...]
    outside: bool
    buy: Buy
    reads: "Reads | None" = None


@dataclass(frozen=True)
class Reads:
    """What a driver's `read` gives, in `unit`. of: "each" value lies within lo..hi, or the "length" of the vector does."""

    unit: str
    lo: int
    hi: int
    of: str = "each"


@dataclass(frozen=True)
class Setting:
    """A whole number that a person may set for a service."""

    lo: int
    hi: int
    required: bool


@dataclass(frozen=True)
class Samples:
    """A sensor that a service reads by itself, so that it must keep its memory; work_ms: how long a small board computes."""

    part: str
    every_s: int
    work_ms: int


@dataclass(frozen=True)
class Service:
    """What a service needs: sensors by their part in it, and settings.

    `less`: pairs of settings of which the first is less; `together`: settings of which all are given or none. samples: None
    where it measures for a report alone. events_day: how many frames a day come besides the reports, as projected.
    """

    name: str
    title: str
    frame_bytes: int
    sensors: dict[str, tuple[bool, tuple[str, ...]]]
    settings: dict[str, Setting]
    less: tuple[tuple[str, str], ...]
    together: tuple[tuple[str, ...], ...]
    samples: Samples | None
    events_day: int


@dataclass(frozen=True)
class Presets:
    """All presets by kind and name."""

    chips: dict[str, Chip]
    boards: dict[str, BoardType]
    radios: dict[str, RadioModule]
    drivers: dict[str, Driver]
    services: dict[str, Service]


@cache
def presets(root: Path | None = None) -> Presets:
    """The presets below `root`, the folder `firmware` (default: the one that is installed)."""
    read = _read(root, "chips", "boards", "sensors", "services")
    found: dict[str, dict[str, Any]] = {kind: {} for kind in _MAKE}
    for name, raw in read.items():
        if isinstance(raw.get("header"), str):  # the same as that board's
            raw["header"] = read[raw["header"]]["header"]
        found[raw["kind"]][name] = _MAKE[raw["kind"]](name, raw)
    return Presets(found["chip"], found["board"], found["radio"], found["driver"], found["service"])


@cache
def parts(root: Path | None = None) -> dict[str, Part]:
    """What else is bought and wired, by name; apart, as only the drawing and the shopping list want it."""
    return {name: hardware.part(name, raw) for name, raw in _read(root, "parts").items()}


def _read(root: Path | None, *folders: str) -> dict[str, dict[str, Any]]:
    top = root or Path(firmware.__path__[0])
    paths = [path for folder in folders for path in sorted((top / folder).glob("*.yaml"))]
    return {path.stem: yamlfile.plain(yamlfile.read(path)) for path in paths}


def _board(name: str, raw: dict[str, Any]) -> BoardType:
    return BoardType(
        name=name,
        title=raw["title"],
        platform=raw["platform"],
        chip=raw["chip"],
        uid_bytes=raw["uid_bytes"],
        micropython=MicroPython(**raw["micropython"]),
        gpio=numbers(raw["gpio"]),
        input_only=numbers(raw.get("input_only", "")),
        led=raw.get("led"),
        battery=raw.get("battery"),
        radio=raw.get("radio"),
        radio_wiring=raw["radio_wiring"],
        wiring=raw["wiring"],
        power={key: value for key, value in raw["power"].items() if key != "source"},
        source=raw["power"]["source"],
        header=hardware.header(raw["header"]),
        top=raw["header"]["top"],
        supply_mv=raw["supply_mv"],
        feed=tuple(Feed(**feed) for feed in raw["feed"]),
        divider_on_board=raw.get("divider_on_board", False),
        buy=Buy(**raw["buy"]),
    )


def _radio(name: str, raw: dict[str, Any]) -> RadioModule:
    low, high = raw["power_dbm"]
    return RadioModule(
        name=name,
        title=raw["title"],
        chip=raw["chip"],
        variant=raw["variant"],
        tcxo_mv=raw["tcxo_mv"],
        dio2_rf_switch=raw["dio2_rf_switch"],
        needs=tuple(raw["needs"]),
        power_dbm=(low, high),
        antenna_dbi=raw["antenna_dbi"],
        wiring=raw.get("wiring", {}),
        tx_ua={int(dbm): current for dbm, current in raw["power"]["tx_ua"].items()},
        rx_ua=raw["power"]["rx_ua"],
        sleep_ua=raw["power"]["sleep_ua"],
        source=raw["power"]["source"],
        supply_mv=_pair(raw.get("supply_mv", (0, 0))),
        terminals=hardware.terminals(raw.get("terminals", {})),
        plugs_onto=tuple(raw.get("plugs_onto", ())),
        plug_battery=raw.get("plug_battery"),
        antenna_included=raw.get("antenna_included", False),
        buy=Buy(**raw["buy"]) if "buy" in raw else None,
    )


def _pair(raw: Sequence[int]) -> tuple[int, int]:
    low, high = raw
    return low, high


def _driver(name: str, raw: dict[str, Any]) -> Driver:
    reads = Reads(**raw["reads"]) if "reads" in raw else None
    address, options = tuple(raw.get("address", ())), tuple(raw.get("options", ()))
    return Driver(
        name, raw["title"], raw["bus"], address, options, **raw["power"],
        peak_ua=raw.get("peak_ua", raw["power"]["active_ua"]), supply_mv=_pair(raw["supply_mv"]),
        terminals=hardware.terminals(raw["terminals"]), outside=raw.get("outside", False), buy=Buy(**raw["buy"]), reads=reads,
    )  # fmt: skip


def _service(name: str, raw: dict[str, Any]) -> Service:
    sensors = {part: (spec["required"], tuple(spec["drivers"])) for part, spec in raw["sensors"].items()}
    settings = {key: Setting(**spec) for key, spec in raw["settings"].items()}
    less = tuple((small, large) for small, large in raw.get("less", ()))
    together = tuple(tuple(keys) for keys in raw.get("together", ()))
    samples = Samples(**raw["samples"]) if "samples" in raw else None
    return Service(name, raw["title"], raw["frame_bytes"], sensors, settings, less, together, samples,
                   raw.get("events_day", 0))  # fmt: skip


_MAKE = {"chip": hardware.chip, "board": _board, "radio": _radio, "driver": _driver, "service": _service}

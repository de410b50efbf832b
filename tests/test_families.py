"""Both board families: one interface of `ports`, nothing else that tells them apart, and presets whose pins are able.

The tables of pins are those of the chips' data sheets and of the usual modules; no preset is their source.
"""

import ast
import re
from typing import NamedTuple

import pytest
from house import ROOT, sources

from gateway.presets import numbers, presets

# What may know of a family: its port, and what runs before there is one.
FAMILIAR = ("firmware/ports/", "firmware/main.py", "firmware/ladder.py")
FAMILY_MODULES = {"esp", "esp32", "espnow", "rp2", "network", "bluetooth"}
FAMILY_WORDS = {"platform", "uname", "_machine", "_build"}


class Chip(NamedTuple):
    """Pins by what they can do, and what they must not be used for. uart, i2c, spi: {(unit, role): pins}; None: any pin."""

    pins: frozenset[int]
    adc: frozenset[int]
    input_only: frozenset[int]
    taken: frozenset[int]  # flash, PSRAM, the console, the USB port; on an ESP32-C3 the console is the USB port
    strapping: frozenset[int]  # read at the start; nothing outside may pull them the wrong way
    units: dict[str, frozenset[int]]
    fixed: dict[tuple[str, int, str], frozenset[int]]


def _rp2(adc: str, taken: str) -> Chip:
    """An RP2040's or RP2350's functions repeat every eight or sixteen pins."""
    pins = numbers("0-29")
    fixed = {}
    for unit, first in ((0, (0, 12, 16, 28)), (1, (4, 8, 20, 24))):
        fixed["uart", unit, "tx"] = frozenset(first)
        fixed["uart", unit, "rx"] = frozenset(pin + 1 for pin in first)
    for unit in (0, 1):
        for role, at in (("sda", 0), ("scl", 1)):
            fixed["i2c", unit, role] = frozenset(pin for pin in pins if pin % 4 == 2 * unit + at)
        for role, at in (("miso", 0), ("sck", 2), ("mosi", 3)):
            fixed["spi", unit, role] = frozenset(pin for pin in pins if pin // 8 % 2 == unit and pin % 4 == at)
    units = {"uart": frozenset((0, 1)), "i2c": frozenset((0, 1)), "spi": frozenset((0, 1))}
    return Chip(pins, numbers(adc), frozenset(), numbers(taken), frozenset(), units, fixed)


def _esp(pins: str, adc: str, input_only: str, taken: str, *, strapping: str, units: tuple[str, str, str]) -> Chip:
    """An ESP32's matrix leads any signal to any pin that can drive it."""
    each = {"uart": numbers(units[0]), "i2c": numbers(units[1]), "spi": numbers(units[2])}
    return Chip(numbers(pins), numbers(adc), numbers(input_only), numbers(taken), numbers(strapping), each, {})


PICO = _rp2("26-29", "23, 24")  # 23: the regulator's mode, 24: is there a voltage on USB
PICO_W = _rp2("26-28", "23-25, 29")  # the wireless chip
_WROOM = "0-5, 12-19, 21-23, 25-27, 32-39"
ESP32 = _esp(_WROOM, "32-39", "34-39", "1, 3, 6-11", strapping="0, 2, 5, 12, 15", units=("0-2", "0-1", "1-2"))
ESP32_S3 = _esp("0-21, 26-48", "1-10", "", "19, 20, 26-32, 43, 44", strapping="0, 3, 45, 46", units=("0-2", "0-1", "1-2"))
ESP32_C3 = _esp("0-21", "0-4", "", "11-19", strapping="2, 8, 9", units=("0-1", "0", "1"))
CHIPS = {"ESP32": ESP32, "ESP32S3": ESP32_S3, "ESP32C3": ESP32_C3}
# Strapping pins that are used nevertheless, and why the board starts all the same.
STRAPPED = {
    ("ESP32", 2): "LED: low, which lets the ROM's loader in",
    ("ESP32", 5): "chip select: high by its own pull-up, as the start wants it",
    ("ESP32C3", 2): "the radio's reset: high by the radio's pull-up, as the start wants it",
    ("ESP32C3", 8): "I2C: high by the bus's resistor",
    ("ESP32C3", 9): "I2C: high by the bus's resistor, as the start wants it",
}
BOARDS = presets().boards


def chip_of(kind) -> Chip:
    """The chip of a preset, with the board's own uses of its pins."""
    if kind.platform == "rp2":
        return PICO_W if kind.name.endswith("-w") else PICO
    return CHIPS[kind.chip]


def test_the_boards_of_both_families_are_there():
    assert {"pico", "pico-w", "pico2", "pico2-w", "esp32", "esp32-s3", "esp32-c3"} <= set(BOARDS)
    assert {(kind.platform, kind.chip) for kind in BOARDS.values()} == {
        ("rp2", "RP2040"), ("rp2", "RP2350"), *(("esp32", chip) for chip in CHIPS)
    }  # fmt: skip


def _roles(kind) -> list[tuple[str, int | None, str, int]]:
    """(bus, unit, role, pin) of everything that a preset wires."""
    wires = {"spi": kind.radio_wiring, **kind.wiring}
    out = []
    for bus, wiring in wires.items():
        for role, pin in wiring.items():
            if role != bus or bus == "pin":
                out.append((bus, wiring.get(bus) if bus != "pin" else None, role, pin))
    if kind.led is not None:
        out.append(("led", None, "led", kind.led))
    return out


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_the_pins_of_a_preset_exist_and_are_able(name):
    kind = BOARDS[name]
    chip = chip_of(kind)
    assert kind.gpio <= chip.pins - chip.taken
    assert kind.input_only == chip.input_only & kind.gpio
    assert kind.battery is None or kind.battery["adc"] in chip.adc
    for bus, unit, role, pin in _roles(kind):
        where = f"{name}: {bus} {role} on {pin}"
        assert pin in kind.gpio, where
        assert role in ("rx", "miso", "busy", "dio1") or pin not in chip.input_only, where
        assert unit is None or unit in chip.units[bus], where
        if (bus, unit, role) in chip.fixed:
            assert pin in chip.fixed[bus, unit, role], where
        assert pin not in chip.strapping or (kind.chip, pin) in STRAPPED, where


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_the_wires_of_a_preset_do_not_meet(name):
    kind = BOARDS[name]
    pins = [pin for *_, pin in _roles(kind)] + ([kind.battery["adc"]] if kind.battery else [])
    assert len(pins) == len(set(pins))


def test_a_module_that_plugs_onto_a_pico_finds_its_functions():
    plugged = [radio for radio in presets().radios.values() if radio.wiring]
    assert plugged
    for radio in plugged:
        for role in ("sck", "mosi", "miso"):
            assert radio.wiring[role] in PICO.fixed["spi", radio.wiring["spi"], role], radio.name


def test_only_pins_with_a_reason_are_excused():
    used = {(kind.chip, pin) for kind in BOARDS.values() for *_, pin in _roles(kind)}
    for chip, pin in STRAPPED:
        assert pin in CHIPS[chip].strapping
        assert (chip, pin) in used


# -- ports


def _interface(name: str) -> dict[str, list[str]]:
    tree = ast.parse((ROOT / f"firmware/ports/{name}.py").read_text())
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]
    return {node.name: [arg.arg for arg in node.args.args] for node in functions}


def test_every_port_has_the_interface_of_the_table():
    told = ast.get_docstring(ast.parse((ROOT / "firmware/ports/__init__.py").read_text()))
    rows = re.findall(r"^    (\w+)\(([^)]*)\)", told, re.M)
    table = {name: arguments.split(", ") if arguments else [] for name, arguments in rows}
    assert len(table) >= 11
    for name in ("esp32", "rp2", "unix"):
        assert _interface(name) == table, name


@pytest.mark.parametrize("path", sources("firmware"), ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_but_ports_knows_the_family(path):
    relative = str(path.relative_to(ROOT))
    if relative.startswith(FAMILIAR):
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert not FAMILY_MODULES & {alias.name.split(".")[0] for alias in node.names}, f"{relative}:{node.lineno}"
        elif isinstance(node, ast.ImportFrom) and not node.level:
            assert (node.module or "").split(".")[0] not in FAMILY_MODULES, f"{relative}:{node.lineno}"
        elif isinstance(node, ast.Attribute):
            assert node.attr not in FAMILY_WORDS, f"{relative}:{node.lineno}"

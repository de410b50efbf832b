"""The rules of a board's pins: each exists, can do its work, and leads to one thing; those on one bus agree about it."""

from typing import NamedTuple

from gateway.hardware import Chip
from gateway.inventory_checks import Fleet, Loc, Report
from gateway.inventory_entries import Board
from gateway.presets import BUSES, BoardType

OUTPUTS = {"tx", "sda", "scl", "pin", "power", "sck", "mosi", "cs", "reset", "rxen", "txen", "led", "done"}
# The signals that a unit of the chip makes itself; the others are bare pins.
SPI = ("sck", "mosi", "miso")


class Use(NamedTuple):
    """A pin in use: where the entry says so, by what, in which role, and the unit of the chip behind it, if any."""

    place: Loc
    what: str
    role: str
    pin: int
    unit: str | None = None
    number: int | None = None


def check(fleet: Fleet, report: Report, loc: Loc, board: Board) -> None:
    """Every pin of a board; faults go to the report, each at the key that says the pin."""
    kind = fleet.presets.boards.get(board.type)
    if kind is None:
        return
    chip = fleet.presets.chips[kind.chip]
    module = fleet.module(board)
    if module is not None and module.plugs_onto and kind.name not in module.plugs_onto:
        report.add((*loc, "radio"), "{module} plugs onto: {known}", at_key=True, module=module.name,
                   known=", ".join(module.plugs_onto))  # fmt: skip
        return
    used: dict[int, str] = {}
    for use in uses(fleet, board):
        at = _at(report, loc, use, use.role)
        if not (_exists(report, at, use, kind, chip) and _able(report, loc, use, kind, chip)):
            continue
        name = f"{use.what} {use.role}"
        if used.setdefault(use.pin, name) != name:
            report.add(at, "{what} {name}: pin {pin} is already used by {other}", what=use.what, name=use.role, pin=use.pin,
                       other=used[use.pin])  # fmt: skip
    _buses(fleet, report, loc, board, chip)
    _addresses(fleet, report, loc, board)


def uses(fleet: Fleet, board: Board) -> list[Use]:
    """Every pin that a board uses, those of its presets too."""
    found: list[Use] = []
    module = fleet.module(board)
    if module is not None:
        wiring = fleet.radio_wiring(board, module)
        spi = wiring.get("spi")
        found += [
            Use(("radio",), "radio", role, pin, *(("spi", spi) if role in SPI else (None, None)))
            for role, pin in wiring.items()
            if role != "spi"
        ]
        battery = fleet.battery(board)
        if module.plug_battery is not None and (battery is None or battery["adc"] != module.plug_battery):
            found.append(Use(("radio",), "radio", "battery", module.plug_battery))
    for part, sensor in board.sensors.items():
        driver = fleet.presets.drivers.get(sensor.driver)
        if driver is None:
            continue
        unit, roles = BUSES[driver.bus]
        wiring = fleet.sensor_wiring(board, sensor)
        number = wiring.get(unit or "")
        what = f"i2c {number}" if unit == "i2c" else part
        found += [Use(("sensors", part), what, role, wiring[role], unit, number) for role in roles if role in wiring]
        if "power" in wiring:
            found.append(Use(("sensors", part), part, "power", wiring["power"]))
    if board.power.done is not None:
        found.append(Use(("power",), "power", "done", board.power.done))
    battery = fleet.battery(board)
    if battery is not None:
        found.append(Use(("battery",), "battery", "adc", battery["adc"]))
    if board.led is not None:
        found.append(Use((), "board", "led", board.led))
    return found


def _at(report: Report, loc: Loc, use: Use, *keys: str) -> Loc:
    """The first of the keys that stands in the entry, else the entry's part: what comes of a preset has no line."""
    node = report.top.find((*loc, *use.place))
    written = node.value if isinstance(node.value, dict) else {}
    return next(((*loc, *use.place, key) for key in keys if key in written), (*loc, *use.place))


def _exists(report: Report, at: Loc, use: Use, kind: BoardType, chip: Chip) -> bool:
    if use.pin in kind.gpio:
        if kind.outside(use.pin) or kind.on_board(use.role, use.pin):
            return True
        report.add(at, "{what} {name}: pin {pin} of a {type} comes out nowhere", what=use.what, name=use.role, pin=use.pin,
                   type=kind.name)  # fmt: skip
    elif use.pin in chip.taken:
        report.add(at, "{what} {name}: pin {pin} belongs to {kind}", what=use.what, name=use.role, pin=use.pin,
                   kind=chip.taken[use.pin])  # fmt: skip
    else:
        report.add(at, "{what} {name}: {type} has no pin {pin}", what=use.what, name=use.role, type=kind.name, pin=use.pin)
    return False


def _able(report: Report, loc: Loc, use: Use, kind: BoardType, chip: Chip) -> bool:
    """Can the pin do it? An input drives nothing, and a function of a Pico's chip comes out at few of its pins."""
    if use.pin in kind.input_only and use.role in OUTPUTS:
        report.add(_at(report, loc, use, use.role), "{what} {name}: pin {pin} can only read", what=use.what, name=use.role,
                   pin=use.pin)  # fmt: skip
        return False
    able = chip.able(use.unit, use.number, use.role)
    if able is None or use.pin in able:
        return True
    function = f"{use.unit or ''} {'' if use.number is None else use.number} {use.role}".strip().upper()
    known = [pin for pin in sorted(able & kind.gpio) if kind.outside(pin)]
    report.add(_at(report, loc, use, use.role, use.unit or ""), "{what} {name}: pin {pin} of a {type} cannot be {function} "
               "(it can be: {known})", what=use.what, name=use.role, pin=use.pin, type=kind.name, function=function,
               known=", ".join(map(str, known)))  # fmt: skip
    return False


def _buses(fleet: Fleet, report: Report, loc: Loc, board: Board, chip: Chip) -> None:
    """A unit of the chip is there; a UART has one sensor; an I2C bus has one pair of pins."""
    first: dict[tuple[str, int, str], Use] = {}
    for use in uses(fleet, board):
        if use.unit is None or use.number is None:
            continue
        part, once = str(use.place[-1]), use.role in ("tx", "sda", "sck")
        other = first.setdefault((use.unit, use.number, use.role), use)
        if use.number not in chip.units[use.unit]:
            if once:
                known = ", ".join(map(str, sorted(chip.units[use.unit])))
                report.add(_at(report, loc, use, use.unit), "{what}: there is no {unit} {number} for it (there is: {known})",
                           what=part, unit=use.unit, number=use.number, known=known)  # fmt: skip
        elif use.unit != "i2c" and other.place != use.place and once:
            report.add(_at(report, loc, use, use.unit), "{what}: {unit} {number} is already used by {other}",
                       what=part, unit=use.unit, number=use.number, other=other.place[-1])  # fmt: skip
        elif use.unit == "i2c" and other.pin != use.pin:
            report.add(_at(report, loc, use, use.role, use.unit), "i2c {number} {name}: pin {pin}, but {there} for {other}: "
                       "a bus has one pair of pins", number=use.number, name=use.role, pin=use.pin, there=other.pin,
                       other=other.place[-1])  # fmt: skip


def _addresses(fleet: Fleet, report: Report, loc: Loc, board: Board) -> None:
    """No two sensors on one I2C bus answer to one address."""
    taken: dict[tuple[int, int], str] = {}
    for part, sensor in board.sensors.items():
        driver = fleet.presets.drivers.get(sensor.driver)
        if driver is None or driver.bus != "i2c":
            continue
        wiring = fleet.sensor_wiring(board, sensor)
        bus, address = wiring["i2c"], wiring["address"]
        other = taken.setdefault((bus, address), part)
        if other != part:
            at = _at(report, loc, Use(("sensors", part), part, "address", 0), "address")
            report.add(at, "{what}: address {address} on i2c {number} is already that of {other}", what=part, address=address,
                       number=bus, other=other)  # fmt: skip

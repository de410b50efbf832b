"""The parts that hang on a board, and where each of their terminals leads: out of boards.yaml and the presets alone."""

from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.hardware import Feed, Part, Terminal
from gateway.inventory import Board, Inventory, Sensor
from gateway.presets import BoardType, parts
from tools.i18n import _

# Roles in which a pin of the board listens: their level must not be above 3.3 V.
LISTENS = {"rx", "sda", "scl", "pin", "miso", "busy", "dio1"}
LOGIC_MV = 3600


class Spot(NamedTuple):
    """A terminal of a part: its print, its number on the part, and the net that it is on ("" none). `wire`: its own colour."""

    name: str
    number: str
    net: str
    wire: str = ""
    note: str = ""


class Link(NamedTuple):
    """A resistor, or with no ohms a bridge, from terminal to terminal of one part."""

    first: str
    second: str
    ohm: int


@dataclass
class Box:
    """A part as it is drawn: `key` names it in the table, `title` says what it is, `preset` what to buy, `volts` its supply."""

    key: str
    title: str
    preset: str
    spots: list[Spot]
    links: list[Link] = field(default_factory=list)
    volts: str = ""


@dataclass
class Parts:
    """What hangs on a board. Nets are named gpio N, rail LABEL (a power pin), ground, battery, switched X.

    plugged: header label -> what a module that sits on the board does there; notes: what to know besides.
    """

    boxes: list[Box] = field(default_factory=list)
    plugged: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def parts_of(inv: Inventory, board: Board) -> Parts:
    """The parts of a board, in the order of the table: sensors, radio, power."""
    found = Parts()
    kind = inv.presets.boards[board.type]
    for sensor in board.sensors.values():
        _sensor(inv, board, sensor, found)
    _radio(inv, board, found)
    _power(board, kind, found)
    if board.led is not None and not kind.on_board("led", board.led):
        led = parts()["led"]
        found.boxes.append(_box("led", led, {"led": f"gpio {board.led}", "ground": "ground"}))
        found.notes.append(_("solder {ohm} ohm into the LED's lead A").format(ohm=led.ohm))
    return found


def _sensor(inv: Inventory, board: Board, sensor: Sensor, found: Parts) -> None:
    kind, driver = inv.presets.boards[board.type], inv.presets.drivers[sensor.driver]
    supply, supply_mv = _supply(kind, driver.supply_mv)
    nets = {role: f"gpio {pin}" for role, pin in sensor.wiring.items() if role in ("tx", "rx", "sda", "scl", "pin")}
    nets |= {"supply": supply, "ground": "ground"}
    if "power" in sensor.wiring:
        nets["supply"], supply_mv = _switched(inv, board, sensor, found)
    spots, links = [], []
    bus_pulled = any(box.links and _same_bus(box, nets) for box in found.boxes)
    up = next(terminal.name for terminal in driver.terminals if terminal.to == "supply")
    names = {terminal.name for terminal in driver.terminals}
    for terminal in driver.terminals:
        to = terminal.leads(sensor.wiring.get("address"))
        note = _(terminal.note)
        if to in names:
            links.append(Link(terminal.name, to, 0))
        if terminal.pull_up_ohm and not terminal.pull_up_on_part and not bus_pulled:
            links.append(Link(terminal.name, up, terminal.pull_up_ohm))
        if to in LISTENS and supply_mv > LOGIC_MV:
            note = _("a level shifter to 3.3 V between")
        spots.append(_spot(terminal, to, nets)._replace(note=note))
    found.boxes.append(Box(sensor.name, _(driver.title), sensor.driver, spots, links, _volts(driver.supply_mv)))
    found.notes += _of_supply(board, sensor.name, driver.supply_mv, supply_mv)
    if len(driver.address) > 1:
        found.notes.append(_("{part} answers at I2C address {address}").format(
            part=sensor.name, address=hex(sensor.wiring["address"])))  # fmt: skip


def _volts(range_mv: tuple[int, int]) -> str:
    low, high = range_mv
    return f"{low / 1000:g} V" if low == high else f"{low / 1000:g}-{high / 1000:g} V"


def _of_supply(board: Board, part: str, range_mv: tuple[int, int], given_mv: int) -> list[str]:
    """What is wrong with a supply that is not 3.3 V."""
    if not range_mv[0] <= given_mv <= range_mv[1]:
        return [_("{part} needs {volts}, which this board does not give").format(part=part, volts=_volts(range_mv))]
    if given_mv > LOGIC_MV and board.link != "serial":
        return [_("{part} lives on {volts}, which is there with USB alone").format(part=part, volts=_volts((given_mv, given_mv)))]
    return []


def _same_bus(box: Box, nets: dict[str, str]) -> bool:
    """Has a sensor on the same I2C bus brought its resistors already?"""
    return any(link.ohm for link in box.links) and any(spot.net and spot.net == nets.get("sda") for spot in box.spots)


def _supply(kind: BoardType, range_mv: tuple[int, int]) -> tuple[str, int]:
    """The board's pin that suits a part, the lowest voltage first: the signals then stay at 3.3 V."""
    for label, given_mv in sorted(kind.supply_mv.items(), key=lambda pair: pair[1]):
        if range_mv[0] <= given_mv <= range_mv[1]:
            return f"rail {label}", given_mv
    label, given_mv = min(kind.supply_mv.items(), key=lambda pair: pair[1])
    return f"rail {label}", given_mv


def _switched(inv: Inventory, board: Board, sensor: Sensor, found: Parts) -> tuple[str, int]:
    """The net that a switched sensor lives on: the pin itself, or a load switch where the sensor draws more than a pin feeds."""
    kind, driver = inv.presets.boards[board.type], inv.presets.drivers[sensor.driver]
    name, power = sensor.name, sensor.wiring["power"]
    most_ua = inv.presets.chips[kind.chip].pin_ua
    if driver.peak_ua <= most_ua:
        found.notes.append(_("{part} lives on a pin: {draws} mA of at most {most}; measure that it gets {volt} V then").format(
            part=name, draws=driver.peak_ua // 1000, most=most_ua // 1000, volt=driver.supply_mv[0] / 1000))  # fmt: skip
        return f"gpio {power}", 3300
    supply, supply_mv = _supply(kind, driver.supply_mv)
    nets = {"supply": supply, "ground": "ground", "power": f"gpio {power}", "switched": f"switched {name}"}
    found.boxes.append(_box(_("{part} switch").format(part=name), parts()["load-switch"], nets))
    found.notes.append(_("{part} draws up to {draws} mA, a pin feeds {most}: its supply goes through a load switch").format(
        part=name, draws=driver.peak_ua // 1000, most=most_ua // 1000))  # fmt: skip
    return f"switched {name}", supply_mv


def _radio(inv: Inventory, board: Board, found: Parts) -> None:
    if board.radio is None:
        return
    module, kind = board.radio.module, inv.presets.boards[board.type]
    pins = {f"gpio {pin}": role for role, pin in board.radio.wiring.items() if role != "spi"}
    if module.plugs_onto:
        found.plugged = {pin.label: pins[f"gpio {pin.gpio}"] for pin in kind.header if f"gpio {pin.gpio}" in pins}
        found.plugged |= {pin.label: _("battery") for pin in kind.header if pin.gpio == module.plug_battery}
        found.notes.append(_("{module}: no wire leads to it, but its pins are taken; solder the other wires to the board "
                             "itself").format(module=_(module.title)))  # fmt: skip
    elif module.terminals:
        nets = {role: net for net, role in pins.items()} | {"ground": "ground", "supply": _supply(kind, module.supply_mv)[0]}
        names = {terminal.name for terminal in module.terminals}
        links = [Link(terminal.name, terminal.to, 0) for terminal in module.terminals if terminal.to in names]
        spots, volts = _spots(module.terminals, nets), _volts(module.supply_mv)
        found.boxes.append(Box(_("radio"), _(module.title), module.name, spots, links, volts))
    found.notes.append(_("the antenna before the power: a radio that sends without one may break"))


def _spots(terminals: tuple[Terminal, ...], nets: dict[str, str]) -> list[Spot]:
    return [_spot(each, each.to, nets) for each in terminals]


def _spot(terminal: Terminal, to: str, nets: dict[str, str]) -> Spot:
    wire = terminal.wire or {"supply": "red", "battery": "red", "ground": "black"}.get(to, "")
    note = _(terminal.note) or (_("antenna") if to == "antenna" else "")
    return Spot(terminal.name, terminal.number, nets.get(to, ""), wire, note)


def _box(key: str, part: Part, nets: dict[str, str], links: list[Link] | None = None) -> Box:
    return Box(key, _(part.title), part.name, _spots(part.terminals, nets), links or [])


def _power(board: Board, kind: BoardType, found: Parts) -> None:
    """Battery, power gate, regulator and the divider that measures; a board on a serial port lives on its cable."""
    if board.link == "serial":
        found.notes.append(_("USB cable to a port of the gateway {gateway}: power and data").format(gateway=board.gateway))
        return
    known = parts()
    battery = known.get(f"battery-{board.power.chemistry}")
    feed = next((feed for feed in kind.feed if _fits(feed, battery)), None)
    key = _("battery") if battery else _("supply")
    into = f"rail {feed.pin}" if feed else "regulator in"
    source = "battery" if board.power.profile == "gated" else into
    found.boxes.append(_battery(key, battery, feed, source, board))
    if board.power.profile == "gated":
        nets = {"battery": source, "ground": "ground", "done": f"gpio {board.power.done}", "gated": into}
        found.boxes.append(_box(_("gate"), known["power-gate"], nets))
    if feed is None:
        nets = {"battery": into, "ground": "ground", "regulated": _supply(kind, (3300, 3300))[0]}
        found.boxes.append(_box(_("regulator"), known["regulator"], nets))
        found.notes.append(_("the battery's {lo} to {hi} V fit no pin of the board: a regulator makes 3.3 V").format(
            lo=battery.range_mv[0] / 1000 if battery else 0, hi=battery.range_mv[1] / 1000 if battery else 0))  # fmt: skip
    if board.battery is not None and not kind.on_board("adc", board.battery["adc"]):
        lower = known["divider"].ohm
        upper = lower * (board.battery["divider_x1000"] - 1000) // 1000
        nets = {"battery": into, "adc": f"gpio {board.battery['adc']}", "ground": "ground"}
        links = [Link("TOP", "OUT", upper), Link("OUT", "GND", lower)]
        found.boxes.append(_box(_("divider"), known["divider"], nets, links))
    if feed and battery and battery.range_mv[0] < feed.lo_mv:
        found.notes.append(_("below {volt} V the board may stop, before the battery is empty").format(volt=feed.lo_mv / 1000))
    if feed is not None and not feed.charges:
        found.notes.append(_("never the battery and a USB cable at once, unless a diode or a switch parts them"))


def _battery(key: str, battery: Part | None, feed: Feed | None, net: str, board: Board) -> Box:
    ground = f"rail {feed.ground}" if feed and feed.ground else "ground"
    if battery is None:
        assert feed is not None
        title = _("{lo} to {hi} V, not said in boards.yaml").format(lo=feed.lo_mv / 1000, hi=feed.hi_mv / 1000)
        return Box(key, title, "", [Spot("+", "", net, "red"), Spot("-", "", ground, "black")])
    box = _box(key, battery, {"battery": net, "ground": ground})
    count = cells(board)
    box.title = box.title if count == 1 else _("{count} in parallel: {title}").format(count=count, title=box.title)
    return box


def cells(board: Board) -> int:
    """How many batteries of the usual size the capacity wants."""
    battery = parts().get(f"battery-{board.power.chemistry}")
    return max(1, round((board.power.capacity_mah or 0) / battery.cell_mah)) if battery else 0


def _fits(feed: Feed, battery: Part | None) -> bool:
    """May the battery go in there? What charges must not meet a cell that burns when it is charged."""
    if battery is None:
        return True
    high = battery.range_mv[1]
    return feed.lo_mv <= high <= feed.hi_mv and (battery.rechargeable or not feed.charges)

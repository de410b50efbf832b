"""`jourdain wiring`: each wire drawn once, from the right terminal to the right pin, nothing lying on anything else."""

import itertools
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from gateway import inventory
from gateway.presets import presets
from tools import cli
from tools.wiring import draw, lanes, nets, table

ROOT = Path(__file__).resolve().parent.parent.parent
TOWN = inventory.load(ROOT / "boards.yaml")
SVG = "{http://www.w3.org/2000/svg}"
HEAD = """\
sites: {ville: {plan: town}}
plans: {town: {freq_hz: 868100000, sf: 9, power_dbm: 14}}
gateways: {quai: {site: ville, position: [48.6, -2.8]}}
boards:
  bridge: {type: TYPE, role: bridge, gateway: quai, position: [48.6, -2.8], radio: RADIO}
"""
NODE = """\
  b: {type: TYPE, service: SERVICE, kids: ["0001"], position: [48.6, -2.8], report_s: 900, radio: RADIO, POWER}
"""
SERVICES = (
    "bin, settings: {empty_mm: 1200, full_mm: 250}, sensors: {distance: {driver: a02yyuw, power: PIN}, temperature: ds18b20}",
    "bin, settings: {empty_mm: 1200, full_mm: 250}, sensors: {distance: a02yyuw}",
    "parking, sensors: {field: rm3100}",
    "parking, sensors: {field: qmc5883l}",
    "buoy, sensors: {motion: lsm6dso, temperature: ds18b20, position: {driver: nmea, power: PIN}}",
)
POWERS = (
    "led: PIN2",
    "power: {capacity_mah: 19000, chemistry: li-socl2}",
    "power: {capacity_mah: 3000, chemistry: li-ion}",
    "power: {profile: gated, done: PIN2, capacity_mah: 2500, chemistry: alkaline}",
)


def fleets(kind):
    """(inventory, board) of each combination that the check of boards.yaml accepts on a board type."""
    known = presets()
    pins = {"pico": (7, 13), "pico-w": (7, 13), "pico2": (7, 13), "pico2-w": (7, 13)}.get(kind, (13, 15))
    pins = (8, 9) if kind == "esp32-c3" else pins
    pins = (6, 7) if kind in ("esp32-s3", "heltec-v3") else pins
    radios = [known.boards[kind].radio] if known.boards[kind].radio else [r for r in known.radios if known.radios[r].buy]
    for at, (radio, service) in enumerate(itertools.product(radios, SERVICES)):
        power = POWERS[(at + at // len(SERVICES)) % len(POWERS)]
        text = (HEAD + NODE).replace("SERVICE", service).replace("POWER", power).replace("TYPE", kind).replace("RADIO", radio)
        text = text.replace("PIN2", str(pins[1])).replace("PIN", str(pins[0]))
        try:
            found = inventory.loads(text)
        except inventory.InventoryError:
            continue
        yield found, found.boards["b"]
        if at % len(SERVICES) == 0:
            yield found, found.boards["bridge"]


class Drawing:
    """An SVG read back: boxes, pins, terminals, wires and texts with their rectangles."""

    def __init__(self, text):
        top = ET.fromstring(text)
        self.boxes, self.pins, self.terminals, self.wires, self.texts = {}, {}, {}, [], []
        for node in top.iter():
            kind, get = node.get("class"), node.get
            if kind == "box":
                x, y, width, height = (float(get(key)) for key in ("x", "y", "width", "height"))
                self.boxes[get("data-box")] = (x, y, x + width, y + height)
            elif kind == "pin":
                self.pins[get("data-pin")] = (float(get("x")) + 5, float(get("y")) + 5, get("data-gpio"))
            elif kind == "terminal":
                self.terminals[get("data-part"), get("data-terminal")] = (float(get("cx")), float(get("cy")))
            elif kind == "wire":
                numbers = [float(word) for word in re.findall(r"-?[\d.]+", get("d"))]
                route = list(zip(numbers[::2], numbers[1::2], strict=True))
                self.wires.append((get("data-wire"), get("data-from"), get("data-to"), route))
            elif node.tag == SVG + "text":
                self.texts.append((node.text, self._rect(node)))

    @staticmethod
    def _rect(node):
        """The room of a text: letters of a wide sans serif, a little over the mean."""
        size = float(node.get("font-size", 11))
        width = len(node.text) * size * (0.6 if node.get("font-weight") else 0.56)
        x, y = float(node.get("x")), float(node.get("y"))
        left = x - width * {"end": 1, "middle": 0.5}.get(node.get("text-anchor"), 0)
        if "rotate" in node.get("transform", ""):
            return (x - 0.75 * size, y - width, x + 0.2 * size, y)
        return (left, y - 0.75 * size, left + width, y + 0.2 * size)

    def place(self, end):
        """Where an end of a wire is drawn."""
        part, _colon, name = end.rpartition(":")
        return self.pins[name][:2] if part == "pin" else self.terminals[part, name]


def apart(first, second):
    return first[2] <= second[0] or second[2] <= first[0] or first[3] <= second[1] or second[3] <= first[1]


def judge(inv, board):
    """The drawing is right: ends, crossings, overlaps; and says what the plan says."""
    made = nets.plan(inv, board)
    drawing = Drawing(draw.svg(inv, board))
    assert [wire[0] for wire in drawing.wires] == [str(wire.number) for wire in made.wires]
    spans = []
    for number, start, end, route in drawing.wires:
        assert route[0] == pytest.approx(drawing.place(start), abs=0.1)
        assert route[-1] == pytest.approx(drawing.place(end), abs=0.1)
        for (x1, y1), (x2, y2) in itertools.pairwise(route):
            assert x1 == x2 or y1 == y2, number
            low, high = (min(x1, x2), min(y1, y2)), (max(x1, x2), max(y1, y2))
            for name, (left, top, right, bottom) in drawing.boxes.items():
                outside = high[0] <= left + 0.1 or low[0] >= right - 0.1 or high[1] <= top + 0.1 or low[1] >= bottom - 0.1
                assert outside, f"wire {number} runs through {name}"
            spans.append((number, y1 == y2, low, high))
    for (one, flat, low, high), (two, flat2, low2, high2) in itertools.combinations(spans, 2):
        along, across = (0, 1) if flat else (1, 0)
        if one != two and flat == flat2 and abs(low[across] - low2[across]) < 4:
            assert high[along] <= low2[along] or high2[along] <= low[along], f"wires {one} and {two} lie on each other"
    for (words, first), (other, second) in itertools.combinations(drawing.texts, 2):
        assert apart(first, second), f"{words!r} lies on {other!r}"
    for (a, first), (b, second) in itertools.combinations(drawing.boxes.items(), 2):
        assert apart(first, second), f"{a} lies on {b}"
    right_ends(inv, made, drawing)
    return made


def right_ends(inv, made, drawing):
    """Each pin that boards.yaml and its presets name for a part has its wire, from the terminal that plays the role."""
    board = made.board
    ends = {start: end for _number, start, end, _route in drawing.wires}
    for sensor in board.sensors.values():
        for terminal in inv.presets.drivers[sensor.driver].terminals:
            gpio = sensor.wiring.get(terminal.to)
            if gpio is not None:
                pin = ends[f"{sensor.name}:{terminal.name}"].removeprefix("pin:")
                assert pin in drawing.pins or pin.startswith("S")
                if pin in drawing.pins:
                    assert drawing.pins[pin][2] == str(gpio)
            elif terminal.to in ("supply", "ground"):
                assert f"{sensor.name}:{terminal.name}" in {*ends, *ends.values()}
    if board.radio and board.radio.module.terminals:
        for terminal in board.radio.module.terminals:
            if terminal.to in board.radio.wiring:
                pin = ends[f"radio:{terminal.name}"].removeprefix("pin:")
                assert drawing.pins[pin][2] == str(board.radio.wiring[terminal.to])
            elif terminal.to in ("supply", "ground"):
                assert f"radio:{terminal.name}" in ends
    for box in made.parts.boxes:
        for spot in box.spots:
            assert not spot.net or f"{box.key}:{spot.name}" in {*ends, *ends.values()}, "a terminal without its wire"
    taken = [end for end in ends.values() if end.startswith("pin:")]
    assert len(taken) == len(set(taken)), "two wires on one pin"


@pytest.mark.parametrize("name", list(TOWN.boards))
def test_each_board_of_the_town_is_drawn_right(name):
    judge(TOWN, TOWN.boards[name])


@pytest.mark.parametrize("kind", list(presets().boards))
def test_each_board_type_is_drawn_right_with_all_that_fits(kind):
    seen = [judge(inv, board) for inv, board in fleets(kind)]
    assert len(seen) >= (3 if kind == "esp32-c3" else 5)
    strapped = any("strapping pin" in wire.remark for made in seen for wire in made.wires)
    assert strapped == kind.startswith(("esp32-c3", "esp32-module")) or kind == "esp32"


def test_a_wiring_known_by_hand():
    made = nets.plan(TOWN, TOWN.boards["bin-quai"])
    assert [row[:6] for row in table.rows(made)] == [
        ("1", "red", "distance VCC", "GP7", "10", "7"),
        ("2", "black", "distance GND", "GND", "8", ""),
        ("3", "yellow", "distance RX", "GP4", "6", "4"),
        ("4", "green", "distance TX", "GP5", "7", "5"),
        ("5", "red", "temperature VDD", "3V3", "36", ""),
        ("6", "yellow", "temperature DQ", "GP6", "9", "6"),
        ("7", "black", "temperature GND", "GND", "3", ""),
        ("8", "red", "battery +", "VSYS", "39", ""),
        ("9", "black", "battery -", "GND", "38", ""),
        ("R1", "", "temperature DQ", "temperature VDD", "", ""),
    ]
    assert made.parts.plugged == {"GP2": "busy", "GP3": "cs", "GP10": "sck", "GP11": "mosi", "GP12": "miso", "GP15": "reset",
                                  "GP20": "dio1", "GP26": "battery"}  # fmt: skip


def test_what_draws_too_much_for_a_pin_gets_a_load_switch():
    made = nets.plan(TOWN, TOWN.boards["buoy-large"])
    ends = {(wire.start.part, wire.start.terminal): wire.end for wire in made.wires}
    assert made.pins[ends["position switch", "ON"].terminal].gpio == 7
    assert ends["position switch", "OUT"] == ("position", "VCC")
    assert "position draws up to 67 mA" in table.text(made)
    bin_quai = nets.plan(TOWN, TOWN.boards["bin-quai"])
    assert not any(box.preset == "load-switch" for box in bin_quai.parts.boxes)


def with_sensors(inv, name, **sensors):
    """A board of an inventory with other sensors, more than a service takes today."""
    buses = {name: driver.bus for name, driver in inv.presets.drivers.items()}
    made = {part: inventory.Sensor(part, driver, buses[driver], wires) for part, (driver, wires) in sensors.items()}
    return replace(inv.boards[name], sensors=made)


def test_two_sensors_on_one_bus_meet_in_splices_and_bring_one_pair_of_resistors():
    bus = {"i2c": 0, "sda": 8, "scl": 9}
    board = with_sensors(TOWN, "bay-quai-1", one=("rm3100", bus | {"address": 32}), two=("rm3100", bus | {"address": 33}))
    made = judge(TOWN, board)
    splices = {box.title: box for box in made.parts.boxes if box.preset == "splice"}
    assert {"splice GP8", "splice GP9", "splice 3V3"} == set(splices)
    assert [(box.key, ohm) for _ref, box, ohm, _first, _second in made.resistors()] == [("one", 4700), ("one", 4700)]
    (two,) = [box for box in made.parts.boxes if box.key == "two"]
    assert ("SA0", "AVDD", 0) in two.links  # address 33: its least bit is high


def test_a_splice_that_is_full_goes_on_in_the_next():
    pins = (2, 4, 13, 15, 16, 17, 21)
    board = with_sensors(TOWN, "bay-eglise", **{f"t{pin}": ("ds18b20", {"pin": pin}) for pin in pins})
    made = judge(TOWN, board)
    splices = {box.key: len(box.spots) for box in made.parts.boxes if box.preset == "splice"}
    assert max(splices.values()) == 5
    links = [wire for wire in made.wires if {wire.start.part, wire.end.part} <= set(splices)]
    assert len(links) >= 2  # one of 3V3, one of ground


def test_what_a_pin_and_a_supply_want_is_said():
    text = (HEAD + NODE).replace("SERVICE", SERVICES[1]).replace("POWER", "battery: {adc: 27, divider_x1000: 2000}")
    inv = inventory.loads(text.replace("TYPE", "esp32").replace("RADIO", "ra-01sh"))
    (out,) = [wire for wire in nets.plan(inv, inv.boards["b"]).wires if wire.start == ("divider", "OUT")]
    assert out.remark == "ADC2: not while Wi-Fi runs"

    def with_supply(name, low, high):
        drivers = inv.presets.drivers | {"a02yyuw": replace(inv.presets.drivers["a02yyuw"], supply_mv=(low, high))}
        board = replace(TOWN.boards[name], sensors={"level": inventory.Sensor("level", "a02yyuw", "uart", {"tx": 4, "rx": 5})})
        made = nets.plan(replace(TOWN, presets=replace(TOWN.presets, drivers=drivers)), board)
        wires = {wire.start.terminal: wire for wire in made.wires if wire.start.part == "level"}
        return made.pins[wires["VCC"].end.terminal].label, wires["TX"].remark, " ".join(table.notes(made))

    label, remark, notes = with_supply("buoy-large", 4500, 5500)
    assert (label, remark) == ("VBUS", "a level shifter to 3.3 V between")
    assert "level lives on 5 V, which is there with USB alone" in notes
    assert "USB alone" not in with_supply("bin-capitainerie", 4500, 5500)[2]
    assert "level needs 9-12 V, which this board does not give" in with_supply("buoy-large", 9000, 12000)[2]


POWERED = {
    ("pico", POWERS[1]): {"battery": "VSYS"},
    ("heltec-v3", POWERS[2]): {"battery": "BAT+"},  # it charges, so what must not be charged goes to 3V3
    ("heltec-v3", POWERS[1]): {"battery": "3V3"},
    ("esp32", POWERS[2]): {"battery": "VIN", "regulator": "3V3"},  # 4.2 V would break 3V3, and 3.3 V starve 5V
    ("pico", POWERS[3]): {"battery": "VDD", "gate": "VSYS"},
}


@pytest.mark.parametrize(("kind", "power"), list(POWERED))
def test_the_battery_goes_where_the_board_takes_it(kind, power):
    text = (HEAD + NODE).replace("SERVICE", SERVICES[1]).replace("POWER", power.replace("PIN2", "13"))
    radio = "heltec-v3-radio" if kind == "heltec-v3" else "ra-01sh"
    inv = inventory.loads(text.replace("TYPE", kind).replace("RADIO", radio))
    made = nets.plan(inv, inv.boards["b"])
    into = {}
    for wire in made.wires:
        if wire.start.terminal in ("+", "VOUT", "DRV"):
            end = wire.end
            if end.part.startswith("S"):  # through the splice to the pin, or to the part that is behind it
                behind = [other for other in made.wires if end.part in (other.start.part, other.end.part) and other != wire]
                ways = {other.start.terminal: other.start for other in behind if other.end.part}
                end = ways.get("VIN") or next(other.end for other in behind if not other.end.part)
            into[wire.start.part] = end.terminal if end.part else made.pins[end.terminal].label
    assert into == POWERED[kind, power]


def test_the_order_of_the_lanes_saves_crossings():
    runs = [lanes.run(1, [(-1, 0), (1, 30)]), lanes.run(2, [(-1, 10), (1, 40)]), lanes.run(3, [(-1, 20), (1, 50)])]
    found = lanes.order(runs)
    by = {each.wire: each for each in runs}

    def cost(order):
        return sum(lanes.crossings(by[a], by[b]) for a, b in itertools.combinations(order, 2))

    assert cost(found) == min(cost(order) for order in itertools.permutations([1, 2, 3]))


def test_the_command_shows_draws_and_says_json(capsys, tmp_path):
    path, where = tmp_path / "b.svg", ["--inventory", str(ROOT / "boards.yaml")]
    assert cli.run(["wiring", "bay-eglise", "--svg", str(path), *where]) == 0
    said = capsys.readouterr()
    assert "radio MOSI" in said.out
    assert "J3-2" in said.out
    assert str(path) in said.err
    assert ET.parse(path).getroot().get("data-board") == "bay-eglise"
    assert cli.run(["wiring", "bay-eglise", "--json", *where]) == 0
    document = json.loads(capsys.readouterr().out)
    (mosi,) = [wire for wire in document["wires"] if wire["terminal"] == "MOSI"]
    assert mosi["to"] == {"pin": "J3-2", "label": "IO23", "gpio": 23}
    assert cli.run(["wiring", "bay-egglise", *where]) == 3
    assert "bay-eglise" in capsys.readouterr().err
    assert cli.run(["wiring", *where]) == 2
    assert cli.run(["wiring", "bay-eglise", "--svg", str(tmp_path / "no" / "b.svg"), *where]) == 2
    assert "No such file" in capsys.readouterr().err

"""The wires of a board: which terminal goes to which pin of the header, one wire an end, splices where a pin has too few.

A wire has a number, and a colour that says the same to who sees colours.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.hardware import Chip, HeaderPin
from gateway.inventory import Board, Inventory
from gateway.presets import BoardType, parts
from tools.i18n import _
from tools.wiring.parts import Box, Parts, Spot, parts_of

# Red and black are for power and ground alone.
COLOURS = ("yellow", "green", "blue", "orange", "violet", "brown", "turquoise", "pink", "grey")


class End(NamedTuple):
    """An end of a wire: a part and its terminal, or the board (part "") and the number of its pin."""

    part: str
    terminal: str


class Wire(NamedTuple):
    """A wire from a part to the board, or to another part."""

    number: int
    colour: str
    start: End
    end: End
    remark: str


@dataclass
class Plan:
    """All of a board's wiring. `sides`: part -> left or right of the board; `pins`: its header from the preset."""

    board: Board
    kind: BoardType
    parts: Parts
    wires: list[Wire] = field(default_factory=list)
    sides: dict[str, str] = field(default_factory=dict)

    @property
    def pins(self) -> dict[str, HeaderPin]:
        """The header's pins by their number."""
        return {pin.number: pin for pin in self.kind.header}

    def resistors(self) -> list[tuple[str, Box, int, str, str]]:
        """(R1, part, ohm, terminal, terminal) of each resistor, as they are numbered in table and drawing."""
        found = [(box, link) for box in self.parts.boxes for link in box.links if link.ohm]
        return [(f"R{at}", box, link.ohm, link.first, link.second) for at, (box, link) in enumerate(found, start=1)]


def plan(inv: Inventory, board: Board) -> Plan:
    """The wiring of a board of the inventory."""
    kind = inv.presets.boards[board.type]
    made = Plan(board, kind, parts_of(inv, board))
    nets: dict[str, list[tuple[Box, Spot]]] = {}
    for box in made.parts.boxes:
        for spot in box.spots:
            if spot.net:
                nets.setdefault(spot.net, []).append((box, spot))
    made.sides = _sides(made)
    joins: dict[End, End] = {}
    for net, ends in nets.items():
        _join(made, net, [End(box.key, spot.name) for box, spot in ends], joins)
    _number(made, joins, inv.presets.chips[kind.chip])
    return made


def _pins_of(kind: BoardType, net: str) -> list[HeaderPin]:
    """The header's pins that a net may end on, from the top."""
    what, _space, which = net.partition(" ")
    if what == "gpio":
        return [pin for pin in kind.header if pin.gpio == int(which)]
    return [pin for pin in kind.header if (pin.ground if what == "ground" else pin.label == which and what == "rail")]


def _sides(made: Plan) -> dict[str, str]:
    """Each part beside the column that most of its wires go to; what has none there goes where there is less."""
    sides: dict[str, str] = {}
    for box in made.parts.boxes:
        nets = [spot.net for spot in box.spots if spot.net and spot.net != "ground"]
        nets = [net for net in nets if net.startswith("gpio")] or nets
        votes = [pin.side for net in nets for pin in _pins_of(made.kind, net)[:1]]
        left, right = votes.count("left"), votes.count("right")
        rows = {side: sum(len(b.spots) + 2 for b in made.parts.boxes if sides.get(b.key) == side) for side in ("left", "right")}
        calmer = min(rows, key=lambda side: rows[side])
        sides[box.key] = calmer if left == right else "left" if left > right else "right"
    return sides


def _join(made: Plan, net: str, ends: list[End], joins: dict[End, End]) -> None:
    """Lead the ends of a net to its pins, each pin with one wire: the last pin through splices if there are more ends."""
    free = _pins_of(made.kind, net)
    used = {end.terminal for end in joins.values() if not end.part}
    free = [pin for pin in free if pin.number not in used and made.parts.plugged.get(pin.label) is None]
    waiting = list(ends)
    while waiting and len(free) > (1 if len(waiting) > len(free) else 0):
        end = waiting.pop(0)
        joins[end] = End("", _nearest(made, end, free, joins).number)
        free = [pin for pin in free if pin.number != joins[end].terminal]
    if free and waiting:
        waiting.append(End("", free[0].number))
    ways = parts()["splice"].ways
    while len(waiting) > 2:
        taken, waiting = (waiting, []) if len(waiting) <= ways else (waiting[: ways - 1], waiting[ways - 1 :])
        box = _splice(made, net, taken, len(taken) + bool(waiting))
        for way, end in enumerate(taken, start=1):
            joins[end if end.part else End(box.key, str(way))] = End(box.key, str(way)) if end.part else end
        if waiting:
            waiting.append(End(box.key, str(len(taken) + 1)))
    if len(waiting) == 2:
        start, end = waiting if waiting[0].part else waiting[::-1]
        joins[start] = end


def _nearest(made: Plan, end: End, free: list[HeaderPin], joins: dict[End, End]) -> HeaderPin:
    """The free pin on the part's side next to where the part's other wires end."""
    side, rows = made.sides[end.part], [pin.number for pin in made.kind.header]
    others = [rows.index(to.terminal) for start, to in joins.items() if start.part == end.part and not to.part]
    middle = sum(others) / len(others) if others else 0
    return min(free, key=lambda pin: (pin.side != side, abs(rows.index(pin.number) - middle)))


def _splice(made: Plan, net: str, taken: list[End], ways: int) -> Box:
    """A splice for one net, on the side of the board where most of its wires are."""
    pins = _pins_of(made.kind, net)
    label = _("ground") if net == "ground" else pins[0].label if pins else _("battery")
    count = sum(box.preset == "splice" for box in made.parts.boxes) + 1
    spots = [Spot(str(way), "", net) for way in range(1, ways + 1)]
    box = Box(f"S{count}", _("splice {label}").format(label=label), "splice", spots)
    made.parts.boxes.append(box)
    sides = [made.sides[end.part] if end.part else made.pins[end.terminal].side for end in taken]
    made.sides[box.key] = "right" if sides.count("right") > sides.count("left") else "left"
    return box


def _number(made: Plan, joins: dict[End, End], chip: Chip) -> None:
    """Number the wires in the order of the parts, give each its colour and say what is to know of its pin."""
    count = 0
    for box in made.parts.boxes:
        for spot in box.spots:
            end = joins.get(End(box.key, spot.name))
            if end is None:
                continue
            remarks = [spot.note, *([] if end.part else _of_pin(made.pins[end.terminal], spot, chip))]
            number = len(made.wires) + 1
            colour = spot.wire or _power_colour(spot.net)
            if not colour:
                colour = COLOURS[count % len(COLOURS)]
                count += 1
            remark = "; ".join(text for text in remarks if text)
            made.wires.append(Wire(number, colour, End(box.key, spot.name), end, remark))


def _power_colour(net: str) -> str:
    if net == "ground" or net.endswith("-"):
        return "black"
    return "" if net.startswith("gpio") else "red"


def _of_pin(pin: HeaderPin, spot: Spot, chip: Chip) -> list[str]:
    """What the chip wants of a pin: its level at the start, its converter."""
    if pin.gpio is None:
        return []
    found = []
    if pin.gpio in chip.strapping:
        found.append(_("strapping pin: {level}").format(level=_(chip.strapping[pin.gpio])))
    if spot.name == "OUT" and pin.gpio in chip.adc_no_wifi:
        found.append(_("ADC2: not while Wi-Fi runs"))
    return found

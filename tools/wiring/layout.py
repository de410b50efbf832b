"""Where everything of the drawing stands: board in the middle, parts left and right of it, wires in lanes between them.

Units are those of the SVG, about a pixel. Terminals lie half a row off the pins, each wire has a lane and, over or under the
board, a track of its own: so no two wires lie on each other, and none crosses a box.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from tools.wiring import lanes
from tools.wiring.nets import End, Plan, Wire
from tools.wiring.parts import Box, Link

ROW, LANE, GAP, MARGIN = 22, 9, 26, 20
HEAD = 62  # of a part: its name and what it is, down to its first terminal
TAG = 30  # room for a wire's number beside a terminal or a pin
BOARD_WIDTH, BOARD_HEAD, BOARD_FOOT = 240, 58, 84
CHAR = 6.7  # a letter of 11
BRIDGE, RESISTOR = 16, 74


Corners = list[tuple[float, float]]


class Rect(NamedTuple):
    """A box: its corner and its size."""

    x: float
    y: float
    width: float
    height: float


@dataclass
class Layout:
    """Rectangles of board and parts, the place of each pin and terminal, the corners of each wire."""

    width: float = 0
    height: float = 0
    board: Rect = field(default_factory=lambda: Rect(0, 0, 0, 0))
    pads: dict[str, tuple[float, float]] = field(default_factory=dict)
    boxes: dict[str, Rect] = field(default_factory=dict)
    spots: dict[End, tuple[float, float]] = field(default_factory=dict)
    columns: dict[tuple[str, Link], float] = field(default_factory=dict)
    routes: dict[int, Corners] = field(default_factory=dict)


def label_width(box: Box) -> float:
    """The room of a part's terminal names."""
    return 14 + max(CHAR * len(f"{spot.name} {spot.number}") for spot in box.spots)


def lay_out(made: Plan, top: float) -> Layout:
    """Lay out a board's wiring below `top`."""
    out = Layout()
    sides = {side: [box for box in made.parts.boxes if made.sides[box.key] == side] for side in ("left", "right")}
    widths = {side: max((_box_width(box) for box in boxes), default=0) for side, boxes in sides.items()}
    across = [wire for wire in made.wires if _sides_of(made, wire) == {"left", "right"}]
    rooms = {side: _room(made, side) for side in ("left", "right")}
    first = top + ROW * (len(across) // 2 + 1)
    left = MARGIN + widths["left"] + rooms["left"]
    rows = {side: [pin for pin in made.kind.header if pin.side == side] for side in ("left", "right", "bottom")}
    count = max(len(rows["left"]), len(rows["right"]))
    foot = BOARD_FOOT if rows["bottom"] else 14
    out.board = Rect(left, first, BOARD_WIDTH, BOARD_HEAD + count * ROW + foot)
    for side, x in (("left", left), ("right", left + BOARD_WIDTH)):
        for at, pin in enumerate(rows[side]):
            out.pads[pin.number] = (x, first + BOARD_HEAD + (at + 0.5) * ROW)
    step = BOARD_WIDTH / (len(rows["bottom"]) + 1)
    for at, pin in enumerate(rows["bottom"], start=1):
        out.pads[pin.number] = (left + at * step, first + out.board.height)
    right = left + BOARD_WIDTH + rooms["right"]
    _place(made, out, sides["left"], MARGIN, widths["left"])
    _place(made, out, sides["right"], right, widths["right"])
    _route(made, out, rooms)
    out.width = right + widths["right"] + MARGIN
    corners = [y for route in out.routes.values() for _x, y in route]
    ends = [rect.y + rect.height for rect in (out.board, *out.boxes.values())]
    out.height = max([*corners, *ends]) + GAP
    return out


def _box_width(box: Box) -> float:
    inner = label_width(box) + sum(BRIDGE if not link.ohm else RESISTOR for link in box.links) + 14
    return max(inner, 170 if box.preset == "splice" else 200)


def _side_of(made: Plan, end: End) -> str:
    return made.sides[end.part] if end.part else made.pins[end.terminal].side


def _sides_of(made: Plan, wire: Wire) -> set[str]:
    """The sides of the board that a wire has to do with; a pin of the lower edge is on that of the part."""
    return {_side_of(made, wire.start), _side_of(made, wire.end)} - {"bottom"}


def _room(made: Plan, side: str) -> float:
    """The width of a channel: a lane a wire, and the numbers at both ends."""
    count = sum(side in _sides_of(made, wire) for wire in made.wires)
    return 2 * TAG + LANE * (count + 1)


def _place(made: Plan, out: Layout, boxes: list[Box], x: float, width: float) -> None:
    """Stack a column of parts, each as near to its pins as the others let it."""
    base = out.board.y + BOARD_HEAD  # a terminal is at base + whole rows, a pin half a row off
    heights = {box.key: HEAD + (len(box.spots) - 1) * ROW + 14 for box in boxes}
    wanted = {box.key: _middle(made, out, box) - heights[box.key] / 2 for box in boxes}
    boxes = sorted(boxes, key=lambda box: wanted[box.key])
    total = sum(heights.values()) + GAP * max(0, len(boxes) - 1)
    limit = max(out.board.y + out.board.height, out.board.y + total)
    tops: list[float] = []
    for box in boxes:
        tops.append(max(wanted[box.key], tops[-1] + heights[boxes[len(tops) - 1].key] + GAP if tops else out.board.y))
    for at in range(len(boxes) - 1, -1, -1):
        below = tops[at + 1] - GAP if at + 1 < len(boxes) else limit
        tops[at] = max(out.board.y, min(tops[at], below - heights[boxes[at].key]))
    floor = out.board.y
    for box, top in zip(boxes, tops, strict=True):
        steps = -((base - max(top, floor) - HEAD) // ROW)
        y = base + steps * ROW - HEAD
        rect = Rect(x, y, width, heights[box.key])
        out.boxes[box.key] = rect
        floor = y + rect.height + 6
        edge = x + width if made.sides[box.key] == "left" else x
        for row, spot in enumerate(box.spots):
            out.spots[End(box.key, spot.name)] = (edge, y + HEAD + row * ROW)
        _columns(out, box)


def _columns(out: Layout, box: Box) -> None:
    """How far inside each resistor or bridge of a part stands, from the edge with the terminals."""
    at = label_width(box)
    for link in box.links:
        out.columns[box.key, link] = at + (RESISTOR if link.ohm else BRIDGE) / 2 - (26 if link.ohm else 0)
        at += RESISTOR if link.ohm else BRIDGE


def _middle(made: Plan, out: Layout, box: Box) -> float:
    """The middle of the pins that a part's wires go to, those on its own side before all others."""
    ends = [wire.end.terminal for wire in made.wires if wire.start.part == box.key and not wire.end.part]
    near = [end for end in ends if made.pins[end].side == made.sides[box.key]] or ends
    rows = [out.pads[end][1] for end in near]
    return sum(rows) / len(rows) if rows else out.board.y + out.board.height


def _route(made: Plan, out: Layout, rooms: dict[str, float]) -> None:
    """Give each wire a lane in every channel that it passes, and a track where it goes round the board."""
    middle = out.board.y + out.board.height / 2
    foot = TAG if any(pin.side == "bottom" for pin in made.kind.header) else 5
    tracks = {"over": _tracks(out, out.board.y - 5, -1), "under": _tracks(out, out.board.y + out.board.height + foot, 1)}
    way: dict[int, float] = {}
    for wire in made.wires:
        ends = [wire.start, wire.end]
        lowest = any(_side_of(made, end) == "bottom" for end in ends)
        if lowest or len(_sides_of(made, wire)) == 2:
            rows = [_at(out, end)[1] for end in ends]
            go = "under" if lowest or sum(rows) / 2 > middle else "over"
            way[wire.number] = next(tracks[go])
    places: dict[tuple[int, str], float] = {}
    for side in ("left", "right"):
        runs = [_run(made, out, wire, side, way) for wire in made.wires if side in _sides_of(made, wire)]
        start = out.board.x - rooms["left"] if side == "left" else out.board.x + out.board.width
        for at, number in enumerate(lanes.order(runs)):
            places[number, side] = start + TAG + LANE * (at + 1)
    for wire in made.wires:
        out.routes[wire.number] = _corners(made, out, wire, places, way)


def _tracks(out: Layout, start: float, step: int) -> Iterator[float]:
    """Rows for wires round the board, from `start` up or down: two between each row of terminals and the next."""
    base = out.board.y + BOARD_HEAD
    third = math.ceil((start - base) * step * 3 / ROW)
    for at in itertools.count(third):
        if at % 3:
            yield base + step * at * ROW / 3


def _at(out: Layout, end: End) -> tuple[float, float]:
    return out.spots[end] if end.part else out.pads[end.terminal]


def _run(made: Plan, out: Layout, wire: Wire, side: str, way: dict[int, float]) -> lanes.Run:
    ports: list[tuple[int, float]] = []
    for end in (wire.start, wire.end):
        if _side_of(made, end) == side:
            outward = (side == "left") == bool(end.part)
            ports.append((lanes.LEFT if outward else lanes.RIGHT, _at(out, end)[1]))
    if wire.number in way:
        ports.append((0, way[wire.number]))
    return lanes.run(wire.number, ports)


def _corners(made: Plan, out: Layout, wire: Wire, places: dict[tuple[int, str], float], way: dict[int, float]) -> Corners:
    """The corners of a wire, from its start to its end."""
    (x0, y0), (x1, y1) = _at(out, wire.start), _at(out, wire.end)
    first = places.get((wire.number, _side_of(made, wire.start)))
    last = places.get((wire.number, _side_of(made, wire.end)))
    if first is None or wire.number not in way:
        lane = first if first is not None else x0
        return _bare([(x0, y0), (lane, y0), (lane, y1), (x1, y1)])
    track = way[wire.number]
    if last is None:  # a pin of the lower edge
        return _bare([(x0, y0), (first, y0), (first, track), (x1, track), (x1, y1)])
    return _bare([(x0, y0), (first, y0), (first, track), (last, track), (last, y1), (x1, y1)])


def _bare(corners: Corners) -> Corners:
    """Without the corners that are none."""
    return [corners[0], *(here for before, here in itertools.pairwise(corners) if before != here)]

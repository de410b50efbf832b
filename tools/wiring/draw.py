"""The drawing of a board's wiring as one SVG: parts, header, wires, and the table of the same numbers below."""

from html import escape
from textwrap import shorten, wrap

from gateway.inventory import Board, Inventory
from tools.i18n import _
from tools.wiring import table
from tools.wiring.layout import CHAR, Layout, Rect, label_width, lay_out
from tools.wiring.nets import End, Plan, plan
from tools.wiring.parts import Box

TOP, LEAST_WIDTH, LINE = 66, 940, 17
FONT = "DejaVu Sans, Verdana, Arial, sans-serif"
INK, PALE = "#1a1a1a", "#6b6b6b"
PAINT = {
    "red": "#d81f26", "black": "#202020", "yellow": "#d6a300", "green": "#1c9138", "blue": "#1f62d0", "orange": "#ef7d00",
    "violet": "#8a3fc0", "brown": "#8b5a2b", "turquoise": "#009c9c", "pink": "#e455a5", "grey": "#8c8c8c", "white": "#b8b8b8",
}  # fmt: skip


def svg(inv: Inventory, board: Board) -> str:
    """The wiring of a board as the text of an SVG document, readable in black and white too."""
    made = plan(inv, board)
    place = lay_out(made, TOP)
    width = max(place.width, LEAST_WIDTH)
    wires, tags = _wires(made, place)
    frames = [_frame(place.boxes[box.key], box.key, "#f6f3ea") for box in made.parts.boxes]
    body = [*_title(made), _frame(place.board, made.kind.name, "#e9f2ec"), *frames, *wires, *_board(made, place)]
    for box in made.parts.boxes:
        body += _part(made, place, box)
    body += tags
    below, foot = _table(made, place.height + 10, width)
    body += below
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {foot:g}" width="{width:g}" height="{foot:g}" '
        f'font-family="{FONT}" font-size="11" fill="{INK}" data-board="{escape(board.name)}">'
    )
    return "\n".join([head, f'<rect width="{width:g}" height="{foot:g}" fill="#ffffff"/>', *body, "</svg>\n"])


def _text(x: float, y: float, words: str, more: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}"{" " + more if more else ""}>{escape(words)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, more: str) -> str:
    return f'<path d="M {x1:g} {y1:g} L {x2:g} {y2:g}" fill="none" {more}/>'


def _box(rect: Rect, more: str) -> str:
    return f'<rect x="{rect.x:g}" y="{rect.y:g}" width="{rect.width:g}" height="{rect.height:g}" {more}/>'


def _frame(rect: Rect, name: str, fill: str) -> str:
    return _box(rect, f'rx="7" fill="{fill}" stroke="{INK}" stroke-width="1.4" class="box" data-box="{escape(name)}"')


def _title(made: Plan) -> list[str]:
    board = made.board
    what = board.service or _("radio bridge")
    return [
        _text(20, 30, shorten(f"{board.name}: {board.title}", 78, placeholder=" ..."), 'font-size="18" font-weight="bold"'),
        _text(20, 50, shorten(f"{what}; {_(made.kind.title)} ({made.kind.name})", 120), f'font-size="12" fill="{PALE}"'),
    ]


def _board(made: Plan, place: Layout) -> list[str]:
    """The board: what is at its upper end, its pins in their order; pins that a module sits on are hatched."""
    rect = place.board
    middle = rect.x + rect.width / 2
    radio = made.board.radio.module.name if made.board.radio and made.parts.plugged else ""
    body = [
        _box(Rect(middle - 64, rect.y, 128, 18), 'fill="#cfd8d3" stroke="#2f5d43"'),
        _text(middle, rect.y + 13, f"{_('top')}: {_(made.kind.top)}", 'font-size="10" text-anchor="middle"'),
        _text(middle, rect.y + 34, made.kind.name, 'font-size="13" font-weight="bold" text-anchor="middle"'),
    ]
    if radio:
        plugged = _("plugged on: {radio}").format(radio=radio)
        body.append(_text(middle, rect.y + 48, plugged, 'font-size="10" text-anchor="middle"'))
    used = {wire.end.terminal: wire.colour for wire in made.wires if not wire.end.part}
    for pin in made.kind.header:
        x, y = place.pads[pin.number]
        role = made.parts.plugged.get(pin.label, "")
        fill = PAINT[used[pin.number]] if pin.number in used else "#9fb3a8" if role else "#ffffff"
        name = pin.label if pin.gpio is None or str(pin.gpio) in pin.label else f"{pin.label} {pin.gpio}"
        words = f"{pin.number}  {name}" + (f"  ({role})" if role else "")
        weight = 'font-weight="bold"' if pin.number in used else f'fill="{INK if role else PALE}"'
        body.append(
            f'<rect x="{x - 5:g}" y="{y - 5:g}" width="10" height="10" fill="{fill}" stroke="{INK}" '
            f'class="pin" data-pin="{pin.number}" data-gpio="{"" if pin.gpio is None else pin.gpio}"/>'
        )
        if pin.side == "bottom":
            body.append(_text(x + 4, y - 11, words, f'transform="rotate(-90 {x + 4:g} {y - 11:g})" {weight}'))
        elif pin.side == "left":
            body.append(_text(x + 11, y + 4, words, weight))
        else:
            body.append(_text(x - 11, y + 4, words, f'text-anchor="end" {weight}'))
    return body


def _part(made: Plan, place: Layout, box: Box) -> list[str]:
    """A part: its name, what it is, its terminals at the edge, resistors and bridges inside."""
    rect = place.boxes[box.key]
    inward = -1 if made.sides[box.key] == "left" else 1
    edge = rect.x + rect.width if inward < 0 else rect.x
    body = [_text(rect.x + 10, rect.y + 17, box.key, 'font-size="13" font-weight="bold"')]
    if box.volts:
        body.append(_text(rect.x + rect.width - 8, rect.y + 17, box.volts, f'font-size="9.5" text-anchor="end" fill="{PALE}"'))
    for at, words in enumerate(wrap(box.title, int((rect.width - 14) / 5.8), max_lines=2, placeholder=" ...")):
        body.append(_text(rect.x + 10, rect.y + 31 + 12 * at, words, f'font-size="9.5" fill="{PALE}"'))
    for spot in box.spots:
        x, y = place.spots[End(box.key, spot.name)]
        fill = INK if spot.net else "#ffffff"
        body.append(
            f'<circle cx="{x:g}" cy="{y:g}" r="4" fill="{fill}" stroke="{INK}" class="terminal" '
            f'data-part="{escape(box.key)}" data-terminal="{escape(spot.name)}"/>'
        )
        anchor = 'text-anchor="end"' if inward < 0 else ""
        name = f"{spot.number} {spot.name}" if spot.number else spot.name
        body.append(_text(x + 9 * inward, y + 4, name, f'{anchor} font-weight="bold"'.strip()))
    refs = {(found.key, first, second): ref for ref, found, _ohm, first, second in made.resistors()}
    for link in box.links:
        x = edge + inward * place.columns[box.key, link]
        y1, y2 = (place.spots[End(box.key, name)][1] for name in (link.first, link.second))
        ink = f'stroke="{INK}" stroke-width="{1.4 if link.ohm else 3}" class="link" data-ohm="{link.ohm}"'
        stub = edge + inward * (label_width(box) - 3)
        body += [_line(stub, y, x, y, ink) for y in (y1, y2)] + [_line(x, y1, x, y2, ink)]
        if link.ohm:
            body += _resistor(x, (y1 + y2) / 2, inward, refs[box.key, link.first, link.second], table.ohms(link.ohm))
    return body


def _resistor(x: float, y: float, inward: int, ref: str, value: str) -> list[str]:
    anchor = 'text-anchor="end"' if inward < 0 else ""
    at = x + 7 * inward
    return [
        _box(Rect(x - 4, y - 8, 8, 16), f'fill="#ffffff" stroke="{INK}" class="resistor"'),
        _text(at, y - 1, ref, f'font-size="9" font-weight="bold" {anchor}'.strip()),
        _text(at, y + 8, value.replace("ohm", "Ω"), f'font-size="9" {anchor}'.strip()),
    ]


def _wires(made: Plan, place: Layout) -> tuple[list[str], list[str]]:
    """Each wire on a white edge, so that crossings are seen, and the numbers at both ends, which lie over all."""
    halos, lines, tags = [], [], []
    for wire in made.wires:
        route = place.routes[wire.number]
        path = "M " + " L ".join(f"{x:g} {y:g}" for x, y in route)
        paint = PAINT.get(wire.colour, INK)
        halos.append(f'<path d="{path}" fill="none" stroke="#ffffff" stroke-width="5.5"/>')
        end = f"{wire.end.part}:{wire.end.terminal}" if wire.end.part else f"pin:{wire.end.terminal}"
        lines.append(
            f'<path d="{path}" fill="none" stroke="{paint}" stroke-width="2.4" stroke-linejoin="round" class="wire" '
            f'data-wire="{wire.number}" data-from="{escape(wire.start.part)}:{escape(wire.start.terminal)}" '
            f'data-to="{escape(end)}"/>'
        )
        for (x, y), (nx, ny) in (route[:2], route[:-3:-1]):
            dx, dy = (nx > x) - (nx < x), (ny > y) - (ny < y)
            tags += _tag(x + 17 * dx, y + 17 * dy, str(wire.number), paint)
    return [item for pair in zip(halos, lines, strict=True) for item in pair], tags


def _tag(x: float, y: float, number: str, paint: str) -> list[str]:
    return [
        _box(Rect(x - 10, y - 7, 20, 14), f'rx="4" fill="#ffffff" stroke="{paint}" stroke-width="1.4" class="tag"'),
        _text(x, y + 4, number, 'font-size="10" font-weight="bold" text-anchor="middle"'),
    ]


def _table(made: Plan, top: float, width: float) -> tuple[list[str], float]:
    """The table below the drawing, and where it ends."""
    body, y = [], top + LINE
    rows = [table.head(), *table.rows(made)]
    columns = [20.0, 80.0]
    for cell in range(1, len(table.Row._fields) - 1):
        columns.append(columns[-1] + CHAR * max(len(row[cell]) for row in rows) + 18)
    for at, row in enumerate(rows):
        lines = wrap(row.remark, int((width - columns[-1] - 20) / CHAR)) or [""]
        paint = PAINT.get(made.wires[at - 1].colour) if 0 < at <= len(made.wires) else None
        if paint:
            body.append(_line(columns[0] + 30, y - 4, columns[0] + 52, y - 4, f'stroke="{paint}" stroke-width="4"'))
        weight = 'font-weight="bold"' if at == 0 else ""
        body += [_text(x, y, cell, weight) for x, cell in zip(columns, row[:-1], strict=False) if cell]
        for words in lines:
            if words:
                body.append(_text(columns[-1], y, words, weight))
            y += LINE
        body.append(_line(20, y - 12, width - 20, y - 12, 'stroke="#d8d8d8" stroke-width="0.7"'))
    y += 8
    for note in table.notes(made):
        for words in wrap("• " + note, int((width - 40) / CHAR)):
            body.append(_text(20, y, words))
            y += LINE
    return body, y + 6

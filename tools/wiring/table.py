"""The wiring in words: rows for the table, for the drawing's foot and for programs."""

from typing import Any, NamedTuple

from tools.i18n import _
from tools.wiring.nets import Plan, Wire


class Row(NamedTuple):
    """A line of the table; `number` is that of the wire in the drawing, or of a resistor."""

    number: str
    colour: str
    start: str
    label: str
    pin: str
    gpio: str
    remark: str


def head() -> Row:
    """The heads of the columns."""
    return Row(_("wire"), _("colour"), _("from"), _("to"), _("pin"), _("GPIO"), _("remark"))


def rows(made: Plan) -> list[Row]:
    """A line a wire, then a line a resistor and a bridge."""
    found = [_row(made, wire) for wire in made.wires]
    for ref, box, ohm, first, second in made.resistors():
        text = _("{ohm} between, at the part").format(ohm=ohms(ohm))
        found.append(Row(ref, "", f"{box.key} {first}", f"{box.key} {second}", "", "", text))
    for box in made.parts.boxes:
        for link in box.links:
            if not link.ohm:
                start, end = f"{box.key} {link.first}", f"{box.key} {link.second}"
                found.append(Row(_("bridge"), "", start, end, "", "", _("at the part")))
    return found


def _row(made: Plan, wire: Wire) -> Row:
    start = f"{wire.start.part} {wire.start.terminal}"
    if wire.end.part:
        return Row(str(wire.number), _(wire.colour), start, f"{wire.end.part} {wire.end.terminal}", "", "", wire.remark)
    pin = made.pins[wire.end.terminal]
    gpio = "" if pin.gpio is None else str(pin.gpio)
    return Row(str(wire.number), _(wire.colour), start, pin.label, pin.number, gpio, wire.remark)


def ohms(ohm: int) -> str:
    """`4.7 kohm`."""
    if ohm < 1000:
        return f"{ohm} ohm"
    return f"{ohm / 1000:g} kohm" if ohm < 1_000_000 else f"{ohm / 1_000_000:g} Mohm"


def notes(made: Plan) -> list[str]:
    """What to know besides: what is plugged, what is left open, where power comes from."""
    linked = {(box.key, name) for box in made.parts.boxes for link in box.links for name in (link.first, link.second)}
    unwired = [
        f"{box.key} {spot.name}" + (f" ({spot.note})" if spot.note else "")
        for box in made.parts.boxes
        for spot in box.spots
        if not spot.net and (box.key, spot.name) not in linked
    ]
    found = list(made.parts.notes)
    if made.parts.plugged:
        taken = ", ".join(f"{label} {role}" for label, role in made.parts.plugged.items())
        found.append(_("taken by the radio module: {taken}").format(taken=taken))
    if unwired:
        found.append(_("no wire to the board: {names}").format(names=", ".join(unwired)))
    return found


def text(made: Plan) -> str:
    """The whole wiring as a text."""
    said = [f"{made.board.name}: {made.board.title}", f"{_(made.kind.title)} ({made.kind.name})", ""]
    lines = [head(), *rows(made)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(head()) - 1)]
    for line in lines if len(lines) > 1 else []:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=False)]
        said.append("  ".join([*cells, line.remark]).rstrip())
    said += ["", *(f"- {note}" for note in notes(made))]
    for box in made.parts.boxes:
        said.append(f"  {box.key}: {box.title}" + (f", {box.volts}" if box.volts else ""))
    return "\n".join(said)


def document(made: Plan) -> dict[str, Any]:
    """The wiring for programs; names as in the presets."""
    wires = []
    for wire in made.wires:
        pin = None if wire.end.part else made.pins[wire.end.terminal]
        to: dict[str, Any] = {"part": wire.end.part, "terminal": wire.end.terminal}
        if pin is not None:
            to = {"pin": pin.number, "label": pin.label, "gpio": pin.gpio}
        wires.append({"wire": wire.number, "colour": wire.colour, "part": wire.start.part, "terminal": wire.start.terminal,
                      "to": to, "remark": wire.remark})  # fmt: skip
    parts = [
        {
            "part": box.key,
            "title": box.title,
            "preset": box.preset,
            "volts": box.volts,
            "links": [{"between": [link.first, link.second], "ohm": link.ohm} for link in box.links],
        }
        for box in made.parts.boxes
    ]
    found = {"board": made.board.name, "type": made.kind.name, "wires": wires, "parts": parts}
    return found | {"plugged": made.parts.plugged, "notes": notes(made)}

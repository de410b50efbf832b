"""What to buy for a board or a fleet: out of the same parts as the drawing, each with its dated price from the presets."""

import csv
import io
from collections.abc import Iterable
from typing import Any, NamedTuple

from gateway.hardware import Buy
from gateway.inventory import Board, Inventory
from gateway.presets import parts
from tools.i18n import _, n_
from tools.wiring.nets import plan
from tools.wiring.parts import cells
from tools.wiring.table import ohms


class Item(NamedTuple):
    """A thing to buy, how often, and for which boards."""

    what: str
    pieces: int
    buy: Buy
    boards: tuple[str, ...]

    @property
    def sum_eur_cents(self) -> int:
        """Its price for all of them, in euro cents."""
        return self.pieces * self.buy.price_eur_cents


def bom(inv: Inventory, boards: Iterable[Board]) -> list[Item]:
    """What the boards need together, equal things summed, in the order in which a board first wants them."""
    found: dict[str, Item] = {}
    for board in boards:
        for what, count, buy in _of_board(inv, board):
            before = found.get(what, Item(what, 0, buy, ()))
            names = before.boards if board.name in before.boards else (*before.boards, board.name)
            found[what] = Item(what, before.pieces + count, buy, names)
    return list(found.values())


def _of_board(inv: Inventory, board: Board) -> list[tuple[str, int, Buy]]:
    known, made = parts(), plan(inv, board)
    found: list[tuple[str, int, Buy]] = [(made.kind.buy.what, 1, made.kind.buy)]

    def add(name: str, count: int = 1) -> None:
        found.append((known[name].buy.what, count, known[name].buy))

    if board.radio is not None:
        module = board.radio.module
        if module.buy is not None:
            found.append((module.buy.what, 1, module.buy))
        if not module.antenna_included:
            add("antenna")
    for box in made.parts.boxes:
        driver = inv.presets.drivers.get(box.preset)
        if driver is not None:
            found.append((driver.buy.what, 1, driver.buy))
        elif box.preset in known:
            add(box.preset, cells(board) if box.preset.startswith("battery-") else 1)
    resistor = known["resistor"].buy
    values = [ohm for _ref, _box, ohm, _first, _second in made.resistors()]
    values += [known["led"].ohm for box in made.parts.boxes if box.preset == "led"]
    found += [(f"{resistor.what}, {ohms(ohm)}", 1, resistor) for ohm in values]
    add(f"housing-{board.service}" if f"housing-{board.service}" in known else "housing")
    for sensor in board.sensors.values():
        if inv.presets.drivers[sensor.driver].outside:
            add("gland")
            add("connector")
    add("carrier")
    add("wire")
    if board.link == "serial":
        add("usb-cable")
    return found


def total_eur_cents(items: list[Item]) -> int:
    """What all of it costs, in euro cents."""
    return sum(item.sum_eur_cents for item in items)


def remarks(items: list[Item]) -> list[str]:
    """Of when the prices are, what is in them, and how many are guesses."""
    dates = sorted({item.buy.as_of for item in items})
    when = dates[0] if dates[0] == dates[-1] else _("{first} to {last}").format(first=dates[0], last=dates[-1])
    guesses = sum(item.buy.assumed for item in items)
    said = n_("{guesses} of {count} price is assumed", "{guesses} of {count} prices are assumed", len(items))
    return [
        _("prices of {when} for one piece, without VAT and shipping").format(when=when),
        said.format(guesses=guesses, count=len(items)) + _(": ask before you order"),
    ]


def euro(cents: int) -> str:
    """`12.50`."""
    return f"{cents // 100}.{cents % 100:02}"


def text(title: str, items: list[Item]) -> str:
    """The list as a table, with its total."""
    names = [_(item.what) for item in items]
    width = max(len(name) for name in names)
    said = [title, "", f"{_('count'):>5}  {_('what'):{width}}  {_('each EUR'):>8}  {_('sum EUR'):>8}"]
    for name, item in zip(names, items, strict=True):
        mark = " *" if item.buy.assumed else ""
        price = euro(item.buy.price_eur_cents)
        said.append(f"{item.pieces:>5}  {name:{width}}  {price:>8}  {euro(item.sum_eur_cents):>8}{mark}")
    said.append(f"{'':5}  {_('total'):{width}}  {'':8}  {euro(total_eur_cents(items)):>8}")
    said += ["", *remarks(items), _("* assumed, here or in part; --json and --csv say each price's source")]
    return "\n".join(said)


def document(items: list[Item]) -> dict[str, Any]:
    """The list for programs; prices in euro cents without VAT and shipping."""
    rows = [_row(item) | {"boards": list(item.boards)} for item in items]
    return {"items": rows, "total_eur_cents": total_eur_cents(items), "vat": False, "shipping": False}


def table(items: list[Item]) -> str:
    """The list as CSV with a head line, for a spreadsheet or a shop."""
    out = io.StringIO()
    writer = csv.DictWriter(out, [*_row(items[0]), "boards"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(_row(item) | {"boards": " ".join(item.boards)} for item in items)
    return out.getvalue().rstrip("\n")


def _row(item: Item) -> dict[str, Any]:
    return {
        "count": item.pieces,
        "what": item.what,
        "price_eur_cents": item.buy.price_eur_cents,
        "sum_eur_cents": item.sum_eur_cents,
        "as_of": item.buy.as_of,
        "assumed": item.buy.assumed,
        "source": item.buy.source,
    }

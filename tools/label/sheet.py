"""`jourdain sheet`: the commissioning sheet of a board, to print, fill in, sign and keep."""

import json
import time
from pathlib import Path

import click

from gateway import record
from gateway.inventory import Board, Inventory, load
from tools import completion
from tools.fleet import find_board
from tools.i18n import _
from tools.label import book, facts, page, svg
from tools.label.label import SIZE_MM, write
from tools.label.layout import layout
from tools.label.options import RECORD, record_of
from tools.wiring import draw


@click.command(
    help="Make the commissioning sheet of a board: a page of A4 to print, fill in and sign, the wiring on its back.",
    epilog=_("Example: `jourdain sheet bin-quai --out bin-quai.html`, then print it from a browser."),
)
@click.argument("board", shell_complete=completion.boards)
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="The file to write [default: BOARD.html].")
@RECORD
@click.option("--inventory", type=click.Path(path_type=Path), default=Path("boards.yaml"), help="The fleet.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def sheet(board: str, out: Path | None, kept: Path | None, inventory: Path, as_json: bool) -> None:
    """From boards.yaml and the record alone. Raises HostError (bad_inventory, unknown_board, bad_record, disk_error)."""
    inv = load(inventory)
    entry = find_board(inv, board)
    found = record.examine(record_of(kept, inventory))
    made = write(out or Path(f"{entry.name}.html"), html(inv, entry, found).encode("utf-8", "replace"))
    click.echo(json.dumps({"board": entry.name, "file": str(made)}, ensure_ascii=False) if as_json else str(made))


def html(inv: Inventory, board: Board, found: record.Book) -> str:
    """The sheet of a board as one HTML document."""
    entries: list[book.Entry] = [entry for entry in found.entries if entry["board"] == board.name]
    front = [
        _head(inv, board),
        page.alert(book.failure(entries)),
        _facts(inv, board, entries),
        _wiring(inv, board),
        _done(entries),
        _hand(),
        _foot(found, entries),
    ]
    parts = [*front, page.drawing(draw.svg(inv, board))]
    return page.document(_("Commissioning sheet of {board}").format(board=board.name), _("en"), parts)  # in French: fr


def _head(inv: Inventory, board: Board) -> str:
    label = svg.document(layout(inv, board, SIZE_MM, svg.measure))
    name = f"<h1>{page.text(board.name)}</h1><p>{page.text(board.title)}</p>"
    return f"<header><div><p>{page.text(_('Commissioning sheet'))}</p>{name}</div>{label}</header>"


def _facts(inv: Inventory, board: Board, entries: list[book.Entry]) -> str:
    latitude, longitude = facts.coordinates(board)
    address = f"https://www.openstreetmap.org/?mlat={latitude}&mlon={longitude}"
    left = [
        page.section(_("Board"), page.facts(facts.identity(inv, board))),
        page.section(_("Place"), page.facts(facts.place(inv, board)), page.link(address, address.partition("//www.")[2])),
    ]
    head = (_("setting"), _("value"), _("since"))
    right = [
        page.section(_("Service and power"), page.facts(facts.duty(inv, board))),
        page.section(_("Settings and calibration"), page.grid(head, facts.settings(board, entries))),
        page.section(_("First uplink"), _uplink(board, entries)),
    ]
    return page.columns(left, right)


def _uplink(board: Board, entries: list[book.Entry]) -> str:
    if board.role == "bridge":
        return ""
    seen = book.newest(entries, "uplink")
    return f"<p>{page.text(facts.uplink(seen))}</p>" if seen else page.missing()


def _wiring(inv: Inventory, board: Board) -> str:
    return page.section(_("Sensors and wiring"), page.grid((_("part"), _("what"), _("pins")), facts.wires(inv, board)))


def _done(entries: list[book.Entry]) -> str:
    flashed, tested = book.newest(entries, "versions", "hashes"), book.newest(entries, "selftest", results=record.RESULTS)
    checks = book.checks(tested) if tested else []
    failed = [at for at, check in enumerate(checks) if check[0] != _("passed")]
    head = (_("result"), _("of"), _("measured"), _("limits"))
    right = page.grid(head, checks, failed) or page.missing()
    date = f" {book.when(tested['at'])}" if tested else ""
    left = page.facts(facts.versions(flashed)) if flashed else page.missing()
    return page.columns([page.section(_("Versions"), left)], [page.section(_("Self-test") + date, right)])


def _hand() -> str:
    lines = ((_("installed by"), _("date")), (_("photo number"), _("signature")))
    return page.section(_("Installed"), page.fields(*lines), page.box(_("remarks")))


def _foot(found: record.Book, entries: list[book.Entry]) -> str:
    """The head of the record: it proves on paper that nobody changed the record before this day."""
    said = _("Printed {date}. The record had {count} entries, {own} of this board; head {head}")
    return page.note(said.format(date=book.when(time.time()), count=len(found.entries), own=len(entries), head=found.head))

"""`jourdain wiring BOARD`: which wire goes where, as a table and as a drawing, and what to buy."""

import json
from pathlib import Path

import click

from gateway import inventory
from gateway.inventory import Inventory
from tools import completion
from tools.fleet import find_board
from tools.i18n import _
from tools.wiring import bom, draw, nets, table


@click.command(help="Show which wire of a board goes where, out of boards.yaml; draw it; say what to buy.")
@click.argument("board", required=False, shell_complete=completion.boards)
@click.option("--svg", "drawing", type=click.Path(path_type=Path, dir_okay=False), help="Write the drawing to this file.")
@click.option("--bom", "shopping", is_flag=True, help="What to buy for the board, with prices.")
@click.option("--all", "whole", is_flag=True, help="With --bom: for every board of the inventory, summed.")
@click.option("--inventory", "path", type=click.Path(path_type=Path), default=Path("boards.yaml"), help="The fleet.")
@click.option("--json", "form", flag_value="json", help="One JSON document on stdout.")
@click.option("--csv", "form", flag_value="csv", help="With --bom: comma-separated values on stdout.")
def wiring(board: str | None, drawing: Path | None, *, shopping: bool, whole: bool, path: Path, form: str | None) -> None:
    """The wiring of a board. Raises HostError: unknown_board, bad_inventory."""
    as_json, as_csv = form == "json", form == "csv"
    if (whole or as_csv) and not shopping:
        raise click.UsageError(_("--all and --csv go with --bom"))
    if (board is None) != whole:
        raise click.UsageError(_("name one board, or --all with --bom"))
    if whole and drawing is not None:
        raise click.UsageError(_("--svg draws one board"))
    inv = inventory.load(path)
    if drawing is not None and board is not None:
        found = draw.svg(inv, find_board(inv, board))
        try:
            drawing.write_text(found, encoding="utf-8")
        except OSError as error:
            raise click.UsageError(_("cannot write {path}: {why}").format(path=drawing, why=error.strerror)) from None
        click.echo(_("wrote {path}").format(path=drawing), err=True)
    if shopping:
        _bom(inv, board, as_json, as_csv)
    else:
        made = nets.plan(inv, find_board(inv, board or ""))
        click.echo(json.dumps(table.document(made), ensure_ascii=False) if as_json else table.text(made))


def _bom(inv: Inventory, board: str | None, as_json: bool, as_csv: bool) -> None:
    boards = list(inv.boards.values()) if board is None else [find_board(inv, board)]
    items = bom.bom(inv, boards)
    if as_json:
        click.echo(json.dumps(bom.document(items), ensure_ascii=False))
    elif as_csv:
        click.echo(bom.table(items))
    else:
        title = _("{count} boards of {path}").format(count=len(boards), path=inv.path) if board is None else board
        click.echo(bom.text(title, items))

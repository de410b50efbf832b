"""`jourdain wiring BOARD`: which wire goes where, as a table and as a drawing, and what to buy."""

import json
from pathlib import Path

import click

from gateway import inventory
from tools import completion
from tools.fleet import find_board
from tools.i18n import _
from tools.wiring import draw, nets, table


@click.command(help="Show which wire of a board goes where, out of boards.yaml; draw it; say what to buy.")
@click.argument("board", required=False, shell_complete=completion.boards)
@click.option("--svg", "drawing", type=click.Path(path_type=Path, dir_okay=False), help="Write the drawing to this file.")
@click.option("--inventory", "path", type=click.Path(path_type=Path), default=Path("boards.yaml"), show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def wiring(board: str | None, drawing: Path | None, path: Path, as_json: bool) -> None:
    """The wiring of a board. Raises HostError: unknown_board, bad_inventory."""
    inv = inventory.load(path)
    if board is None:
        raise click.UsageError(_("name a board: {known}").format(known=", ".join(list(inv.boards)[:12])))
    entry = find_board(inv, board)
    if drawing is not None:
        drawing.write_text(draw.svg(inv, entry), encoding="utf-8")
        click.echo(_("wrote {path}").format(path=drawing), err=True)
    made = nets.plan(inv, entry)
    click.echo(json.dumps(table.document(made), ensure_ascii=False) if as_json else table.text(made))

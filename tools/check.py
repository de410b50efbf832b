"""`jourdain check`: is boards.yaml right? Every fault at once, with its line."""

import json
from pathlib import Path

import click

from gateway.inventory import Inventory, load
from tools.i18n import _, n_


@click.command(help="Check boards.yaml and name every fault with its line.")
@click.argument("inventory", type=click.Path(path_type=Path), default=Path("boards.yaml"))
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def check(inventory: Path, as_json: bool) -> None:
    """Load the inventory; an InventoryError with all faults ends the command with exit code 3."""
    found = load(inventory)
    if as_json:
        click.echo(json.dumps(_document(found), ensure_ascii=False))
        return
    count = len(found.boards)
    said = n_("{path}: {count} board, no fault", "{path}: {count} boards, no fault", count)
    click.echo(said.format(path=inventory, count=count))
    for board in found.nodes:
        if board.uid is None:
            click.echo(_("note: {board} has no unique id yet; `jourdain flash` says it").format(board=board.name))


def _document(found: Inventory) -> dict[str, object]:
    boards = {
        board.name: {"site": board.site, "type": board.type, "role": board.role, "service": board.service, "kid": board.kid}
        for board in found.boards.values()
    }
    return {"faults": [], "boards": boards, "gateways": list(found.gateways), "sites": list(found.sites)}

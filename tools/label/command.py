"""`jourdain label`: a label for each board, as files for a label printer or on a sheet for an office printer."""

import json
import re
from pathlib import Path
from typing import Any

import click

from gateway.inventory import Board, Inventory, load
from tools import completion
from tools.fleet import find_board
from tools.i18n import _, n_
from tools.label import grid, png, svg
from tools.label.code import text_of
from tools.label.label import SIZE_MM, write
from tools.label.layout import layout


def _size(_ctx: click.Context, _param: click.Parameter, value: str) -> tuple[float, float]:
    """`62x29`: a label's width and height in mm."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)x(\d+(?:\.\d+)?)", value)
    size = (float(found[1]), float(found[2])) if found else (0.0, 0.0)
    if not (40 <= size[0] <= 200 and 20 <= size[1] <= 100):
        raise click.BadParameter(_("a size in mm, such as 62x29: 40 to 200 wide, 20 to 100 high"))
    return size


@click.command(
    help="Make labels: a QR code and the words that a person reads. TR005 where the board has a LoRaWAN identity.",
    epilog=_("Examples: `jourdain label bin-quai`, `jourdain label --all --sheet labels.html --start 5`."),
)
@click.argument("boards", nargs=-1, shell_complete=completion.boards)
@click.option("--all", "everything", is_flag=True, help="Every board of the fleet.")
@click.option("--out", type=click.Path(path_type=Path),
              help="A folder for a file each [default, without --sheet: labels beside the fleet].")  # fmt: skip
@click.option("--format", "form", type=click.Choice(("svg", "png")), default="svg", help="Of the files: to scale, or in dots.")
@click.option("--size", callback=_size, metavar="WxH", default="{:g}x{:g}".format(*SIZE_MM), show_default=True,
              help="Of a label, in mm.")  # fmt: skip
@click.option("--dpi", type=click.IntRange(150, 1200), default=300, show_default=True, help="Dots an inch of the printer.")
@click.option("--sheet", type=click.Path(path_type=Path), metavar="FILE",
              help="A sheet of A4 with 24 labels of 63.5 x 33.9 mm: FILE.html or FILE.svg.")  # fmt: skip
@click.option("--start", type=click.IntRange(1, grid.COLUMNS * grid.ROWS), default=1, help="First free place of a used sheet.")
@click.option("--cut", is_flag=True, help="Lines to cut along, for plain paper.")
@click.option("--inventory", type=click.Path(path_type=Path), default=Path("boards.yaml"), help="The fleet.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def label(  # noqa: PLR0917 - one argument an option
    boards: tuple[str, ...], everything: bool, out: Path | None, form: str, size: tuple[float, float], dpi: int,
    sheet: Path | None, start: int, cut: bool, inventory: Path, as_json: bool,
) -> None:  # fmt: skip
    """Files of before are made anew. Raises HostError (bad_inventory, unknown_board, disk_error)."""
    inv = load(inventory)
    if everything == bool(boards):
        raise click.UsageError(_("name boards, or say --all"))
    if sheet is not None and sheet.suffix not in (".html", ".svg"):
        raise click.BadParameter(_("a sheet is FILE.html or FILE.svg"), param_hint="--sheet")
    chosen = list(inv.boards.values()) if everything else [find_board(inv, name) for name in boards]
    sheets = _sheet(inv, chosen, sheet, start, cut) if sheet else []
    folder = out or (None if sheet else inventory.with_name("labels"))
    made = [_label(inv, board, folder, (form, size, dpi)) for board in chosen]
    if as_json:
        click.echo(json.dumps({"labels": made, "sheets": [str(path) for path in sheets]}, ensure_ascii=False))
        return
    for said in made if folder else ():
        click.echo(said["file"])
    for path in sheets:
        click.echo(str(path))
    click.echo(n_("{count} label", "{count} labels", len(made)).format(count=len(made)), err=True)


def _label(inv: Inventory, board: Board, folder: Path | None, how: tuple[str, tuple[float, float], int]) -> dict[str, Any]:
    form, size, dpi = how
    path = folder / f"{board.name}.{form}" if folder else None
    if path and form == "png":
        write(path, png.document(layout(inv, board, size, png.measure_at(dpi), dpi), dpi))
    elif path:
        write(path, svg.document(layout(inv, board, size, svg.measure, dpi)).encode())
    text = text_of(board)
    return {"board": board.name, "file": str(path) if path else None, "text": text, "tr005": board.lorawan is not None}


def _sheet(inv: Inventory, boards: list[Board], path: Path, start: int, cut: bool) -> list[Path]:
    """One HTML, or an SVG a page: FILE.svg, FILE-2.svg ..."""
    pages = grid.pages([layout(inv, board, grid.LABEL_MM, svg.measure) for board in boards], start, cut)
    if path.suffix == ".html":
        return [write(path, grid.html(pages, _("Labels")).encode())]
    paths = [path, *(path.with_stem(f"{path.stem}-{number}") for number in range(2, len(pages) + 1))]
    return [write(path, page.encode()) for path, page in zip(paths, pages, strict=True)]

"""`jourdain plan`: what a fleet will need, before it hangs in the town."""

import json
from pathlib import Path

import click

from firmware.node import energy
from gateway.errors import HostError
from gateway.inventory import Board, Inventory, load
from tools import completion
from tools.fleet import find_board
from tools.i18n import _
from tools.plan import battery as planner

YEAR_DAYS = 365.25


@click.group(help="Compute what a fleet will need: batteries.")
def plan() -> None:
    """The group."""


@plan.command(help="Say how long the battery of each board will last, in each way of sleeping that it could have.")
@click.argument("boards", nargs=-1, shell_complete=completion.boards)
@click.option("--inventory", type=click.Path(path_type=Path), default=Path("boards.yaml"), help="The fleet.")
@click.option("--capacity", type=click.IntRange(10, 1_000_000), metavar="MAH", help="Another battery than the entry's, mAh.")
@click.option("--chemistry", type=click.Choice(sorted(energy.CHEMISTRIES)), help="Its cells.")
@click.option("--combinations", is_flag=True, help="The usual boards and batteries instead of a fleet.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def battery(boards: tuple[str, ...], inventory: Path, capacity: int | None, chemistry: str | None,  # noqa: PLR0917
            combinations: bool, as_json: bool) -> None:  # fmt: skip
    """A table with its assumptions. Raises HostError (bad_inventory, unknown_board)."""
    if (capacity is None) != (chemistry is None):
        raise click.UsageError(_("--capacity and --chemistry belong together"))
    if combinations:
        _show_combinations(as_json)
        return
    fleet = load(inventory)
    chosen = _chosen(fleet, boards)
    lives = {board.name: _lives(fleet, board, capacity, chemistry) for board in chosen}
    if as_json:
        click.echo(json.dumps(_document(fleet, chosen, lives), ensure_ascii=False))
        return
    head = [_("board"), _("profile"), _("battery"), "uA", _("largest draws, uA"), _("life"), _("in other profiles")]
    rows = [_row(board, lives[board.name], capacity, chemistry) for board in chosen]
    click.echo(table([head, *rows]))
    click.echo("\n" + _("What is assumed (currents in uA, times in ms; none was measured on your boards):"))
    click.echo(table([list(row) for row in planner.assumptions(fleet, chosen)]))


def _chosen(fleet: Inventory, names: tuple[str, ...]) -> list[Board]:
    """The boards with a battery of these names; without names all."""
    for name in names:
        board = find_board(fleet, name)
        if board.link == "serial":
            what = _("{name} hangs on a serial port, which feeds it").format(name=name)
            raise HostError("unknown_board", what, fleet.where(name), _("name a radio board"))
    return [board for board in fleet.nodes if board.link == "radio" and (not names or board.name in names)]


def _lives(fleet: Inventory, board: Board, capacity: int | None, chemistry: str | None) -> list[planner.Projection]:
    """The board's own profile first, then the others that it could have."""
    cells = (capacity, chemistry) if capacity else (board.power.capacity_mah, board.power.chemistry)
    others = [profile for profile in planner.possible(fleet, board) if profile != board.power.profile]
    return [planner.project(fleet, board, profile, *cells) for profile in (board.power.profile, *others)]


def _row(board: Board, lives: list[planner.Projection], capacity: int | None, chemistry: str | None) -> list[str]:
    own = lives[0]
    chemistry = chemistry or board.power.chemistry
    cells = f"{capacity or board.power.capacity_mah} mAh {chemistry}" if chemistry else "-"
    largest = sorted(own.parts.items(), key=lambda part: -part[1])[:3]
    return [
        board.name,
        own.profile,
        cells,
        f"{own.average_ua:.0f}",
        ", ".join(f"{what} {ua:.0f}" for what, ua in largest),
        life(own.days, chemistry),
        ", ".join(f"{p.profile} {life(p.days, chemistry) if chemistry else f'{p.average_ua:.0f} uA'}" for p in lives[1:]),
    ]


def life(days: int | None, chemistry: str | None) -> str:
    """Days as a person says them; `>` where the cell itself ends before."""
    if days is None or chemistry is None:
        return "-"
    end = energy.shelf_days(chemistry)
    if days > end:
        return _("> {years:.0f} years").format(years=end / YEAR_DAYS)
    if days < YEAR_DAYS:
        return _("{days} days").format(days=days)
    return _("{years:.1f} years").format(years=days / YEAR_DAYS)


def _document(fleet: Inventory, boards: list[Board], lives: dict[str, list[planner.Projection]]) -> dict[str, object]:
    return {
        "boards": {
            name: [
                {"profile": p.profile, "average_ua": round(p.average_ua, 1), "days": p.days,
                 "parts_ua": {what: round(ua, 2) for what, ua in p.parts.items()}}
                for p in found
            ]
            for name, found in lives.items()
        },
        "assumptions": dict(planner.assumptions(fleet, boards)),
    }  # fmt: skip


def _show_combinations(as_json: bool) -> None:
    rows = planner.combinations()
    if as_json:
        click.echo(json.dumps({"combinations": rows}, ensure_ascii=False))
        return
    head = [_("board and battery"), *(f"SF{sf}" for sf in planner.COMBINATION_SFS)]
    lines = [head]
    for title, capacity, _chemistry, days in ((r["title"], r["capacity_mah"], r["chemistry"], r["days"]) for r in rows):
        lines.append([f"{title}, {capacity} mAh", *(" -> ".join(f"{d / YEAR_DAYS:.1f}" for d in pair) for pair in days.values())])
    click.echo(table(lines))
    said = _("Years with one reading a frame (30 B) -> with eight (49 B). 96 readings a day, SX1262 at 14 dBm, 45 mA.")
    click.echo("\n" + said)
    click.echo(_("Deep sleep 15 uA with the divider of the battery; light sleep of a Pico 1.3 mA;"))
    click.echo(_("self-discharge 3 % a year (alkaline), 1 % (lithium), 1.5 % (Li-SOCl2)."))


def table(rows: list[list[str]]) -> str:
    """Rows with their columns in line; the last column is as wide as it likes."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)

"""`jourdain record`: what was done to which board, by whom, with what result."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from gateway import record as book
from gateway.errors import HostError
from gateway.inventory import load
from tools import completion
from tools.diag.board_view import View
from tools.fleet import find_board
from tools.i18n import _, n_
from tools.label.book import part, result, tested, when
from tools.label.options import RECORD, record_of
from tools.label.words import cleaned


@click.command(
    help="Show the record of what was done to boards, the newest last.",
    epilog=_("Examples: `jourdain record bin-quai`, `jourdain record --failed --json`, `jourdain record --verify`."),
)
@click.argument("board", required=False, shell_complete=completion.boards)
@click.option("--failed", is_flag=True, help="Only what failed.")
@click.option("--verify", is_flag=True, help="Say whether every line is as it was written, and the head of the chain.")
@RECORD
@click.option("--inventory", type=click.Path(path_type=Path), default=Path("boards.yaml"), help="The fleet.")
@click.option("--json", "as_json", is_flag=True, help="An entry a line on stdout; of --verify one document.")
def record(board: str | None, failed: bool, verify: bool, kept: Path | None, inventory: Path, as_json: bool) -> None:  # noqa: PLR0917
    """Reading checks the chain in any case. Raises HostError (bad_record, disk_error, unknown_board)."""
    path = record_of(kept, inventory)
    if kept is not None and not path.exists():  # a name that was mistyped must not look verified
        raise HostError("bad_record", _("there is no record here"), str(path), _("write the name as it stands there"))
    found = book.examine(path)
    if verify:
        _verified(path, found, as_json)
        return
    chosen = found.entries
    if board is not None:
        name = _name(board, inventory, chosen)
        chosen = [entry for entry in chosen if entry["board"] == name]
    chosen = [entry for entry in chosen if not failed or entry["result"] == "failed"]
    if as_json:
        for entry in chosen:
            _say(entry)
    elif chosen:
        head = (_("when"), _("board"), _("result"), _("who"), _("key id"), _("chip"), _("firmware"), _("self-test"))
        View(as_json=False).rows([head, *map(_row, chosen)])
    else:
        click.echo(_("nothing of it is in {file}").format(file=path), err=True)


def _name(board: str, inventory: Path, entries: list[dict[str, Any]]) -> str:
    """A board of the record, which may have left the fleet since, or of the fleet. Raises HostError (unknown_board)."""
    return board if any(entry["board"] == board for entry in entries) else find_board(load(inventory), board).name


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    told = tested(entry)
    if "versions" not in entry and entry.get("calibration"):  # nothing was flashed: settings were changed
        told = ", ".join(f"{cleaned(name)} {part(entry, 'calibration', name)}" for name in entry["calibration"])
    if entry["result"] == "failed":
        told = ": ".join(word for word in (part(entry, "error"), part(entry, "what")) if word != "-")
    who, chip = part(entry, "who").partition("@")[0], part(entry, "uid")[-6:]
    return (when(entry["at"]), part(entry, "board"), result(entry), who, part(entry, "kid"), chip,
            part(entry, "versions", "firmware"), told)  # fmt: skip


def _verified(path: Path, found: book.Book, as_json: bool) -> None:
    count = len(found.entries)
    if as_json:
        _say({"file": str(path), "entries": count, "head": found.head, "torn_bytes": found.torn_bytes})
        return
    said = n_("{count} entry, as it was written; head {head}", "{count} entries, as they were written; head {head}", count)
    click.echo(said.format(count=count, head=found.head))
    if found.torn_bytes:
        said = _("the last line is torn ({count} bytes): it was never acknowledged, the next entry sets it aside")
        click.echo(said.format(count=found.torn_bytes), err=True)


def _say(document: dict[str, Any]) -> None:
    """A line of JSON; a lone surrogate, which no terminal takes, as the escape that JSON has for it."""
    text = json.dumps(document, ensure_ascii=False)
    sys.stdout.write(text.encode("utf-8", "backslashreplace").decode() + "\n")

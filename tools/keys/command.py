"""`jourdain keys`: secrets of boards, made here and kept here, replaced and given up; none is ever shown."""

import sys
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple

import click

from gateway.errors import HostError
from gateway.inventory import Board, Inventory, load
from tools import completion, edit
from tools.fleet import find_board
from tools.i18n import _, n_
from tools.keys import issue, secrets
from tools.keys import options as o
from tools.keys.overview import check, export, overview
from tools.keys.sealing import lock, passphrase


class _Made(NamedTuple):
    """A key that was issued in the place of `old`; `ready`: it was before, and its board has not got it yet."""

    kid: str
    board: str
    old: str = ""
    ready: bool = False


@click.group(help="Make the keys of boards, and what a gateway may hold of them.")
def keys() -> None:
    """The group."""


@keys.command(help="Make secrets for boards and keep them in a file that nobody else can read.")
@click.argument("boards", nargs=-1, metavar="[BOARD]...", shell_complete=completion.boards)
@click.option("--all", "everyone", is_flag=True, help="All boards of the fleet that have none.")
@click.option("--kid", default="", metavar="HEX", shell_complete=completion.kids,
              help="Key id, 4 or 8 hexadecimal digits; else the board's, or the next one.")  # fmt: skip
@click.option("--secret", default="", metavar="HEX", help="Take over this secret instead of a random one; - reads it from stdin.")
@o.changing
def new(  # noqa: PLR0917 - one argument an option
    boards: tuple[str, ...], everyone: bool, kid: str, secret: str, path: Path, inventory: Path,
    dry_run: bool, yes: bool, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """A key id is never issued twice, whatever became of its board. Raises HostError."""
    if everyone and boards:
        raise click.UsageError(_("Name boards, or say --all."))
    if (kid or secret) and (everyone or len(boards) > 1):
        raise click.UsageError(_("--kid and --secret are for one board."))
    fleet = load(inventory) if everyone or inventory.exists() else None
    given = _given(secret)
    named = [(name, _keyed(fleet, name) if fleet and name else None) for name in dict.fromkeys(boards or ("",))]
    made = []
    with _entries(path, dry_run) as entries:
        if everyone and fleet:
            named = [(board.name, board) for board in issue.lacking(fleet, entries)]
        for name, board in named:
            made.append(_Made(issue.next_kid(kid.lower(), board, fleet, entries), name))
            issue.issue(entries, made[-1].kid, name, given)
    _say_made(made, path, inventory, single=not everyone and len(named) == 1, dry_run=dry_run, as_json=as_json, quiet=quiet)
    if made and not dry_run:
        question = _("Add the new key ids to {file}?").format(file=inventory)
        strange = [one for one in made if fleet and one.board and one.kid not in fleet.boards[one.board].kids]
        if strange and o.agreed(question, yes=yes, must=False):
            _into(inventory, strange, quiet)
            strange = []
        o.then(_next(("--all",) if everyone else boards, fleet, strange, inventory), quiet=quiet)


def _say_made(
    made: Sequence[_Made], path: Path, inventory: Path, *, single: bool, dry_run: bool, as_json: bool, quiet: bool
) -> None:
    rows = [{"kid": one.kid, "board": one.board} for one in made]
    said = {**(rows[0] if single else {"keys": rows}), "file": str(path), **({"dry_run": True} if dry_run else {})}
    text = _("key id {kid} for {board}; nothing was written") if dry_run else _("key id {kid} made for {board}, kept in {file}")
    lines = [text.format(kid=one.kid, board=one.board or _("a board to come"), file=path) for one in made]
    none = [_("every board of {file} has its key").format(file=inventory)]
    o.answer(said, lines or none, as_json=as_json, quiet=quiet)


@keys.command(help="Give boards new keys in the place of those they have, and boards.yaml their key ids.")
@click.argument("boards", nargs=-1, required=True, metavar="BOARD...", shell_complete=completion.boards)
@o.changing
def rotate(  # noqa: PLR0917
    boards: tuple[str, ...], path: Path, inventory: Path,
    dry_run: bool, yes: bool, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """What was cut short, or was not flashed yet, is gone on with: no key is issued in vain. Raises HostError."""
    fleet = load(inventory)
    chosen = [_keyed(fleet, name) for name in dict.fromkeys(boards)]
    secrets.load(path)  # a wrong passphrase comes before the question
    if not dry_run:
        question = n_("Give {count} board a new key, and write its id to {file}?",
                      "Give {count} boards new keys, and write their ids to {file}?", len(chosen))  # fmt: skip
        o.agreed(question.format(count=len(chosen), file=inventory), yes=yes)
    made = []
    with _entries(path, dry_run) as entries:
        for board in chosen:
            ready = issue.pending(board, fleet, entries)
            kid = ready or issue.next_kid("", board, fleet, entries)
            if ready is None:
                issue.issue(entries, kid, board.name)
            old = next((one for one in reversed(board.kids) if one != kid), "")
            made.append(_Made(kid, board.name, old, ready is not None))
    if not dry_run:
        _into(inventory, [one for one in made if one.kid not in fleet.boards[one.board].kids], quiet)
    text = _("{board}: {old} -> {kid}; nothing was written") if dry_run else _("{board}: {old} -> {kid}")
    waits = _("{board}: {old} -> {kid}, which was made before and is not on the board yet")
    rows = [{"board": one.board, "old": one.old, "kid": one.kid, "ready": one.ready} for one in made]
    o.answer({"file": str(path), "inventory": str(inventory), "dry_run": dry_run, "keys": rows},
             [(waits if one.ready else text).format(**one._asdict()) for one in made], as_json=as_json, quiet=quiet)  # fmt: skip
    if not dry_run:
        o.then([*_next(boards, fleet, [], inventory), *_afterwards(made)], quiet=quiet)


@keys.command(help="Remove secrets that no board has any more. Their key ids stay noted, so that none is issued again.")
@click.argument("kids", nargs=-1, required=True, metavar="KID...")
@o.changing
def retire(  # noqa: PLR0917
    kids: tuple[str, ...], path: Path, inventory: Path,
    dry_run: bool, yes: bool, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """A key id that boards.yaml still names is refused. Raises HostError (bad_keys)."""
    owned = issue.owners(load(inventory) if inventory.exists() else None)
    chosen = list(dict.fromkeys(kid.lower() for kid in kids))
    known = secrets.load(path)
    for kid in chosen:
        where = _("key id {kid}").format(kid=kid)
        if kid not in known:
            raise HostError("bad_keys", _("this key id was never issued"), where, _("look at them: jourdain keys list"))
        if kid in owned:
            what = _("{board} has this key id in {file}").format(board=", ".join(owned[kid]), file=inventory)
            raise HostError("bad_keys", what, where, _("take it out there first, once the board has another one"))
    if not dry_run:
        o.agreed(_("Remove the secrets of {kids} for ever?").format(kids=", ".join(chosen)), yes=yes)
    with _entries(path, dry_run) as entries:
        for kid in chosen:
            if entries[kid].pop("secret", None) is not None:
                entries[kid]["retired"] = issue.today()
    text = _("{kid}: would be retired; nothing was written") if dry_run else _("{kid}: retired, its secret is gone")
    o.answer({"file": str(path), "dry_run": dry_run, "retired": chosen},
             [text.format(kid=kid) for kid in chosen], as_json=as_json, quiet=quiet)  # fmt: skip


def _entries(path: Path, dry_run: bool) -> AbstractContextManager[secrets.Entries]:
    """The entries of the file, to be changed; of a dry run only in memory."""
    return nullcontext(secrets.load(path)) if dry_run else secrets.changing(path)


def _keyed(fleet: Inventory, name: str) -> Board:
    found = find_board(fleet, name)
    if found.role == "bridge":
        what = _("a radio bridge has no key: it passes on what it cannot read")
        raise HostError("bad_keys", what, fleet.where(name), _("name a board that measures"))
    return found


def _given(text: str) -> bytes | None:
    """The secret that is taken over. Raises HostError (bad_keys), which does not say it."""
    if not text:
        return None
    try:
        secret = bytes.fromhex(sys.stdin.readline() if text == "-" else text)
    except ValueError:
        secret = b""
    if len(secret) != secrets.SECRET_LEN:
        what = _("{count} hexadecimal digits are needed").format(count=2 * secrets.SECRET_LEN)
        raise HostError("bad_keys", what, "--secret", _("leave it out, and a random one is made"))
    return secret


def _into(inventory: Path, made: Sequence[_Made], quiet: bool) -> None:
    edit.add_kids(inventory, {one.board: one.kid for one in made})
    for one in made:
        if not quiet:
            click.echo(_('{file}: {board} has "{kid}" now').format(file=inventory, **one._asdict()), err=True)


def _next(boards: Sequence[str], fleet: Inventory | None, strange: Sequence[_Made], inventory: Path) -> list[str]:
    """What to do with new keys, in this order: a gateway that does not know a key refuses what is sent under it."""
    lines = [_('add it to {file}, {board}: kids: [..., "{kid}"]').format(file=inventory, **one._asdict()) for one in strange]
    roles = sorted({one.role for one in fleet.gateways.values()} - {"relay"}) if fleet else []
    for role in roles or ["reader"]:
        lines.append(_("for the gateway, with {file}: {line}").format(file=inventory, line=f"jourdain keys export --role {role}"))
    return [*lines, "jourdain flash " + " ".join(boards)] if boards else lines


def _afterwards(made: Iterable[_Made]) -> Iterable[str]:
    old = " ".join(one.old for one in made if one.old)
    if old:
        yield _("once the gateway has refused the old ones (old_key_days after the first frame under a new one):")
        yield _("take them out of boards.yaml, then jourdain keys retire {kids}").format(kids=old)


for _one in (overview, check, export, lock, passphrase):
    keys.add_command(_one)

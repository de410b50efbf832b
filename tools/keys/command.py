"""`jourdain keys`: secrets of boards, made here and kept here, and the derived keys that a gateway's role may hold."""

import json
from pathlib import Path
from secrets import token_bytes

import click

from firmware.wire.seal import derive
from gateway.errors import HostError
from gateway.inventory import Board, Inventory, load
from gateway.keys import MAY_HOLD, TEST_SECRETS
from tools.fleet import find_board
from tools.i18n import _
from tools.keys.secrets import KID, SECRET_LEN, locked, read, write

_secrets_option = click.option(
    "--secrets", "path", type=click.Path(path_type=Path), default=Path("secrets.json"), help="Where the secrets are kept."
)
_inventory_option = click.option(
    "--inventory", type=click.Path(path_type=Path), default=Path("boards.yaml"), help="The fleet, if there is one."
)


@click.group(help="Make the keys of boards, and what a gateway may hold of them.")
def keys() -> None:
    """The group."""


@keys.command(help="Make a secret for a board and keep it in a file that nobody else may read.")
@click.argument("board", required=False, default="")
@click.option("--kid", default="", metavar="HEX", help="Key id, 4 or 8 hexadecimal digits; else the board's, or the next one.")
@click.option("--out", "path", type=click.Path(path_type=Path), default=Path("secrets.json"), help="Where the secrets are kept.")
@click.option("--secret", default="", metavar="HEX", help="Take over this secret instead of a random one.")
@_inventory_option
@click.option("--show", is_flag=True, help="Show the secret, on this screen and nowhere else.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def new(board: str, kid: str, path: Path, secret: str, inventory: Path, show: bool, as_json: bool) -> None:  # noqa: PLR0917
    """A key id is never issued twice, whatever became of its board. Raises HostError."""
    fleet = load(inventory) if inventory.exists() else None
    entry = _entry(fleet, board)
    with locked(path):
        issued = read(path)
        made = _new_kid(kid.lower(), entry, fleet, issued)
        issued[made] = {"board": board, "secret": _new_secret(secret).hex()}
        write(path, {"keys": dict(sorted(issued.items()))})
    said = {"kid": made, "board": board, "file": str(path)}
    if show:
        said["secret"] = issued[made]["secret"]
    if as_json:
        click.echo(json.dumps(said, ensure_ascii=False))
        return
    click.echo(_("key id {kid} made for {board}, kept in {file}").format(**{**said, "board": board or _("a board to come")}))
    if show:
        click.echo(_("secret {secret}").format(**said))
    if entry is not None and made not in entry.kids:
        click.echo(_('next: add it to boards.yaml, kids: ["{kid}"], and flash {board}').format(**said))


@keys.command(help="Write keys.json for a gateway: what its role may hold of the boards, never their secrets.")
@click.option("--role", type=click.Choice(tuple(MAY_HOLD)), default="reader", help="What the gateway is.")
@_secrets_option
@_inventory_option
@click.option("--out", type=click.Path(path_type=Path), default=Path("keys.json"), help="The file to write.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def export(role: str, path: Path, inventory: Path, out: Path, as_json: bool) -> None:
    """Only key ids of the inventory are exported, when there is one. Raises HostError."""
    if not MAY_HOLD[role]:
        document = json.dumps({"role": role, "file": None, "kids": []})
        click.echo(document if as_json else _("a relay needs no keys: nothing was written"))
        return
    issued = read(path)
    if not issued:
        raise HostError("bad_keys", _("there are no secrets yet"), str(path), _("make one: jourdain keys new"))
    if inventory.exists():
        used = {kid for board in load(inventory).boards.values() for kid in board.kids}
        issued = {kid: entry for kid, entry in issued.items() if kid in used}
    found: dict[str, dict[str, str]] = {}
    for kid, entry in issued.items():
        derived = derive(bytes.fromhex(entry["secret"]), bytes.fromhex(kid))
        found[kid] = {name: getattr(derived, name).hex() for name in MAY_HOLD[role]}
    write(out, {"role": role, "keys": found})
    said = {"role": role, "file": str(out), "kids": list(found)}
    if as_json:
        click.echo(json.dumps(said, ensure_ascii=False))
    else:
        click.echo(_("{count} key contexts for a {role}, in {file}").format(count=len(found), role=role, file=out))


def _entry(fleet: Inventory | None, board: str) -> Board | None:
    if fleet is None or not board:
        return None
    found = find_board(fleet, board)
    if found.role == "bridge":
        what = _("a radio bridge has no key: it passes on what it cannot read")
        raise HostError("bad_keys", what, fleet.where(board), _("name a board that measures"))
    return found


def _new_kid(kid: str, entry: Board | None, fleet: Inventory | None, issued: dict[str, dict[str, str]]) -> str:
    """The key id to issue: as asked for, else the one that boards.yaml gives the board, else the next free one."""
    owners = {k: board.name for board in fleet.boards.values() for k in board.kids} if fleet else {}
    if not kid and entry is not None:
        kid = next((k for k in reversed(entry.kids) if k not in issued), "")
    if not kid:
        taken = [int(k, 16) for k in {*issued, *owners} if len(k) == 4]
        kid = f"{max(taken, default=0) + 1:04x}"
    if not KID.match(kid):
        what = _("a key id has 4 or 8 hexadecimal digits, not {kid!r}").format(kid=kid)
        raise HostError("bad_keys", what, "--kid", _("take another one; without --kid the next free one is taken"))
    where = _("key id {kid}").format(kid=kid)
    if kid in issued:
        what = _("this key id was issued already, for {board}").format(board=issued[kid].get("board") or "?")
        raise HostError("bad_keys", what, where, _("take another one; without --kid the next free one is taken"))
    if kid in owners and (entry is None or owners[kid] != entry.name):
        what = _("this key id belongs to {board}").format(board=owners[kid])
        raise HostError("bad_keys", what, where, _("name that board, or take another key id"))
    return kid


def _new_secret(text: str) -> bytes:
    """A random secret, or the one given. Raises HostError: test_key for one that everybody knows, bad_keys."""
    if not text:
        return token_bytes(SECRET_LEN)
    try:
        secret = bytes.fromhex(text)
    except ValueError:
        secret = b""
    if len(secret) != SECRET_LEN:
        what = _("{count} hexadecimal digits are needed").format(count=2 * SECRET_LEN)
        raise HostError("bad_keys", what, "--secret", _("leave it out, and a random one is made"))
    if secret in TEST_SECRETS:
        what = _("everybody knows this secret: it is printed in the specification")
        raise HostError("test_key", what, "--secret", _("leave it out, and a random one is made"))
    return secret

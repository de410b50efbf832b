"""`jourdain keys list`, `check` and `export`: what there is, whether it is right, and what a gateway may hold of it."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from firmware.wire.seal import derive
from gateway.errors import Fault, FaultsError, HostError
from gateway.inventory import Board, Inventory, load
from gateway.keys import MAY_HOLD
from tools import files
from tools.i18n import _, n_
from tools.keys import issue, quality, secrets
from tools.keys import options as o


@click.command("list", help="Show the key ids that were issued: for which board, when, on which chip; no secrets.")
@o.SECRETS
@o.INVENTORY
@o.PASSPHRASE
@o.NO_INPUT
@o.JSON
def overview(path: Path, inventory: Path, as_json: bool) -> None:
    """`state`: in force, old (boards.yaml names a newer one), unused (boards.yaml does not name it), retired."""
    fleet = load(inventory) if inventory.exists() else None
    entries = secrets.load(path)
    rows: list[dict[str, str | None]] = [
        {"kid": kid, "board": entry.get("board", ""), "made": entry.get("made"), "counts_on": entry.get("counts_on"),
         "state": _state(kid, entry, fleet), "retired": entry.get("retired")}
        for kid, entry in sorted(entries.items())
    ]  # fmt: skip
    words = {"in_force": _("in force"), "old": _("old"), "unused": _("not in boards.yaml"), "retired": _("retired")}
    table = [[_("key id"), _("board"), _("made on"), _("counts on chip"), _("state")]]
    for row in rows:
        cells = [row[name] or "-" for name in ("kid", "board", "made", "counts_on")]
        table.append([*cells, words[row["state"] or ""]])
    widths = [max(len(cells[i]) for cells in table) for i in range(4)]
    lines = ["  ".join([*(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=False)), cells[4]]) for cells in table]
    said = {"file": str(path), "encrypted": secrets.is_sealed(path), "keys": rows}
    o.answer(said, lines if rows else [_("there are no secrets yet")], as_json=as_json)


def _state(kid: str, entry: dict[str, str], fleet: Inventory | None) -> str:
    if "retired" in entry:
        return "retired"
    boards = [fleet.boards[name] for name in issue.owners(fleet).get(kid, ())] if fleet else []
    return "unused" if not boards else "in_force" if any(board.kid == kid for board in boards) else "old"


@click.command(help="Check that every board of the fleet has a key, and that none is shared, known or made by hand.")
@o.SECRETS
@o.INVENTORY
@o.PASSPHRASE
@o.NO_INPUT
@o.JSON
@o.QUIET
def check(path: Path, inventory: Path, as_json: bool, quiet: bool) -> None:
    """Raises FaultsError (bad_keys) with every fault. Keys that no board uses are only named."""
    fleet = load(inventory)
    entries = secrets.load(path)
    owned = issue.owners(fleet)
    faults = [Fault(str(path), 0, what, _("jourdain keys rotate BOARD")) for what in _of_secrets(entries)]
    once = _("a key id belongs to one board for ever")
    for board in fleet.nodes:
        place = (str(fleet.path), fleet.lines[board.name])
        faults += [Fault(*place, what, once) for what in _mixed_up(board, entries, owned)]
        faults += [Fault(*place, what, "jourdain keys new --all") for what in _missing(board, entries)]
    if faults:
        raise FaultsError("bad_keys", faults)
    unused = [kid for kid, entry in entries.items() if "secret" in entry and kid not in owned]
    count = len(fleet.nodes)
    lines = [n_("{count} board, and it has its key", "{count} boards, and each has its key", count).format(count=count)]
    lines += [_("key id {kid} of {board} is not in {file}").format(
        kid=kid, board=entries[kid].get("board") or "?", file=inventory) for kid in unused]  # fmt: skip
    said = {"file": str(path), "encrypted": secrets.is_sealed(path), "boards": count, "unused": unused}
    o.answer(said, lines, as_json=as_json, quiet=quiet)


def _of_secrets(entries: secrets.Entries) -> Iterator[str]:
    known = issue.live(entries)
    for kid in known:
        for fault in quality.faults(kid, known):
            yield _("key id {kid}: {what}").format(kid=kid, what=fault.what)


def _mixed_up(board: Board, entries: secrets.Entries, owned: dict[str, list[str]]) -> Iterator[str]:
    """Key ids of a board that are another one's too."""
    for kid in board.kids:
        others = [name for name in owned[kid] if name != board.name]
        made_for = entries.get(kid, {}).get("board")
        if others:
            yield _("key id {kid} is given to {board} and {others}").format(kid=kid, board=board.name, others=", ".join(others))
        elif made_for and made_for != board.name:
            yield _issued_for(kid, board.name, made_for)


def _issued_for(kid: str, board: str, other: str) -> str:
    return _("key id {kid} of {board} was issued for {other}").format(kid=kid, board=board, other=other)


def _missing(board: Board, entries: secrets.Entries) -> Iterator[str]:
    if board.kid and "secret" not in entries.get(board.kid, {}):
        yield _("{board} has no secret for its key id {kid}").format(board=board.name, kid=board.kid)


@click.command(help="Write keys.json for a gateway: what its role may hold of the boards, never their secrets.")
@click.option("--role", type=click.Choice(tuple(MAY_HOLD)), default="reader", help="What the gateway is.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("keys.json"), help="The file to write.")
@click.option("--secrets", "path", type=click.Path(path_type=Path), default=Path("secrets.json"),
              help="Where the secrets are kept.")  # fmt: skip
@o.INVENTORY
@o.PASSPHRASE
@o.NO_INPUT
@o.JSON
def export(role: str, out: Path, path: Path, inventory: Path, as_json: bool) -> None:
    """Only key ids of the inventory are exported, when there is one. Raises HostError: bad_keys, test_key."""
    if not MAY_HOLD[role]:
        o.answer({"role": role, "file": None, "kids": []}, [_("a relay needs no keys: nothing was written")], as_json=as_json)
        return
    fleet = load(inventory) if inventory.exists() else None
    entries = secrets.read(path)
    if not entries:
        raise HostError("bad_keys", _("there are no secrets yet"), str(path), _("make one: jourdain keys new"))
    known = issue.live(entries)
    found: dict[str, dict[str, str]] = {}
    for kid in _exported(entries, fleet):
        quality.judge(kid, known, _("key id {kid}").format(kid=kid))
        derived = derive(bytes.fromhex(known[kid]), bytes.fromhex(kid))
        found[kid] = {name: getattr(derived, name).hex() for name in MAY_HOLD[role]}
    document = json.dumps({"role": role, "keys": found}, ensure_ascii=False, indent=1) + "\n"
    with files.locked(out, "bad_keys"):
        files.replace(out, document.encode(), "bad_keys")
    lines = [_("{count} key contexts for a {role}, in {file}").format(count=len(found), role=role, file=out)]
    o.answer({"role": role, "file": str(out), "kids": list(found)}, lines, as_json=as_json)


def _exported(entries: secrets.Entries, fleet: Inventory | None) -> Iterable[str]:
    """The key ids to export. Raises HostError (bad_keys): one that was issued for another board than it has in boards.yaml."""
    if fleet is None:
        return list(entries)
    owned = issue.owners(fleet)
    for kid, entry in entries.items():
        if kid in owned and entry.get("board", "") not in ("", *owned[kid]):
            what = _issued_for(kid, owned[kid][0], entry["board"])
            hint = _("a key id belongs to one board for ever: jourdain keys rotate {board}").format(board=owned[kid][0])
            raise HostError("bad_keys", what, fleet.where(owned[kid][0]), hint)
    for board in fleet.nodes:
        for what in _missing(board, entries):
            click.echo(_("left out: {what}").format(what=what), err=True)
    return [kid for kid in entries if kid in owned]

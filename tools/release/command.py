"""`jourdain release key|build|check`: the key, the releases that it signs, and what is in one."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from firmware.node import RELEASE, VERSION
from gateway import bundle
from gateway.errors import HostError
from gateway.inventory import Board, Inventory, load
from tools import completion
from tools.fleet import find_board
from tools.i18n import _, n_
from tools.release import keys, make

PASSPHRASE = "JOURDAIN_PASSPHRASE"
REPORT_S = 900

_key_option = click.option(
    "--key", "key_path", type=click.Path(path_type=Path), default=Path("release.key"), help="The release key."
)
_no_input = click.option("--no-input", is_flag=True, help="Never ask; without JOURDAIN_PASSPHRASE that is an error.")
_json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


@click.group(help="Make the release key and releases: what boards install without a visit.")
def release() -> None:
    """The group."""


@release.command(help="Make a release key (RSA-3072): FILE under a passphrase, and FILE.pub, which boards are told to trust.")
@click.option("--out", "path", type=click.Path(path_type=Path), default=Path("release.key"), help="Where the key is kept.")
@_no_input
@_json_option
def key(path: Path, no_input: bool, as_json: bool) -> None:
    """Never overwrites. The passphrase comes from the terminal, or from JOURDAIN_PASSPHRASE."""
    made = keys.make(path, _passphrase(no_input, confirm=True))
    said = {"file": str(path), "public": str(keys.public_path(path)), "fingerprint": keys.fingerprint(made.public_key())}
    if as_json:
        click.echo(json.dumps(said, ensure_ascii=False))
        return
    click.echo(_("release key {fingerprint} made: {file}, and for the boards {public}").format(**said))
    click.echo(_("Keep {file} and its passphrase off line, with a copy: boards accept nothing without it.").format(**said))


@release.command(help="Build and sign the releases of boards, one bundle for each kind; without names, of the whole fleet.")
@click.argument("boards", nargs=-1, shell_complete=completion.boards)
@click.option("--type", "types", multiple=True, help="Only boards of this type (pico, esp32, ...); can be repeated.")
@click.option("--inventory", type=click.Path(path_type=Path), default=Path("boards.yaml"), help="The fleet.")
@_key_option
@click.option("--out", type=click.Path(path_type=Path), default=Path("releases"), help="A file.zip for one kind, or a folder.")
@_no_input
@_json_option
def build(  # noqa: PLR0917 - one argument an option
    boards: tuple[str, ...], types: tuple[str, ...], inventory: Path, key_path: Path, out: Path, no_input: bool, as_json: bool
) -> None:
    """Raises HostError: unknown_board, bad_keys, compile, missing_tool, bad_release, disk_error."""
    inv = load(inventory)
    kinds = make.kinds(inv, _chosen(inv, boards, types))
    as_file = out.suffix == ".zip"
    if as_file and len(kinds) > 1:
        what = _("these boards are of {count} kinds, and a bundle is for one").format(count=len(kinds))
        raise HostError("bad_release", what, str(out), _("name a folder"))
    private = keys.load(key_path, _passphrase(no_input))
    said = []
    for kind, board in kinds.items():
        files = make.slot_files(board)
        text = bundle.compose(kind, RELEASE, VERSION, files)
        path = out if as_file else out / make.name_of(bundle.parse(text))
        _write(path, text, keys.sign(private, text), files)
        said.append({"file": str(path), "kind": kind, "files": len(files), "bytes": sum(map(len, files.values()))})
    if as_json:
        click.echo(json.dumps({"release": RELEASE, "version": VERSION, "bundles": said}, ensure_ascii=False))
        return
    for one in said:
        click.echo(_("{file}: {kind}, {files} files, {bytes} bytes").format(**one))
    click.echo(n_("release {release} ({version}), {count} bundle, signed by {key}",
                  "release {release} ({version}), {count} bundles, signed by {key}", len(said)).format(
        release=RELEASE, version=VERSION, count=len(said), key=keys.fingerprint(private.public_key())))  # fmt: skip


def _chosen(inv: Inventory, names: tuple[str, ...], types: tuple[str, ...]) -> list[Board]:
    boards = [find_board(inv, name) for name in names] or list(inv.boards.values())
    if types:
        boards = [board for board in boards if board.type in types]
    if not boards:
        what = _("no board of the fleet is of that type")
        raise HostError("unknown_board", what, str(inv.path), ", ".join(sorted({b.type for b in inv.boards.values()})))
    return boards


def _write(path: Path, manifest: bytes, signature: bytes, files: dict[str, bytes]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        bundle.write(path, manifest, signature, files)
    except OSError as error:
        what = _("cannot write: {error}").format(error=error)
        raise HostError("disk_error", what, str(path), _("make room, or name another place")) from None


@release.command(help="Say what a bundle holds, whether a trusted key signed it, and how long it takes by radio.")
@click.argument("path", metavar="BUNDLE", type=click.Path(path_type=Path))
@click.option("--trust", type=click.Path(path_type=Path), multiple=True, default=(Path("release.pub"),),
              help="A file of trusted public keys; can be repeated.")  # fmt: skip
@click.option("--since", type=click.Path(path_type=Path), help="The bundle that the boards run now.")
@click.option("--report-s", default=REPORT_S, help="How often a board reports, in seconds.")
@_json_option
def check(path: Path, trust: tuple[Path, ...], since: Path | None, report_s: int, as_json: bool) -> None:
    """Raises HostError: bad_release (damaged, or signed by none of the keys), bad_keys."""
    found = bundle.read(path)
    by = keys.signer(keys.trusted(trust), *found.parts[:2])
    if by is None:
        what = _("none of the trusted keys made this signature")
        raise HostError("bad_release", what, str(path), _("do not install it, or name the right key: --trust"))
    same = [entry.digest for entry in bundle.read(since).manifest.entries] if since else []
    said: dict[str, Any] = {
        "kind": found.manifest.kind, "release": found.manifest.release, "version": found.manifest.version,
        "mpy": found.manifest.mpy, "files": len(found.manifest.entries), "bytes": sum(e.size for e in found.manifest.entries),
        "changed": sum(entry.size for entry in found.manifest.entries if entry.digest not in same),
        "signed_by": keys.fingerprint(by),
        "by_radio": [_by_radio(found, block, report_s, same) for block in (make.BLOCK, make.BLOCK_LOW_RATE)],
    }  # fmt: skip
    if as_json:
        click.echo(json.dumps(said, ensure_ascii=False))
        return
    click.echo(_("{kind}: release {release} ({version}), {files} files, {bytes} bytes, signed by {signed_by}").format(**said))
    if since:
        click.echo(_("changed since {since}: {changed} bytes").format(since=since, **said))
    by_radio = _("by radio in blocks of {block} bytes: {uplinks} uplinks, {days} days with a report every {report_s} s")
    for one in said["by_radio"]:
        click.echo(by_radio.format(report_s=report_s, **one))


def _by_radio(found: bundle.Bundle, block: int, report_s: int, same: list[bytes]) -> dict[str, Any]:
    count = make.uplinks(found, block, same)
    return {"block": block, "uplinks": count, "days": round(count * report_s / 86400, 1)}


def _passphrase(no_input: bool, *, confirm: bool = False) -> str:
    """From the environment, else from the terminal."""
    given = os.environ.get(PASSPHRASE)
    if given is not None:
        return given
    if no_input or not sys.stdin.isatty():
        raise click.UsageError(_("the passphrase is asked for on a terminal, or taken from {name}").format(name=PASSPHRASE))
    said: str = click.prompt(_("Passphrase"), hide_input=True, confirmation_prompt=confirm, err=True)
    return said

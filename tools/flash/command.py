"""`jourdain flash BOARD`: build, identify, compare, copy, reset, hello."""

import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from gateway.errors import HostError
from gateway.inventory import Board, Inventory, load
from tools.flash import connect, identify, ports, provision, write
from tools.flash.config import board_files, trusted_keys
from tools.fleet import find_board
from tools.i18n import _, n_
from tools.keys import secrets as keys

HELLO_S = 20.0


@click.command(help="Put firmware, configuration and key onto a board, after making sure that it is the right one.")
@click.argument("board", shell_complete=lambda ctx, _param, start: complete(ctx, start))
@click.option("--port", envvar="JOURDAIN_PORT", help="Serial port; without it the only board on USB.")
@click.option("--inventory", type=click.Path(path_type=Path), default=Path("boards.yaml"), help="The fleet.")
@click.option("--secrets", type=click.Path(path_type=Path), default=Path("secrets.json"), help="Made by `jourdain keys new`.")
@click.option("--trust", type=click.Path(path_type=Path), multiple=True,
              help="A file of release keys that the board shall trust; else it keeps those it has.")  # fmt: skip
@click.option("-n", "--dry-run", is_flag=True, help="Identify and compare; write nothing.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before a board gets another name.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option("-q", "--quiet", is_flag=True, help="Errors only.")
def flash(  # noqa: PLR0917 - one argument an option
    board: str,
    port: str | None,
    inventory: Path,
    secrets: Path,
    trust: tuple[Path, ...],
    dry_run: bool,
    yes: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Flash one board; every fault is a HostError with its exit code."""
    steps = Steps(quiet)
    inv = load(inventory)
    entry = find_board(inv, board)
    files = board_files(inv, entry, _secrets(secrets, entry) if entry.kid else {})
    if trust:
        files["trust"] = trusted_keys(trust)
    steps.done(_("built: {count} files, {size} bytes").format(count=len(files), size=sum(map(len, files.values()))))
    connection = connect.Connection(ports.resolve(port))
    try:
        said = _flash(connection, inv, entry, files, secrets, (steps, dry_run, yes))
    except BaseException:
        # Whatever went wrong, the board goes on with what it has.
        with contextlib.suppress(HostError):
            connection.restart()
        raise
    finally:
        connection.close()
    if as_json:
        click.echo(json.dumps({"board": board, **said}, ensure_ascii=False))
    elif not quiet:
        click.echo(_summary(board, said))


class Steps:
    """Progress on stderr: a line a finished step, and on a terminal the file that is being copied."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.live = sys.stderr.isatty() and not quiet
        self.began = time.monotonic()

    def done(self, text: str) -> None:
        """A step is finished."""
        if not self.quiet:
            click.echo(("\r\033[K" if self.live else "") + text, err=True)

    def doing(self, text: str) -> None:
        """A small step of a long one begins; shown once a second has passed."""
        if self.live and time.monotonic() - self.began > 1:
            click.echo("\r\033[K" + text[:78], err=True, nl=False)


def _secrets(path: Path, entry: Board) -> dict[str, str]:
    """{key id: secret}. Raises HostError (bad_keys) when the secret was made for another board."""
    issued = keys.read(path)
    made_for = issued.get(entry.kid or "", {}).get("board")
    if made_for and made_for != entry.name:
        what = _("this key id was issued for {other}").format(other=made_for)
        where = _("{path}, key id {kid}").format(path=path, kid=entry.kid)
        raise HostError("bad_keys", what, where, _("a key id is never given to another board: make a new one"))
    return {kid: made["secret"] for kid, made in issued.items()}


def complete(ctx: click.Context, start: str) -> list[str]:
    """Names of boards for the shell's completion; nothing when there is no inventory."""
    try:
        return [name for name in load(ctx.params.get("inventory") or "boards.yaml").boards if name.startswith(start)]
    except HostError:
        return []


def _flash(  # noqa: PLR0917
    connection: connect.Connection, inv: Inventory, entry: Board, files: dict[str, bytes], secrets: Path,
    how: tuple[Steps, bool, bool],
) -> dict[str, Any]:  # fmt: skip
    steps, dry_run, yes = how
    found = identify.ask(connection)
    steps.done(_("found: {machine}, MicroPython {version}, {uid}").format(
        machine=found.machine, version=found.micropython, uid=found.uid))  # fmt: skip
    identify.compare(inv, entry, found)
    fresh = provision.wanted(entry, found, keys.read(secrets))
    todo = write.plan(files, write.hashes(connection, files))
    said: dict[str, Any] = {
        "port": connection.port,
        "uid": found.uid,
        "machine": found.machine,
        "micropython": found.micropython,
        "dry_run": dry_run,
        "files": {"written": todo.write, "same": len(todo.same), "removed": todo.remove},
        "hello": None,
        "log": [],
    }
    if not dry_run:
        _room(connection, files, todo, found)
        _confirm(entry, found, yes)
        provision.make(connection, entry, found, secrets, fresh=fresh)
        if found.old:
            steps.done(_("its configuration was one file, as the first boards had it: it gets two generations"))
        if found.settings:
            steps.done(_("the board keeps what commands and calibration changed on it"))
        write.copy(connection, files, todo, steps.doing)
        connection.run(write.IN_FORCE)
        steps.done(n_("copied: {count} file, {same} were right already", "copied: {count} files, {same} were right already",
                      len(todo.write)).format(count=len(todo.write), same=len(todo.same)))  # fmt: skip
    connection.restart()
    if not dry_run:
        hello = connection.hello(HELLO_S)
        _judge(connection.port, hello, found, steps)
        said["hello"] = {"firmware": hello.firmware, "uid": hello.uid, "caps": hello.caps}
        said["log"] = hello.log
    return said


def _judge(port: str, hello: connect.Hello, found: identify.Found, steps: Steps) -> None:
    """Is the board in service? A sensor that is not plugged in yet is a note, a board that cannot work is a fault."""
    if hello.uid != found.uid:
        what = _("the hello names the chip {uid}").format(uid=hello.uid)
        raise HostError("mismatch", what, port, _("run the command again"))
    for line in hello.log:
        if line.startswith("error "):
            said = _("the board says: {error}").format(error=line)
            if line.split()[1] in connect.FATAL:
                raise HostError("device_fault", said, port, _("look at boards.yaml and flash again"))
            steps.done(said)


def _room(connection: connect.Connection, files: dict[str, bytes], todo: write.Plan, found: identify.Found) -> None:
    """New files lie beside the old ones for a while: is there room? A file costs at least a block of 4 kB."""
    need = sum(-(-len(files[path]) // 4096) * 4096 for path in todo.write)
    if need > found.free:
        what = _("the board has {free} bytes free, {need} are needed").format(free=found.free, need=need)
        raise HostError("transfer", what, connection.port, _("remove files of yours from the board"))


def _confirm(entry: Board, found: identify.Found, yes: bool) -> None:
    """A board that is something else already is not overwritten without asking."""
    if yes or found.board == entry.name or not (found.board or found.main):
        return
    other = found.board or _("a program of its own (main.py)")
    question = _("The board holds {other}. Make it {board}?").format(other=other, board=entry.name)
    if not sys.stdin.isatty():
        raise click.UsageError(question + " " + _("Say --yes."))
    if not click.confirm(question, err=True):
        raise click.Abort


def _summary(board: str, said: dict[str, Any]) -> str:
    if said["dry_run"]:
        todo = said["files"]
        text = _("{board}: {written} files to write, {same} right already, {removed} to remove; nothing was written")
        return text.format(board=board, written=len(todo["written"]), same=todo["same"], removed=len(todo["removed"]))
    hello = said["hello"]
    text = _("{board} is in service: firmware {firmware}, {caps}, {uid}")
    return text.format(board=board, firmware=hello["firmware"], caps=" ".join(hello["caps"]), uid=hello["uid"])

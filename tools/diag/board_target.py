"""Which running board is meant, how it is reached, and how an op becomes a subcommand of `jourdain board`."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import click

from firmware.wire import hdlc
from gateway import record
from gateway.errors import HostError
from gateway.inventory import Board, load
from tools import completion
from tools.diag.board_view import View
from tools.diag.service import Identity, Port, Service, key_of
from tools.flash import ports
from tools.fleet import find_board
from tools.i18n import LANGUAGES, _
from tools.keys import secrets as keys
from tools.keys.options import NO_INPUT
from tools.label.book import who
from tools.label.options import RECORD, record_of

PROBE_S = 1.5  # how long a port is asked which board hangs there


class Target(NamedTuple):
    """Which board is meant and how it is reached. `entry`: its row in boards.yaml, None where only a port was named."""

    port: str
    entry: Board | None
    secrets: Path


@click.group(help="Ask a running board, and set it up, over its cable. TARGET is its name in boards.yaml, or a port.")
@click.argument("target", shell_complete=completion.targets)
@click.pass_context
def board(ctx: click.Context, target: str) -> None:
    """The group."""
    ctx.obj = target


def _speak(_ctx: click.Context, _param: click.Parameter, language: str | None) -> None:
    if language:
        os.environ["LANGUAGE"] = language


_OPTIONS = (
    click.option("--port", envvar="JOURDAIN_PORT", shell_complete=completion.ports,
                 help="Serial port; without it every port on USB is asked."),
    click.option("--inventory", type=click.Path(path_type=Path), default=Path("boards.yaml"), help="The fleet."),
    click.option("--secrets", type=click.Path(path_type=Path), default=Path("secrets.json"), help="Made by `jourdain keys new`."),
    NO_INPUT,
    RECORD,
    click.option("--json", "as_json", is_flag=True, help="JSON on stdout, and nothing else."),
    click.option("--lang", type=click.Choice(("en", *LANGUAGES)), expose_value=False, is_eager=True, callback=_speak,
                 help="The language, whatever the system's is."),
)  # fmt: skip


Run = Callable[..., Mapping[str, Any] | None]


def command(name: str, text: str) -> Callable[[Run], click.Command]:
    """An op's subcommand: its function gets (service, show, **its own options), and returns settings that it changed or None."""

    def made(run: Run) -> click.Command:
        @click.pass_context
        def callback(ctx: click.Context, /, *, as_json: bool, **own: Any) -> None:
            where, kept = [own.pop(name) for name in ("port", "inventory", "secrets")], own.pop("kept")
            target = find(ctx.obj, *where)
            with talking(target) as service:
                settings = run(service, View(as_json), **own)
            if settings is not None and target.entry is not None:
                _note(record_of(kept, where[1]), target.entry, target.port, settings)

        callback.__doc__ = run.__doc__
        found = click.command(name, help=text)(callback)
        found.params += getattr(run, "__click_params__", [])[::-1]
        for option in _OPTIONS:
            option(found)
        board.add_command(found)
        return found

    return made


def _note(path: Path, entry: Board, port: str, settings: Mapping[str, Any]) -> None:
    """Keep in the record what the board has from now on, with date and name. Raises HostError (bad_record, disk_full ...)."""
    said = {"at": int(time.time()), "who": who(), "board": entry.name, "result": "applied", "uid": entry.uid, "kid": entry.kid,
            "port": port, "calibration": settings}  # fmt: skip
    record.append(path, said)


def find(target: str, port: str | None, inventory: Path, secrets: Path) -> Target:
    """Where the board is. HostError: unknown_board, no_device, ambiguous."""
    if ports.is_port(target):
        return Target(ports.resolve(port or target), None, secrets)
    entry = find_board(load(inventory), target)
    there = [] if port and port != "auto" else [each.device for each in ports.candidates()]
    if len(there) < 2:
        return Target(ports.resolve(port), entry, secrets)
    # What a board says of itself over USB is only where to look: it is asked who it is in any case.
    says_so = ports.for_chip(entry.uid or "")
    if says_so:
        return Target(says_so, entry, secrets)
    found: dict[str, str] = {name: _name_at(name) for name in there}
    ours = [name for name, who in found.items() if who in (entry.name, entry.uid)]
    if len(ours) == 1:
        return Target(ours[0], entry, secrets)
    where = ", ".join(f"{name}: {who or '?'}" for name, who in found.items())
    if ours:
        raise HostError("ambiguous", _("several boards say that they are {board}").format(board=entry.name), where,
                        _("name one: --port PORT"))  # fmt: skip
    what = _("{board} is not among the boards that are plugged in").format(board=entry.name)
    raise HostError("no_device", what, where, _("plug it in, or name its port: --port PORT"))


def _name_at(port: str) -> str:
    """The name of the board at a port, the uid of one without a name, empty where nobody answers."""
    try:
        line = Port(port)
    except HostError:
        return ""
    try:
        identity = Service(line, lambda _identity: b"").greet(PROBE_S, 1)
        return identity.board or identity.uid
    except HostError:
        return ""
    finally:
        line.close()


@contextlib.contextmanager
def talking(target: Target) -> Iterator[Service]:
    """A talk with the target, which was made sure of. HostError: mismatch, bad_keys, timeout, no_device, port_busy."""
    if target.entry is not None and target.entry.kid:
        keys.read(target.secrets)  # whoever is asked for the passphrase takes longer than a board keeps a talk
    line = Port(target.port)
    try:
        service = Service(line, lambda identity: _key(target, identity), _overheard)
        service.greet()
        yield service
    finally:
        line.close()


def _overheard(proto: int, body: bytes) -> None:
    """What the board says beside our answers is its log: why it refuses goes to stderr, all of it on request."""
    if proto in (hdlc.PROTO_LOG, hdlc.PROTO_LOG_TEXT):
        text = body.decode("utf-8", "replace").strip()
        if text.startswith("order refused") or (text and os.environ.get("JOURDAIN_DEBUG")):
            click.echo(_("the board says: {error}").format(error=text), err=True)


def _key(target: Target, identity: Identity) -> bytes:
    """The service key of the board that answered, which must be the one that is meant."""
    entry = target.entry
    # A board whose configuration is damaged has no name, but a uid.
    if entry is not None and ((identity.board or entry.name) != entry.name or (entry.uid and identity.uid != entry.uid)):
        what = _("the board here is {found} ({uid}), not {board}").format(
            found=identity.board, uid=identity.uid, board=entry.name
        )
        raise HostError("mismatch", what, target.port, _("plug in the right board, or name its port: --port PORT"))
    if not identity.kid:
        return b""
    kid = identity.kid.hex()
    issued = keys.read(target.secrets).get(kid)
    if issued is None:
        what = _("there is no secret for key id {kid} of {board}").format(kid=kid, board=identity.board)
        hint = _("use the secrets.json of the workshop that flashed it: --secrets FILE")
        raise HostError("bad_keys", what, str(target.secrets), hint)
    return key_of(bytes.fromhex(issued["secret"]), identity.kid)

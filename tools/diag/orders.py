"""`jourdain command`: ask a board for something. The daemon answers the board's next question with it, and hears how it ended."""

from __future__ import annotations

import datetime
import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from firmware.node.manifest import kind_of
from firmware.wire import cbor
from firmware.wire.host.errors import DEVICE_ERRORS
from firmware.wire.quantities import INTERVAL, ORDER
from gateway import bundle, keys
from gateway import config as configuration
from gateway import inventory as fleet
from gateway.commands import DONE, REFUSED, Command, Queue
from gateway.errors import HostError, did_you_mean
from gateway.inventory import Board, Inventory
from gateway.releases import Releases
from tools import completion
from tools.flash.config import board_config
from tools.fleet import find_board
from tools.i18n import _

REBOOT, CALIBRATE, SET, PLAN, UPDATE = 1, 2, 3, 4, 5
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LOOK_S = 0.2


def _seconds(text: str) -> int:
    """`90`, `90s`, `15m`, `12h` or `3d` in seconds."""
    found = re.fullmatch(r"(\d{1,9})([smhd]?)", text)
    if found is None:
        raise click.UsageError(_("{text!r} is no time: 90s, 15m, 12h, 3d").format(text=text))
    return int(found[1]) * _UNITS[found[2] or "s"]


@click.command(
    help="Ask BOARD for something: time · interval SECONDS · set NAME=VALUE ... · calibrate (the bin is empty, the bay is free)"
    " · reboot · plan NAME (of boards.yaml) · update RELEASE.zip (or: none) · list · cancel NUMBER."
)
@click.argument("board", shell_complete=completion.boards)
@click.argument("verb", type=click.Choice(["time", "interval", "set", "calibrate", "reboot", "plan", "update", "list", "cancel"]))
@click.argument("words", nargs=-1)
@click.option("--config", type=click.Path(path_type=Path), default=Path("gateway.toml"), help="The daemon's configuration.")
@click.option("--expires", default="3d", help="Give up after this time: 90s, 15m, 12h, 3d.")
@click.option("--wait", is_flag=True, help="Show what becomes of it, until it is over.")
@click.option("--anyway", is_flag=True, help="Even if this gateway has never heard the board.")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be asked, and whether it can be; ask nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(  # noqa: PLR0917 - the options of a command line
    board: str, verb: str, words: tuple[str, ...], config: Path, expires: str, wait: bool, anyway: bool, dry_run: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Raises HostError: unknown_board, no_controller, never_heard, no_store, unknown_command, device_fault, timeout."""
    settings = configuration.load(config)
    inventory = fleet.load(settings.path(settings.gateway.inventory))
    entry = _entry(inventory, board)
    queue = None
    try:
        if verb in ("list", "cancel"):
            queue = Queue(settings.path(settings.gateway.store))
            if dry_run:
                raise click.UsageError(_("`{verb}` has no --dry-run").format(verb=verb))
            queue.expire()
            found = queue.newest(board) if verb == "list" else [_cancel(queue, board, words)]
            _show(found, as_json, many=verb == "list")
            return
        what, payload = _content(settings, inventory, entry, verb, words)
        lasts_s = _seconds(expires)
        _may(settings, inventory, entry)
        queue = Queue(settings.path(settings.gateway.store))
        _answered(queue, inventory, entry, anyway)
        if dry_run:
            _would(board, what, cbor.dumps(payload), lasts_s, as_json)
            return
        asked = queue.add(board, what, cbor.dumps(payload), lasts_s)
        if not wait:
            _show([asked], as_json)
            return
        ended = _follow(queue, asked)
        _show([ended], as_json)
        _fail(ended)
    finally:
        if queue is not None:
            queue.close()


# Who may be asked, and by whom


def _entry(inventory: Inventory, name: str) -> Board:
    found = find_board(inventory, name)
    if found.role == "bridge":
        what = _("a radio bridge takes no commands: it passes on what it cannot read")
        raise HostError("unknown_board", what, inventory.where(name), _("name a board that measures"))
    return found


def _may(settings: configuration.Config, inventory: Inventory, board: Board) -> None:
    """Does this gateway answer boards, and this one?"""
    name = settings.gateway.name
    gateway = inventory.gateways.get(name)
    if gateway is None or gateway.role != "controller":
        what = _("the gateway {name} answers no boards").format(name=name)
        hint = _("in boards.yaml give it role: controller; for its keys: jourdain keys export --role controller")
        raise HostError("no_controller", what, str(inventory.path), hint)
    if board.site != gateway.site:
        what = _("{board} is of another site than {name}").format(board=board.name, name=name)
        raise HostError("no_controller", what, inventory.where(board.name), _("ask the gateway of that site"))
    kids = [kid for one in inventory.boards.values() if one.site == board.site for kid in one.kids]
    path = settings.path(settings.gateway.keys)
    held = keys.load(path, kids, gateway.role)
    mine = held.get(bytes.fromhex(board.kid or ""))
    if mine is None or not mine.k_dn:
        what = _("this gateway holds no key to answer {board} with").format(board=board.name)
        raise HostError("no_controller", what, str(path), _("make its keys: jourdain keys export --role controller"))


def _answered(queue: Queue, inventory: Inventory, board: Board, anyway: bool) -> None:
    """Can the command ever reach the board?"""
    kids = [bytes.fromhex(kid) for kid in board.kids]
    if queue.unsafe(kids[-1]):
        what = _("key id {kid} is not answered any more: the store was restored from a backup").format(kid=board.kid)
        raise HostError("restored", what, str(queue.path), _("give {board} a new key and flash it").format(board=board.name))
    if not anyway and not queue.heard(kids):
        what = _("this gateway has never heard {board}").format(board=board.name)
        raise HostError("never_heard", what, str(queue.path), _("is it on? --anyway lets the command wait for it"))


# What is asked


def _content(
    settings: configuration.Config, inventory: Inventory, board: Board, verb: str, words: Sequence[str]
) -> tuple[str, dict[int, Any]]:
    """As people read it, and as the answer carries it."""
    takes = {"interval": 1, "plan": 1, "update": 1}.get(verb, 0)
    if verb != "set" and len(words) != takes:
        raise click.UsageError(_("`{verb}` takes {n} more words").format(verb=verb, n=takes))
    make: dict[str, Callable[[], dict[int, Any]]] = {
        "time": dict,
        "interval": lambda: {INTERVAL: _interval(words[0])},
        "set": lambda: {ORDER: [SET, *_settings(inventory, board, words)]},
        "calibrate": lambda: {ORDER: [CALIBRATE]},
        "reboot": lambda: {ORDER: [REBOOT]},
        "plan": lambda: {ORDER: [PLAN, *_plan(inventory, board, words[0])]},
        "update": lambda: {ORDER: _release(settings, inventory, board, words[0])},
    }
    return " ".join((verb, *words)), make[verb]()


def _release(settings: configuration.Config, inventory: Inventory, board: Board, path: str) -> list[int | bytes]:
    """Keep a release for the daemon, and name it to the board. Raises HostError bad_release, disk_error."""
    if board.radio is None:
        raise click.UsageError(_("{board} has no radio: jourdain board {board} update").format(board=board.name))
    if path == "none":
        return [UPDATE, b""]
    kind, other = kind_of(board_config(inventory, board)), bundle.read(Path(path)).manifest.kind
    if other != kind:
        what = _("this release is for {other}, {board} is {kind}").format(other=other, board=board.name, kind=kind)
        raise HostError("bad_release", what, path, _("build one: jourdain release build {board}").format(board=board.name))
    return [UPDATE, Releases(settings.releases).add(Path(path)).digest]


def _interval(text: str) -> int:
    seconds = _seconds(text)
    if not 10 <= seconds <= 86_400:
        raise click.UsageError(_("an interval is 10 s to 1 day"))
    return seconds


def _settings(inventory: Inventory, board: Board, words: Sequence[str]) -> list[str | int]:
    """[name, value, ...], judged by the service's preset, as the board will do."""
    service = inventory.presets.services[board.service or ""]
    found: dict[str, int] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if name not in service.settings:
            hint = did_you_mean(name, service.settings)
            said = _("{service} has no setting {name!r}; {hint}")
            raise click.UsageError(said.format(service=board.service, name=name, hint=hint))
        limits = service.settings[name]
        if not equals or not re.fullmatch(r"-?\d{1,10}", text) or not limits.lo <= int(text) <= limits.hi:
            raise click.UsageError(_("{name} must be {lo} to {hi}").format(name=name, lo=limits.lo, hi=limits.hi))
        found[name] = int(text)
    if not found:
        raise click.UsageError(_("name what to set: NAME=VALUE"))
    return [part for pair in found.items() for part in pair]


def _plan(inventory: Inventory, board: Board, name: str) -> list[int]:
    plan = inventory.plans.get(name)
    if plan is None:
        hint = did_you_mean(name, inventory.plans)
        raise click.UsageError(_("boards.yaml has no radio plan {name!r}; {hint}").format(name=name, hint=hint))
    if board.radio is None:
        raise click.UsageError(_("{board} has no radio").format(board=board.name))
    return [plan.freq_hz, plan.sf, plan.bw_hz, plan.cr, plan.power_dbm]


def _cancel(queue: Queue, board: str, words: Sequence[str]) -> Command:
    if len(words) != 1 or not words[0].isdigit():
        raise click.UsageError(_("`cancel` takes the number of a command"))
    if queue.get(int(words[0])).board != board:
        what = _("command {n} is not for {board}").format(n=words[0], board=board)
        raise HostError("unknown_command", what, str(queue.path), _("see `jourdain command {board} list`").format(board=board))
    return queue.cancel(int(words[0]))


# What became of it


def _follow(queue: Queue, asked: Command) -> Command:
    """Say each change on stderr until the command is over."""
    said = None
    while True:
        queue.expire()
        now = queue.get(asked.id)
        if (now.state, now.note, now.sent) != said:
            said = (now.state, now.note, now.sent)
            sys.stderr.write(_line(now) + "\n")
            sys.stderr.flush()
        if not now.open:
            return now
        time.sleep(_LOOK_S)


def _fail(ended: Command) -> None:
    if ended.state == REFUSED:
        what = _("{board} refuses: {what}").format(board=ended.board, what=ended.note)
        raise HostError("device_fault", what, _("command {n}").format(n=ended.id), _("correct it and ask again"))
    if ended.state != DONE:
        what = _("{board}: {state}").format(board=ended.board, state=_state(ended))
        raise HostError("timeout", what, _("command {n}").format(n=ended.id), _("is the board on? ask again"))


def _state(one: Command) -> str:
    """The state in the user's language."""
    return {
        "waiting": _("waits until the board asks, once a day at the latest"),
        "sent": _("sent, no result yet"),
        "done": _("done"),
        "refused": _("refused"),
        "expired": _("expired"),
        "cancelled": _("cancelled"),
    }[one.state]


def _date(unix_ms: int) -> str:
    return datetime.datetime.fromtimestamp(unix_ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _line(one: Command) -> str:
    note = f" ({one.note})" if one.note else ""
    return f"{one.id:>6}  {_date(one.moved_ms)}  {one.board}  {one.what}: {_state(one)}{note}"


def _document(one: Command) -> dict[str, Any]:
    error = DEVICE_ERRORS.get(one.result, "") if one.result else ""
    return {
        "id": one.id, "board": one.board, "what": one.what, "state": one.state, "asked": one.asked_ms / 1000,
        "until": one.until_ms / 1000, "sent": one.sent, "moved": one.moved_ms / 1000, "result": one.result, "error": error,
        "note": one.note,
    }  # fmt: skip


def _would(board: str, what: str, payload: bytes, lasts_s: int, as_json: bool) -> None:
    if as_json:
        said = {"dry_run": True, "board": board, "what": what, "payload": payload.hex(), "expires_s": lasts_s}
        click.echo(json.dumps(said, ensure_ascii=False))
    else:
        click.echo(_("{board} would be asked: {what}; nothing was queued").format(board=board, what=what))


def _show(found: Sequence[Command], as_json: bool, many: bool = False) -> None:
    if as_json:
        documents = [_document(one) for one in found]
        click.echo(json.dumps(documents if many else documents[0], ensure_ascii=False))
    else:
        for one in found:
            click.echo(_line(one))

"""`jourdain gateway alarms`: what a person has to know of, and the word that he has seen to it."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import click

from gateway import alarms
from gateway import config as configuration
from gateway import inventory as fleet
from gateway.alarms import RULES, Row
from gateway.daemon import check
from gateway.errors import HostError, did_you_mean

_SCHEMA = 3  # the first version of the store that has alarms
_BUSY_S = 10


@contextmanager
def _store(path: Path) -> Iterator[sqlite3.Connection]:
    """The store of a daemon that may be running. Raises HostError no_store, disk_error."""
    hint = "start the daemon once: jourdain gateway run"
    if not path.is_file():
        raise HostError("no_store", "there is no store yet", str(path), hint)
    db = None
    try:
        db = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=rw", uri=True, isolation_level=None, timeout=_BUSY_S)
        db.execute("PRAGMA synchronous = FULL")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version < _SCHEMA:
            raise HostError("no_store", f"the store is of version {version}, which has no alarms", str(path), hint)
        yield db
    except sqlite3.Error as error:
        hint = "are you the daemon's user?"
        raise HostError("disk_error", f"the store cannot be used ({error})", str(path), hint) from error
    finally:
        if db is not None:
            db.close()


def show(config: Path, as_json: bool, clear: str) -> None:
    """Clear `clear` (NAME or NAME/KEY-ID, or nothing) and say what is raised. Raises HostError, click.UsageError."""
    settings = configuration.load(config)
    inventory = fleet.load(settings.path(settings.gateway.inventory))
    check(settings, inventory)
    site = inventory.gateways[settings.gateway.name].site
    boards = {kid: board.name for board in inventory.boards.values() if board.site == site for kid in board.kids}
    name, kid = _which(clear)
    with _store(settings.path(settings.gateway.store)) as db:
        cleared = alarms.clear(db, name, kid) if name else None
        found = alarms.read(db.execute)
    if as_json:
        said = [_said(row, boards) for row in found if row.state != alarms.COUNTING]
        click.echo(json.dumps({"alarms": said} if cleared is None else {"alarms": said, "cleared": cleared}))
        return
    if cleared is not None:
        click.echo(f"{cleared} cleared")
    raised = [row for row in found if row.state == alarms.RAISED]
    for row in raised:
        click.echo(_line(row, boards))
    if not raised:
        click.echo("no alarms")


def _which(text: str) -> tuple[str, bytes | None]:
    name, _, kid = text.partition("/")
    if name and name not in RULES:
        raise click.UsageError(f"no alarm has the name {name!r} {did_you_mean(name, RULES)}".rstrip())
    try:
        return name, bytes.fromhex(kid) if kid else None
    except ValueError:
        raise click.UsageError(f"a key id has 4 or 8 hexadecimal digits, not {kid!r}") from None


def _said(row: Row, boards: dict[str, str]) -> dict[str, object]:
    kid = row.kid.hex()
    return {
        "name": row.name, "kid": kid, "board": boards.get(kid, ""), "since": row.since_ms / 1000, "last": row.last_ms / 1000,
        "n": row.n, "state": row.state,
    }  # fmt: skip


def _line(row: Row, boards: dict[str, str]) -> str:
    kid = row.kid.hex()
    who = f" {boards.get(kid, '?')} (key id {kid})" if kid else ""
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(row.since_ms / 1000)) if row.since_ms else "before the clock was set"
    times = f", {row.n} times" if row.n > 1 else ""
    text = RULES[row.name].text if row.name in RULES else "of a newer daemon"
    return f"{row.name}{who}, since {when}{times}: {text}"

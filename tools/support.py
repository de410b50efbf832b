"""`jourdain support`: what somebody who helps needs to see, in one file and without secrets."""

import json
import os
import platform
import re
import shutil
import sqlite3
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import click

from gateway.errors import HostError
from tools import completion
from tools.i18n import _
from tools.redact import GONE, redact, uncommented

RECORD_LINES, LOG_LINES = 100, 400
UNIT = "jourdain-gateway"
# Of the environment these alone are told, and of the second row only that they are set.
OPEN = ("JOURDAIN_PORT", "JOURDAIN_BROKER", "JOURDAIN_BUNDLE", "JOURDAIN_BOOTSEL", "JOURDAIN_DEBUG", "LANG", "LANGUAGE", "LC_ALL",
        "LC_MESSAGES", "NO_COLOR", "FORCE_COLOR", "TERM", "TZ", "VIRTUAL_ENV")  # fmt: skip
HIDDEN = ("JOURDAIN_PASSWORD", "JOURDAIN_PASSPHRASE", "JOURDAIN_SECRET")
_WORD = re.compile(r"""[^\s"',:;{}\[\]()=]{24,}""")
_OWNER = re.compile(r"""\b((?:owner|contact)\w*:\s*)("[^"\n]*"|'[^'\n]*'|[^,}\n]+)""")
_SECRET_FILE = re.compile(r"""^\s*(?:keys|password_file|key_file)\s*=\s*["']([^"'\n]+)""", re.M)


class Asked(NamedTuple):
    """Where to look."""

    inventory: Path
    gateway: Path
    secrets: Path
    record: Path
    port: str | None = None


@click.command(
    help="Gather what somebody who helps needs to see into a zip: findings, versions, settings, counters, logs. No secrets.",
    epilog=_("Examples: `jourdain support`, `jourdain support -n`, `jourdain support --gateway /var/lib/jourdain/gateway.toml`."),
)
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE.zip", help="The file to write; it may not be there yet.")
@click.option("--gateway", type=click.Path(path_type=Path), default=Path("gateway.toml"), help="The daemon's configuration.")
@click.option("--inventory", type=click.Path(path_type=Path), default=Path("boards.yaml"), help="The fleet.")
@click.option("--secrets", type=click.Path(path_type=Path), default=Path("secrets.json"),
              help="Looked at, so that nothing of it goes in.")  # fmt: skip
@click.option("--record", type=click.Path(path_type=Path), help="The record of flashing; else the one beside boards.yaml.")
@click.option("--port", envvar="JOURDAIN_PORT", shell_complete=completion.ports, help="The board to look at.")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would go in; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def support(out: Path | None, dry_run: bool, as_json: bool, record: Path | None, **where: Any) -> None:
    """Raises HostError file_exists, disk_full, disk_error."""
    asked = Asked(record=record or where["inventory"].with_name("commissioning.jsonl"), **where)
    out = out or Path(time.strftime("jourdain-support-%Y%m%d-%H%M%S.zip"))
    if out.exists():
        what = _("this file is there already, and is not overwritten")
        raise HostError("file_exists", what, str(out), _("name another: --out FILE"))
    parts = gather(asked)
    said = {"file": None if dry_run else str(out), "contents": {name: len(text.encode()) for name, text in parts.items()}}
    if not as_json:
        for name, text in parts.items():
            click.echo(_("{name}: {count} lines").format(name=name, count=text.count("\n")))
    if not dry_run:
        _write(out, parts)
    if as_json:
        click.echo(json.dumps(said, ensure_ascii=False))
    elif dry_run:
        click.echo(_("nothing was written"), err=True)
    else:
        click.echo(_("{file}: written, for you alone to read. Look into it before you send it.").format(file=out), err=True)


def gather(asked: Asked) -> dict[str, str]:
    """{name in the zip: text}, every text without secrets. What cannot be had is named in about.json, with the reason."""
    makers: dict[str, Callable[[Asked], str]] = {
        "doctor.json": _doctor, "versions.json": _versions, "environment.json": _environment, "boards.yaml": _boards,
        "gateway.toml": _settings, "gateway.json": _gateway, "commissioning.jsonl": _record, "journal.txt": _journal,
    }  # fmt: skip
    known = set(secrets_known(asked))
    found: dict[str, str] = {}
    missing: dict[str, str] = {}
    for name, make in makers.items():
        try:
            found[name] = redact(make(asked), known)
        except (OSError, UnicodeDecodeError, HostError, sqlite3.Error, subprocess.SubprocessError, ModuleNotFoundError) as error:
            missing[name] = redact(str(error).partition("\n")[0], known)
    about = {"made": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "not there": missing}
    return {"about.json": _document(about), **found}


def _document(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def _write(out: Path, parts: Mapping[str, str]) -> None:
    """The zip, readable by its owner alone; nothing half-written stays. HostError disk_error, disk_full."""
    try:
        handle = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
                for name, text in parts.items():
                    made.writestr(f"{out.stem}/{name}", text)
        except OSError:
            out.unlink(missing_ok=True)
            raise
    except OSError as error:
        what = _("cannot write: {error}").format(error=error.strerror)
        raise HostError("disk_error", what, str(out), _("make room, or name another place")) from None


# What goes in


def _doctor(asked: Asked) -> str:
    from tools.doctor import command, report  # noqa: PLC0415

    gateway = asked.gateway if asked.gateway.exists() else None
    looked = command.Asked(port=asked.port, gateway=gateway, inventory=asked.inventory, secrets=asked.secrets)
    return _document(report.document(command.look(looked)))


def _versions(_asked: Asked) -> str:
    from importlib.metadata import distributions  # noqa: PLC0415

    from firmware.node import RELEASE, VERSION  # noqa: PLC0415

    installed = {each.metadata["Name"]: each.version for each in distributions()}
    return _document({
        "firmware": VERSION, "release": RELEASE, "python": platform.python_version(), "system": platform.platform(),
        "installed": dict(sorted(installed.items(), key=lambda pair: pair[0].lower())),
    })  # fmt: skip


def _environment(_asked: Asked) -> str:
    told = {name: os.environ[name] for name in OPEN if name in os.environ}
    return _document({**told, **{name: GONE for name in HIDDEN if name in os.environ}})


def _boards(asked: Asked) -> str:
    """Without its comments, and without what says who owns a board."""
    return _OWNER.sub(rf"\1{GONE}", uncommented(asked.inventory.read_text(encoding="utf-8")))


def _settings(asked: Asked) -> str:
    return uncommented(asked.gateway.read_text(encoding="utf-8"))


def _record(asked: Asked) -> str:
    lines = asked.record.read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(lines[-RECORD_LINES:])


def _journal(_asked: Asked) -> str:
    program = shutil.which("journalctl")
    if program is None:
        raise FileNotFoundError("no journalctl")
    done = subprocess.run([program, "--unit", UNIT, "--lines", str(LOG_LINES), "--no-pager", "--output", "short-iso-precise"],
                          capture_output=True, encoding="utf-8", errors="replace", timeout=20, check=True)  # fmt: skip
    return done.stdout


def _gateway(asked: Asked) -> str:
    """The daemon's books, read beside it: counters, what became of everything, alarms."""
    from gateway import config as configuration  # noqa: PLC0415
    from gateway.books import Books  # noqa: PLC0415

    settings = configuration.load(asked.gateway)
    store = settings.path(settings.gateway.store)
    found: dict[str, Any] = {
        "gateway": settings.gateway.name,
        "files": {path.name: path.stat().st_size for path in sorted(store.parent.glob(store.name + "*")) if path.is_file()},
    }
    books = Books(store)
    try:
        found |= {"counters": books.counters(), "without_date": books.waiting(), "upstreams": {}}
        for upstream in settings.upstream:
            name, frames = upstream.name, upstream.format == "frames"
            balance = books.balance(name, frames=frames)
            found["upstreams"][name] = {**balance._asdict(), "missing": balance.missing, "backlog": books.backlog(name)}
            found["upstreams"][name]["by_key_id"] = {kid: counts._asdict() for kid, counts in books.counts(name).items()}
        found["alarms"] = [{**row._asdict(), "kid": row.kid.hex()} for row in books.alarms()]
    finally:
        books.close()
    return _document(found)


# What must not


def secrets_known(asked: Asked) -> Iterator[str]:
    """Every secret that can be read here, to be looked for in all that goes in; the files themselves never do."""
    yield from (os.environ[name] for name in HIDDEN if name in os.environ)
    named = (asked.gateway.parent / name for name in (*_SECRET_FILE.findall(_text(asked.gateway)), "keys.json"))
    file = [Path(os.environ[name]) for name in ("JOURDAIN_PASSPHRASE_FILE",) if name in os.environ]
    for path in (asked.secrets, *file, *named):
        text = _text(path)
        if path.suffix != ".json":
            yield text.strip()  # a password is all of its file
        yield from _WORD.findall(text)
    yield from (value.strip("\"' ") for _key, value in _OWNER.findall(_text(asked.inventory)))


def _text(path: Path) -> str:
    """Whatever is in a file, also where it has faults; nothing where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

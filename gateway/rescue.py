"""`jourdain gateway init`, `backup` and `restore`: the first day, and the one on which the SD card dies."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from gateway import backup as archive
from gateway import config as configuration
from gateway import restore as placing
from gateway import windows
from gateway.errors import HostError
from gateway.keys import passphrase_in

PASSPHRASE_MIN = 12
CONFIG = click.option(
    "--config", type=click.Path(path_type=Path), default=Path("gateway.toml"), show_default=True, help="The configuration."
)
PASSPHRASE = click.option(
    "--passphrase-file", type=click.Path(path_type=Path), help="A file of mode 0600 with the passphrase, instead of asking."
)
NO_INPUT = click.option("--no-input", is_flag=True, help="Never ask; without --passphrase-file that is an error.")
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


@click.command()
@CONFIG
@JSON
def init(config: Path, as_json: bool) -> None:
    """Make the empty store of a gateway that has never worked."""
    settings = configuration.load(config)
    path = settings.path(settings.gateway.store)
    if not windows.missing(path):
        raise HostError("file_exists", "there is a store already", str(path), "start the daemon: jourdain gateway run")
    windows.begin(path, short=windows.FIRST)
    click.echo(f"{path}: empty. Next: jourdain gateway run", err=True)
    if as_json:
        click.echo(json.dumps({"store": str(path)}, ensure_ascii=False))


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@CONFIG
@PASSPHRASE
@NO_INPUT
@JSON
def backup(file: Path, config: Path, passphrase_file: Path | None, no_input: bool, as_json: bool) -> None:
    """Back up store, windows, keys and settings into FILE, encrypted; the daemon may run."""
    settings = configuration.load(config)
    passphrase = _passphrase(passphrase_file, no_input, twice=True)
    with _bar("backup") as progress:
        done = archive.write(settings, file, passphrase, progress)
    for path in done.missing:
        click.echo(f"warning: not in this backup, as it is not there: {path}", err=True)
    click.echo(f"{file}: {len(done.files)} files, {done.size / 1e6:.1f} MB. Keep it and its passphrase apart.", err=True)
    _say(done, as_json)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--into", type=click.Path(path_type=Path), required=True, help="The folder to restore into.")
@PASSPHRASE
@NO_INPUT
@JSON
def restore(file: Path, into: Path, passphrase_file: Path | None, no_input: bool, as_json: bool) -> None:
    """Put the backup FILE back into a folder, where nothing of it may be yet."""
    passphrase = _passphrase(passphrase_file, no_input, twice=False)
    with _bar("restore") as progress:
        done = placing.read(file, into, passphrase, progress)
    for path, now in done.outside.items():
        click.echo(f"warning: gateway.toml names {path}, which is restored as {now}: move it there", err=True)
    age_days = (time.time() - done.made) / 86_400
    click.echo(f"{into}: gateway {done.gateway} as it was {age_days:.1f} days ago, {len(done.files)} files.", err=True)
    click.echo("No board is answered until it has a new key (`jourdain keys rotate`); readings come as before.", err=True)
    _say(done, as_json)


def _passphrase(file: Path | None, no_input: bool, *, twice: bool) -> str:
    """From the file, or asked for; a new one is asked for twice and must be long enough."""
    if not file and (no_input or not sys.stdin.isatty()):
        what = "a passphrase is needed, and nobody is there to be asked"
        raise HostError("bad_passphrase", what, "", "put it into a file of mode 0600: --passphrase-file FILE")
    found = passphrase_in(file) if file else click.prompt("Passphrase", hide_input=True, confirmation_prompt=twice, err=True)
    if twice and len(found) < PASSPHRASE_MIN:
        what = f"the passphrase has {len(found)} characters, at least {PASSPHRASE_MIN} are needed"
        raise HostError("bad_passphrase", what, str(file or ""), "take several words")
    return found


def _say(done: archive.Summary, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(done._asdict(), ensure_ascii=False))


@contextlib.contextmanager
def _bar(label: str) -> Iterator[archive.Progress]:
    """Progress on standard error, where somebody watches."""
    done = 0
    with click.progressbar(length=1000, label=label, file=sys.stderr) as bar:

        def at(now: int, whole: int) -> None:
            nonlocal done
            step = min(1000, 1000 * now // max(1, whole)) - done
            done += step
            bar.update(step)

        yield at

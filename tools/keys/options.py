"""What the subcommands of `jourdain keys` have in common: options, and how they ask and answer."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from tools.i18n import _
from tools.keys import passphrase


def _never_ask(_ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        passphrase.never_ask()


def _passphrase_file(_ctx: click.Context, _param: click.Parameter, value: Path | None) -> None:
    if value:
        passphrase.use_file(value)


SECRETS = click.option("--secrets", "--out", "path", type=click.Path(path_type=Path), default=Path("secrets.json"),
                       help="Where the secrets are kept.")  # fmt: skip
INVENTORY = click.option("--inventory", type=click.Path(path_type=Path), default=Path("boards.yaml"),
                         help="The fleet, if there is one.")  # fmt: skip
PASSPHRASE = click.option("--passphrase-file", type=click.Path(path_type=Path), expose_value=False, callback=_passphrase_file,
                          help="A file of mode 0600 with the passphrase of the secrets, instead of asking.")  # fmt: skip
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
DRY_RUN = click.option("-n", "--dry-run", is_flag=True, help="Say what would be done; write nothing.")
YES = click.option("-y", "--yes", is_flag=True, help="Do not ask before boards.yaml is changed or a secret is removed.")
NO_INPUT = click.option("--no-input", is_flag=True, expose_value=False, callback=_never_ask,
                        help="Never ask; what needs an answer is an error.")  # fmt: skip
QUIET = click.option("-q", "--quiet", is_flag=True, help="Errors only.")


def changing(command: Callable[..., None]) -> Callable[..., None]:
    """The options of what changes secrets and boards.yaml."""
    for option in (QUIET, JSON, NO_INPUT, YES, DRY_RUN, PASSPHRASE, INVENTORY, SECRETS):
        command = option(command)
    return command


def agreed(question: str, *, yes: bool, must: bool = True) -> bool:
    """Does the person agree? Where nobody can be asked: a usage error when an answer `must` be, else no."""
    if yes:
        return True
    if not passphrase.somebody_there():
        if must:
            raise click.UsageError(question + " " + _("Say --yes."))
        return False
    if click.confirm(question, err=True):
        return True
    if must:
        raise click.Abort
    return False


def answer(said: Mapping[str, Any], lines: Iterable[str], *, as_json: bool, quiet: bool = False) -> None:
    """What was asked for, on standard output."""
    if as_json:
        click.echo(json.dumps(said, ensure_ascii=False))
    elif not quiet:
        for line in lines:
            click.echo(line)


def then(lines: Iterable[str], *, quiet: bool) -> None:
    """What to do next, on standard error."""
    if not quiet:
        for number, line in enumerate(lines):
            click.echo((_("next: ") if not number else " " * len(_("next: "))) + line, err=True)

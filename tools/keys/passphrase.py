"""Where the passphrase of the secrets comes from: JOURDAIN_PASSPHRASE, a file, or whoever sits at the terminal."""

import os
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import click

from gateway.errors import HostError
from gateway.keys import passphrase_in
from tools.i18n import _

MIN = 12
TRIES = 3
_TEXT, _FILE = "JOURDAIN_PASSPHRASE", "JOURDAIN_PASSPHRASE_FILE"
_Found = TypeVar("_Found")
_may_ask = True
_file: Path | None = None


def somebody_there() -> bool:
    """May a question be asked?"""
    return _may_ask and sys.stdin.isatty()


def use_file(path: Path) -> None:
    """From here on the passphrase of this process is the first line of a file: --passphrase-file."""
    global _file
    _file = path


def never_ask() -> None:
    """From here on nobody is asked in this process: --no-input."""
    global _may_ask
    _may_ask = False


def given() -> str | None:
    """The passphrase, or the first line of the file with it, if one was named. Raises HostError (bad_keys): no such file."""
    text, path = os.environ.get(_TEXT), os.environ.get(_FILE)
    if _file is not None:
        return passphrase_in(_file)
    return passphrase_in(Path(path)) if text is None and path else text


def opened(where: str, unlock: Callable[[str], _Found]) -> _Found:
    """What `unlock` makes of the passphrase; on a terminal there are three tries. Raises HostError (bad_passphrase)."""
    known = given()
    return unlock(known) if known is not None else _asked(where, lambda: unlock(_prompt(where, twice=False)))


def new(where: str, known: str | None) -> str:
    """The passphrase for a file to come, which is `known` or is typed twice. Raises HostError (bad_passphrase): weak."""
    return _strong(known, where) if known is not None else _asked(where, lambda: _strong(_prompt(where, twice=True), where))


def _asked(where: str, ask: Callable[[], _Found]) -> _Found:
    if not somebody_there():
        what = _("a passphrase is needed, and nobody is there to be asked")
        raise HostError("bad_passphrase", what, where, _("set {text}, or {file}").format(text=_TEXT, file=_FILE))
    for _again in range(1, TRIES):
        try:
            return ask()
        except HostError as error:
            if error.name != "bad_passphrase":
                raise
            click.echo(f"{error.what}; {error.hint}", err=True)
    return ask()


def _prompt(where: str, *, twice: bool) -> str:
    text = _("New passphrase of {file}") if twice else _("Passphrase of {file}")
    again = _("The same once more") if twice else False
    said: str = click.prompt(text.format(file=where), hide_input=True, confirmation_prompt=again, err=True)
    return said


def _strong(text: str, where: str) -> str:
    hint = _("take four words or more: whoever copies the file tries millions a day, and nobody sees it")
    if len(text) < MIN:
        what = _("the passphrase has {count} characters, at least {least} are needed").format(count=len(text), least=MIN)
        raise HostError("bad_passphrase", what, where, hint)
    if len({ord(b) - ord(a) for a, b in pairwise(text)}) < 3:
        what = _("this passphrase repeats itself or counts: it is among the first that are tried")
        raise HostError("bad_passphrase", what, where, hint)
    return text

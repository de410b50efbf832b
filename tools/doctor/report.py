"""A check and its outcome; how a list of them is shown, and what exit code it is."""

import os
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import click

from gateway.errors import HostError
from tools import errors
from tools.i18n import _

OK, WARN, FAIL, SKIP = "ok", "warn", "fail", "not looked at"
_GLYPHS = {OK: ("✓", "+"), WARN: ("!", "!"), FAIL: ("✗", "x"), SKIP: ("·", ".")}
_COLOURS = {OK: "green", WARN: "yellow", FAIL: "red", SKIP: None}


class Check(NamedTuple):
    """One line of the list: what was looked at, how it is, what was found, what to do next.

    `error`: the name of the fault, of gateway.errors, where it failed; it decides the exit code.
    """

    name: str
    state: str
    found: str
    next: str = ""
    error: str = ""


def failed(name: str, error: HostError) -> Check:
    """A check that found a named fault."""
    found = f"{error.what} ({error.where})" if error.where else error.what
    return Check(name, FAIL, found, error.hint, error.name)


def exit_code(checks: Sequence[Check]) -> int:
    """0 when nothing failed; else the highest code among the failures: the further down the table, the nearer to the root."""
    return max((errors.EXIT.get(check.error, errors.UNEXPECTED) for check in checks if check.state == FAIL), default=errors.OK)


def document(checks: Sequence[Check]) -> dict[str, Any]:
    """What `--json` says."""
    return {"checks": [check._asdict() for check in checks], "exit": exit_code(checks)}


def show(checks: Sequence[Check]) -> None:
    """The list on stdout; a state is a sign and a word, and coloured besides where a terminal takes it."""
    words = {OK: _("ok"), WARN: _("warning"), FAIL: _("FAILED"), SKIP: _("not looked at")}
    wide, deep = max(map(len, words.values())), max(len(check.name) for check in checks)
    for check in checks:
        state = click.style(f"{glyph(check.state)} {words[check.state]:<{wide}}", fg=_COLOURS[check.state])
        click.echo(f"{state}  {check.name:<{deep}}  {check.found}", color=colours())
        if check.next:
            click.echo(" " * (wide + deep + 6) + _("next: {hint}").format(hint=check.next))


def glyph(state: str) -> str:
    """The sign of a state, as far as the terminal's encoding has it."""
    nice, plain = _GLYPHS[state]
    try:
        nice.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return plain
    return nice


def colours() -> bool:
    """Does stdout take colours? A terminal that was not told otherwise (NO_COLOR), or whatever FORCE_COLOR says."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (sys.stdout.isatty() and os.environ.get("TERM") != "dumb")

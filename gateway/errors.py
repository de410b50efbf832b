"""Errors of the daemon and the tools: values with names, said in three lines (what, where, what next)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import NamedTuple


class HostError(Exception):
    """A named fault on the host.

    `name` is one of `firmware.wire.host.errors.HOST_ERRORS`; `what` happened, `where` (file:line, port, board) and `hint`,
    what to do next. `str()` gives these as up to three lines.
    """

    def __init__(self, name: str, what: str, where: str = "", hint: str = "") -> None:
        super().__init__(name, what, where, hint)
        self.name = name
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.what}"]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.hint:
            lines.append(f"  next:  {self.hint}")
        return "\n".join(lines)


class Fault(NamedTuple):
    """One fault of a file that a person wrote; `line` counts from 1, 0 means the file as a whole."""

    file: str
    line: int
    what: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.what}" + (f" ({self.hint})" if self.hint else "")


class FaultsError(HostError):
    """All faults of a file at once, in the order of their lines; `name` as in HostError (bad_config, bad_keys ...)."""

    def __init__(self, name: str, faults: Iterable[Fault], hint: str = "") -> None:
        self.faults = sorted(faults, key=lambda f: (f.file, f.line))
        count = len(self.faults)
        what = f"{count} fault{'s' if count != 1 else ''}"
        super().__init__(name, what, self.faults[0].file if self.faults else "", hint)

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.what}", *(f"  {fault}" for fault in self.faults)]
        if self.hint:
            lines.append(f"  next:  {self.hint}")
        return "\n".join(lines)


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """`did you mean "port"?` for the nearest of `words`, or an empty string when none is near."""
    near = difflib.get_close_matches(word, list(words), n=1, cutoff=0.6)
    return f'did you mean "{near[0]}"?' if near else ""

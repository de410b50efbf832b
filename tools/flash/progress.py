"""What a person sees while boards are at work, always on stderr: a line a finished step, or on a terminal a line a board."""

import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import click

from tools.i18n import _

PATIENCE_S = 1.0  # what is done within it needs no progress
REFRESH_S = 0.1


class Progress(Protocol):
    """Where a board's steps are said. `doing`: a small step of a long one begins; nobody may hear of it."""

    def done(self, text: str) -> None: ...
    def doing(self, text: str) -> None: ...


class Steps:
    """Progress of one board: a line a finished step, and on a terminal the small step that is being done."""

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
        if self.live and time.monotonic() - self.began > PATIENCE_S:
            click.echo("\r\033[K" + text[:78], err=True, nl=False)


class Screen:
    """Progress of many boards. On a terminal a line a board, which changes; else a line a finished step, with the board's name.

    Any thread may use it: there is one lock where output happens.
    """

    def __init__(self, names: Iterable[str], quiet: bool) -> None:
        self._quiet = quiet
        self._lock = threading.Lock()
        self._rows = {name: [_("waits"), ""] for name in names}
        self._live: Any = None
        self._shown = 0.0

    def __enter__(self) -> "Screen":
        if sys.stderr.isatty() and not self._quiet:
            from rich.console import Console  # noqa: PLC0415 - only where a person looks
            from rich.live import Live  # noqa: PLC0415

            self._live = Live(console=Console(stderr=True), auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
            self._live.start()
            self._refresh()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._live:
            self._refresh()
            self._live.stop()

    def row(self, name: str) -> "Row":
        """The progress of one of the boards."""
        return Row(self, name)

    def done(self, name: str, text: str) -> None:
        """A step of a board is finished."""
        with self._lock:
            if name in self._rows:
                self._rows[name] = [text, ""]
            if self._live:
                self._refresh()
            elif not self._quiet:
                click.echo(f"{name}: {text}", err=True)

    def doing(self, name: str, text: str) -> None:
        """A small step of a board begins."""
        with self._lock:
            self._rows[name][1] = text
            if self._live and time.monotonic() - self._shown > REFRESH_S:
                self._refresh()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """For a question: nothing else is written meanwhile."""
        with self._lock:
            if self._live:
                self._live.stop()
            try:
                yield
            finally:
                if self._live:
                    self._live.start()

    def _refresh(self) -> None:
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis")
        for name, (said, small) in self._rows.items():
            table.add_row(Text(name, style="bold"), Text(said), Text(small, style="dim"))
        self._shown = time.monotonic()
        self._live.update(table, refresh=True)


class Row:
    """The progress of one board among many."""

    def __init__(self, screen: Screen, name: str) -> None:
        self._screen = screen
        self._name = name

    def done(self, text: str) -> None:
        """A step is finished."""
        self._screen.done(self._name, text)

    def doing(self, text: str) -> None:
        """A small step of a long one begins."""
        self._screen.doing(self._name, text)

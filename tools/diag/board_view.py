"""What `jourdain board` shows: a table for people, JSON for programs."""

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from firmware.wire.host.errors import DEVICE_ERRORS
from tools.i18n import _

_RESET_CAUSES = ("unknown", "power", "reset pin", "watchdog", "deep sleep", "soft reset")


class View:
    """Shows on stdout: one JSON document with `as_json`, a rich table on a terminal, else `name: value` lines."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json

    def table(self, values: Mapping[str, Any]) -> None:
        """Show a map as it came from the board."""
        if self.as_json:
            self.document(values)
        else:
            self.rows([(name, _said(name, value)) for name, value in _flat(values)])

    def document(self, value: Any) -> None:
        """Write one line of JSON."""
        _write(json.dumps(_plain(value), ensure_ascii=False, sort_keys=True))

    def rows(self, rows: list[tuple[str, ...]]) -> None:
        """Show rows of text, their first cell a name."""
        if sys.stdout.isatty():
            with contextlib.suppress(ImportError):
                _rich(rows)
                return
        width = max((len(row[0]) for row in rows), default=0)
        for row in rows:
            _write("  ".join((row[0].ljust(width), *row[1:])).rstrip())


def _rich(rows: list[tuple[str, ...]]) -> None:
    from rich.console import Console  # noqa: PLC0415 - only where a person looks
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, show_header=False)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _plain(value: Any) -> Any:
    """What JSON knows: bytes in hexadecimal, text as keys."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value


def _flat(values: Mapping[Any, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in sorted(values.items(), key=lambda item: str(item[0])):
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _said(name: str, value: Any) -> str:
    """A value for people, with the word behind a number where there is one."""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if name == "reset_cause" and isinstance(value, int) and value < len(_RESET_CAUSES):
        return _RESET_CAUSES[value]
    if name == "error" and isinstance(value, int):
        return DEVICE_ERRORS.get(value, str(value)) if value else "-"
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return ", ".join(str(_plain(inner)) for inner in value) or "-"
    return str(value)

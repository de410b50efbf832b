"""What `jourdain board` shows: a table for people, JSON for programs."""

import contextlib
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from firmware.wire.host.errors import DEVICE_ERRORS
from tools.diag.fields import field_of, name_of, plain
from tools.diag.selftest import Check
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

    def done(self, values: Mapping[str, Any], text: str) -> None:
        """Show that something was done, and what is in force now."""
        if not self.as_json:
            _write(text)
        self.table(values)

    def log(self, found: Mapping[str, Any]) -> None:
        """Show op log: names of errors for their numbers."""
        kinds = {_error(code): ago_s for code, ago_s in found["kinds"].items()}
        crashes = [{"error": _error(code), "detail": text} for code, text in found.get("crashes", ())]
        if self.as_json:
            self.document({"last": found["last"], "kinds": kinds, "crashes": crashes})
            return
        rows = [(_("last"), found["last"] or "-")]
        rows += [(_("crash"), f"{crash['error']}: {crash['detail']}") for crash in crashes]
        rows += [(name, _("{seconds} s ago").format(seconds=ago_s)) for name, ago_s in kinds.items()]
        self.rows(rows)

    def checks(self, checks: list[Check]) -> None:
        """Show a self-test, a line a check."""
        if self.as_json:
            passed = all(check.passed for check in checks)
            self.document({"passed": passed, "checks": [check._asdict() for check in checks]})
            return
        self.rows([check_row(check._asdict()) for check in checks])

    @contextlib.contextmanager
    def live(self) -> Iterator[Callable[[Mapping[str, Any]], None]]:
        """For readings that follow each other: a table that changes on a terminal, else a line each."""
        if self.as_json or not sys.stdout.isatty():
            yield lambda found: self.document(_measured(found)) if self.as_json else _write("  ".join(_words(found)))
            return
        from rich.live import Live  # noqa: PLC0415 - only where a person looks

        with Live(auto_refresh=False) as live:
            yield lambda found: live.update(_table([tuple(word.split(" ", 1)) for word in _words(found)]), refresh=True)

    def document(self, value: Any) -> None:
        """Write one line of JSON."""
        _write(json.dumps(plain(value), ensure_ascii=False, sort_keys=True))

    def rows(self, rows: Sequence[tuple[str, ...]]) -> None:
        """Show rows of text, their first cell a name."""
        if sys.stdout.isatty():
            with contextlib.suppress(ImportError):
                _print(rows)
                return
        widths = [max(len(cell) for cell in column) for column in zip_longest(*rows, fillvalue="")]
        for row in rows:
            _write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip())


def check_row(check: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """A line of a self-test for people: passed or not, of what, the measured value or the error, the limits."""
    unit, limits = str(check.get("unit") or ""), check.get("limits")
    scale, space, name = unit.partition(" ")
    factor, unit = (float(scale), name) if space and re.fullmatch(r"0\.0*1", scale) else (1.0, unit)  # 187 in 0.1 Cel: 18.7 Cel
    ends = limits if isinstance(limits, list | tuple) else []
    span = "..".join("" if limit is None else _span(limit, factor) for limit in ends)
    said = check.get("error") or f"{_span(check.get('value'), factor)} {unit}".strip()
    return _("passed") if check.get("passed") is True else _("FAILED"), str(check.get("name", "-")), str(said), span


def _print(rows: Sequence[tuple[str, ...]]) -> None:
    from rich.console import Console  # noqa: PLC0415 - only where a person looks

    Console().print(_table(rows))


def _table(rows: Sequence[tuple[str, ...]]) -> Any:
    from rich.table import Table  # noqa: PLC0415 - only where a person looks
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, show_header=False)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _measured(found: Mapping[str, Any]) -> dict[str, Any]:
    """Op readings with names: {"reading": {name: field}, "sensors": {name: {"value", "error"}}}."""
    reading = {key: value for key, value in found.get("reading", {}).items() if isinstance(key, int)}
    if found.get("battery") is not None:
        reading[1] = found["battery"]
    out: dict[str, Any] = {"reading": {name_of(key): field_of(key, value) for key, value in reading.items()}}
    if "sensors" in found:
        out["sensors"] = {name: {"value": value, "error": None} for name, value in found["sensors"].items()}
        out["sensors"] |= {name: {"value": None, "error": _error(code)} for name, code in found["errors"].items()}
    return out


def _words(found: Mapping[str, Any]) -> list[str]:
    measured = _measured(found)
    words = [f"{name} {field.get('meaning') or _scaled(field)}" for name, field in measured["reading"].items()]
    for name, sensor in measured.get("sensors", {}).items():
        words.append(f"{name} {sensor['error'] or _text(sensor['value'])}")
    return words


def _scaled(field: Mapping[str, Any]) -> str:
    """`21.4 Cel` of 214 in 0.1 Cel."""
    value, (scale, space, unit) = field["value"], field["unit"].partition(" ")
    if isinstance(value, bool) or not space:
        return f"{_text(value)} {field['unit']}".strip()
    return f"{round(value * float(scale), 5):g} {unit}"


def _error(code: int) -> str:
    return DEVICE_ERRORS.get(code, str(code))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, list):
        return ", ".join(_text(each) for each in value) or "-"
    return "-" if value is None else str(plain(value))


def _span(value: Any, factor: float) -> str:
    """Whole numbers times a factor; several measurements of one thing by their lowest and highest."""
    if isinstance(value, list) and len(value) > 2 and all(type(each) is int for each in value):
        return f"{_span(min(value), factor)}..{_span(max(value), factor)}"
    return f"{round(value * factor, 5):g}" if type(value) is int and factor != 1 and abs(value) < 1 << 53 else _text(value)


def _flat(values: Mapping[Any, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in sorted(values.items(), key=lambda item: str(item[0])):
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _said(name: str, value: Any) -> str:
    """A value for people, with the word behind a number where there is one."""
    if name == "reset_cause" and isinstance(value, int) and value < len(_RESET_CAUSES):
        return _RESET_CAUSES[value]
    if name == "error" and isinstance(value, int):
        return _error(value) if value else "-"
    return _text(value)

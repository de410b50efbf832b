"""How a command ends: exit codes by the name of the error, and the three lines that say what, where and what next."""

import json
import sys

from gateway.errors import HostError
from tools.i18n import _

OK, UNEXPECTED, USAGE, INTERRUPTED = 0, 1, 2, 130

# Error name -> exit code. tools/README.md has the same table for people.
EXIT = {
    "unexpected": UNEXPECTED,
    "bad_config": 3,
    "bad_inventory": 3,
    "bad_keys": 3,
    "test_key": 3,
    "excess_keys": 3,
    "unknown_board": 3,
    "unknown_command": 3,
    "no_controller": 3,
    "file_exists": 3,
    "bad_backup": 3,
    "bad_passphrase": 3,
    "no_windows": 3,
    "restored": 3,
    "never_heard": 4,
    "no_store": 4,
    "bad_release": 3,
    "bad_bundle": 3,
    "bad_image": 3,
    "bad_record": 3,
    "no_device": 4,
    "no_port": 4,
    "ambiguous": 5,
    "mismatch": 6,
    "unconfirmed": USAGE,
    "port_busy": 7,
    "repl_closed": 7,
    "transfer": 8,
    "timeout": 8,
    "partial": 9,
    "device_fault": 10,
    "broker_refused": 11,
    "bad_certificate": 11,
    "missing_tool": 12,
    "no_image": 12,
    "disk_full": 12,
    "disk_error": 12,
    "disk_readonly": 12,
    "newer_store": 12,
    "bad_store": 12,
    "compile": 12,
    "no_clock": 12,
}


def exit_code(error: HostError) -> int:
    """The exit code of an error."""
    return EXIT.get(error.name, UNEXPECTED)


def lines(error: HostError) -> str:
    """What happened, where, and what to do next, in the user's language. Errors that list faults say a line a fault."""
    faults = getattr(error, "faults", None)
    next_line = [_("  next:  {hint}").format(hint=_(error.hint))] if error.hint else []
    if faults:
        return "\n".join([*map(fault_line, faults), *next_line])
    said = [f"{error.name}: {_(error.what)}"]
    if error.where:
        said.append(_("  where: {where}").format(where=error.where))
    return "\n".join(said + next_line)


def fault_line(fault: object) -> str:
    """A fault of a file in the user's language, where it brings its sentence and values apart."""
    text, values = getattr(fault, "text", None), getattr(fault, "values", None)
    if text is None or values is None:
        return str(fault)
    values = {key: _(value) if key == "kind" else value for key, value in values.items()}
    place, colon, rest = text.partition("{place}: ")
    said = f"{place}{colon}{_(rest)}" if colon else _(text)
    return f"{getattr(fault, 'path', '')}:{getattr(fault, 'line', 0)}:{getattr(fault, 'col', 0)}: {said.format(**values)}"


def document(error: HostError) -> str:
    """The error as one line of JSON: names and English words, for programs."""
    found: dict[str, object] = {"error": error.name, "what": error.what, "where": error.where, "next": error.hint}
    faults = getattr(error, "faults", None)
    if faults:
        found["faults"] = [
            {key: getattr(fault, key) for key in ("path", "file", "line", "col", "what") if hasattr(fault, key)}
            for fault in faults
        ]
    return json.dumps(found, ensure_ascii=False)


def version() -> str:
    """Of this installation."""
    from importlib.metadata import PackageNotFoundError  # noqa: PLC0415 - as slow as click itself
    from importlib.metadata import version as of  # noqa: PLC0415

    try:
        return of("jourdain")
    except PackageNotFoundError:
        return "unknown"


def unexpected(error: Exception) -> HostError:
    """An error of ours, not of the user's: the last line of our own code that it came through."""
    import traceback  # noqa: PLC0415 - only where something is wrong

    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if not frame.filename.startswith("<") and "site-packages" not in frame.filename]
    where = f"{ours[-1].filename}:{ours[-1].lineno}" if ours else ""
    what = f"{type(error).__name__}: {error}"
    return HostError("unexpected", what, where, _("please report this; JOURDAIN_DEBUG=1 shows where it comes from"))


def report(error: HostError, *, as_json: bool) -> int:
    """Say an error on stderr, and as JSON on stdout where JSON was asked for. Returns the exit code."""
    sys.stderr.write(lines(error) + "\n")
    if as_json:
        sys.stdout.write(document(error) + "\n")
    return exit_code(error)

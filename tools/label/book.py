"""What a record says of boards, for people: words out of entries whose insides nobody has checked."""

import getpass
import socket
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from tools.diag.board_view import check_row
from tools.i18n import _
from tools.label.words import cleaned

Entry = Mapping[str, Any]
DONE = ("applied", "already so")


def who() -> str:
    """Who works here, for the record: the user at the machine."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):
        return "?"


def when(at: float) -> str:
    """A date of the record, in the zone of whoever reads it."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M")


def part(entry: Entry, *keys: str) -> str:
    """A word inside of an entry, `-` where it says none."""
    here: Any = entry
    for key in keys:
        here = here.get(key) if isinstance(here, Mapping) else None
    return "-" if here is None or isinstance(here, Mapping | list) else cleaned(here) or "-"


def result(entry: Entry) -> str:
    """The result in the user's language."""
    words = {"applied": _("applied"), "already so": _("already so"), "failed": _("FAILED")}
    return words.get(entry["result"], cleaned(entry["result"]))


def checks(entry: Entry) -> list[tuple[str, ...]]:
    """The lines of an entry's self-test: passed or not, of what, value or error, limits."""
    found = [check for check in entry.get("selftest") or [] if isinstance(check, Mapping)]
    return [tuple(cleaned(cell) for cell in check_row(check)) for check in found]


def tested(entry: Entry) -> str:
    """A self-test in a few words."""
    lines = checks(entry)
    failed = [name for word, name, *_rest in lines if word != _("passed")]
    if failed:
        return _("FAILED") + " " + ", ".join(failed)
    return _("{passed} of {count} passed").format(passed=len(lines), count=len(lines)) if lines else "-"


def newest(entries: Iterable[Entry], *keys: str, results: tuple[str, ...] = DONE) -> Entry | None:
    """The newest entry with one of the results that says something under one of the keys."""
    found = [each for each in entries if each["result"] in results and any(each.get(key) for key in keys)]
    return found[-1] if found else None


def failure(entries: Iterable[Entry]) -> str:
    """Why a board is not in service, where the last that was done to it failed; else empty."""
    done = [each for each in entries if each["result"] == "failed" or "versions" in each]
    if not done or done[-1]["result"] != "failed":
        return ""
    said = ": ".join(word for word in (part(done[-1], "error"), part(done[-1], "what")) if word != "-")
    return _("Not in service. {date}: {fault}").format(date=when(done[-1]["at"]), fault=said)

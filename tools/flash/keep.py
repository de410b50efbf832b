"""What is kept of a board that was flashed: its label, and an entry in the record; and what an earlier entry says of it."""

import hashlib
import time
from collections.abc import Mapping
from typing import Any

from firmware.node import RELEASE
from firmware.node import VERSION as FIRMWARE_VERSION
from gateway import record
from gateway.errors import HostError
from gateway.inventory import Board
from tools.errors import version
from tools.flash.build import LADDER, SLOT
from tools.flash.config import CONFIG
from tools.flash.job import FAILED, Item, Job
from tools.i18n import _
from tools.label.book import who

LAUNCHER = ("main.py", *(f"{module}.mpy" for module in LADDER))


def keep(job: Job) -> None:
    """Make the label of a board in service, and note in the record what became of any. A fault is `job.error`."""
    if job.how.dry_run:
        return
    try:
        if job.how.labels and not job.error and not job.halted:
            from tools.label.label import write_label  # noqa: PLC0415 - segno, only where a label is made

            path = write_label(job.how.inv, job.entry, job.how.labels)
            job.steps.done(_("label: {path}").format(path=path))
        if job.how.record:
            record.append(job.how.record, entry(job))
    except HostError as error:
        job.items.append(Item("record", FAILED, f"{error.name}: {error.what}"))
        job.error = job.error or error


def entry(job: Job) -> dict[str, Any]:
    """What the record says of a board; no secret is in it."""
    found, seen = job.found, job.seen
    release = job.status.get("release", RELEASE if job.files else None)
    return {
        "at": int(time.time()),
        "who": who(),
        "board": job.entry.name,
        "uid": job.uid or job.entry.uid,
        "result": job.result,
        "error": job.error.name if job.error else "interrupted" if job.halted else None,
        "what": job.error.what if job.error else None,
        "port": job.port,
        "versions": {
            "jourdain": version(),
            "firmware": job.hello.firmware if job.hello else FIRMWARE_VERSION,
            "release": release,
            "micropython": found.micropython if found else None,
        },
        "hashes": {**hashes(job.files), "micropython": job.micropython_sha256},
        "kid": job.entry.kid,
        "files": {"written": job.todo.write, "same": len(job.todo.same), "removed": job.todo.remove},
        "selftest": [check._asdict() for check in job.checks],
        "uplink": {"kid": seen.kid, "piv": seen.piv, "via": seen.via} if seen else None,
        # What commands and calibration changed on it the board keeps: that stands in an entry of its own.
        "calibration": dict(job.entry.settings) if found and not found.settings else None,
    }


def hashes(files: Mapping[str, bytes]) -> dict[str, str]:
    """SHA-256 (hexadecimal) of what a board shall have: its launcher, its slot (of the manifest, which has that of each file)
    and its configuration."""
    if not files:
        return {}
    launcher = hashlib.sha256(b"".join(hashlib.sha256(files[path]).digest() for path in LAUNCHER)).hexdigest()
    return {
        "launcher": launcher,
        "slot": hashlib.sha256(files[f"{SLOT}/manifest"]).hexdigest(),
        "config": hashlib.sha256(files[CONFIG[0]]).hexdigest(),
    }


def in_service(entries: list[dict[str, Any]], board: Board, files: Mapping[str, bytes]) -> dict[str, Any] | None:
    """The last entry of a board, where it says that this very chip is in service with these very files and this key."""
    ours = [each for each in entries if each["board"] == board.name and ("hashes" in each or each["result"] == FAILED)]
    last = ours[-1] if ours else None
    if last is None or last["result"] == FAILED or last.get("uid") != board.uid or last.get("kid") != board.kid:
        return None
    there = last.get("hashes") or {}
    return last if all(there.get(name) == digest for name, digest in hashes(files).items()) else None


def said(last: Mapping[str, Any]) -> str:
    """When and by whom, for people."""
    day = time.strftime("%Y-%m-%d %H:%M", time.localtime(last["at"]))
    return _("in service since {day}, says the record ({who})").format(day=day, who=last["who"])

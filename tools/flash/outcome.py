"""What became of boards: documents for programs, a summary or a table for people."""

import json
import sys
from collections.abc import Sequence
from typing import Any

import click

from tools import errors
from tools.flash import uplink
from tools.flash.bench import Bench
from tools.flash.job import ALREADY_SO, APPLIED, FAILED, Job
from tools.i18n import _


def document(job: Job) -> dict[str, Any]:
    """All that is known of a board at its end, fit for JSON."""
    found, todo = job.found, job.todo
    said: dict[str, Any] = {
        "board": job.entry.name,
        "result": job.result,
        "port": job.port,
        "uid": job.uid,
        "machine": found and found.machine,
        "micropython": found and found.micropython,
        "dry_run": job.how.dry_run,
        "files": {"written": todo.write, "same": len(todo.same), "removed": todo.remove},
        "hello": job.hello and job.hello._asdict(),
        "log": job.log,
        "items": [item._asdict() for item in job.items],
        "selftest": [check._asdict() for check in job.checks] if job.checks else None,
        "uplink": uplink.document(job.seen),
        "uplink_said": job.uplink_said,
        "production": job.closed,
        "seconds": round(job.seconds, 1),
    }
    if job.error:
        said |= json.loads(errors.document(job.error))
    elif job.halted:
        said["error"] = "interrupted"
    return said


def documents(jobs: Sequence[Job], bench: Bench) -> dict[str, Any]:
    """The one document of several boards."""
    results = [job.result for job in jobs]
    return {
        "boards": [document(job) for job in jobs],
        "applied": results.count(APPLIED),
        "already_so": results.count(ALREADY_SO),
        "failed": results.count(FAILED),
        "other_ports": [{"port": place.port, "there": place.there, "uid": place.uid or None} for place in bench.others],
    }


def word(job: Job) -> str:
    """A result in the user's language."""
    if job.how.dry_run and job.result == APPLIED:
        return _("to be done")
    return {APPLIED: _("applied"), ALREADY_SO: _("already so"), FAILED: _("failed")}[job.result]


def say_end(job: Job) -> None:
    """The last line of a board's progress among others."""
    job.steps.done(f"{word(job)}: {why(job)}" if job.error or job.halted else word(job))


def summary(job: Job) -> str:
    """One board in a line."""
    name = job.entry.name
    if job.how.dry_run:
        todo = job.todo
        text = _("{board}: {written} files to write, {same} right already, {removed} to remove; nothing was written")
        return text.format(board=name, written=len(todo.write), same=len(todo.same), removed=len(todo.remove))
    firmware, caps = (job.hello.firmware, " ".join(job.hello.caps)) if job.hello else ("?", "")
    text = _("{board} is in service ({result}): firmware {firmware}, {caps}, {uid}")
    return text.format(board=name, result=word(job), firmware=firmware, caps=caps, uid=job.uid)


def why(job: Job) -> str:
    """What a person wants to know of a board's result."""
    if job.error:
        return f"{job.error.name}: {_(job.error.what)}"
    if job.halted:
        return _("stopped")
    if job.left_out:
        return job.items[-1].why
    said = ", ".join(f"{item.item} ({item.why})" for item in job.items if item.result == APPLIED)
    return "; ".join(text for text in (said, job.uplink_said) if text)


def table(jobs: Sequence[Job]) -> None:
    """The results on stdout: a table on a terminal, else aligned lines."""
    rows = [(job.entry.name, word(job), why(job), f"{job.seconds:.1f} s") for job in jobs]
    if sys.stdout.isatty():
        from rich.console import Console  # noqa: PLC0415 - only where a person looks
        from rich.table import Table  # noqa: PLC0415

        shown = Table(box=None)
        for title in (_("board"), _("result"), _("why"), _("took")):
            shown.add_column(title)
        for row in rows:
            shown.add_row(*row)
        Console().print(shown, markup=False)
        return
    widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
    for name, result, text, seconds in rows:
        click.echo(f"{name:<{widths[0]}}  {result:<{widths[1]}}  {seconds:>7}  {text}")

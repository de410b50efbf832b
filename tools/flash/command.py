"""`jourdain flash BOARD...`: what was asked for, on its way through deploy.py and batch.py."""

import contextlib
import functools
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from gateway import bundle as release
from gateway import record
from gateway.bundle import Bundle as Release
from gateway.errors import HostError
from gateway.inventory import Board, Inventory, load
from tools import completion, errors
from tools.bundle.file import Bundle, beside
from tools.flash import batch, bench, build, chip, outcome, uplink
from tools.flash.config import trusted_keys
from tools.flash.job import How, Job
from tools.flash.progress import Screen, Steps
from tools.fleet import find_board
from tools.i18n import _
from tools.keys import passphrase
from tools.keys import secrets as keys
from tools.keys.options import PASSPHRASE

_path = click.Path(path_type=Path)


@click.command(help="Put boards into service: firmware, configuration and key, after making sure that each is the right one; "
                    "then a self-test and the first uplink. PORT: a device, auto, id:SERIAL, socket://HOST:PORT.")  # fmt: skip
@click.argument("boards", nargs=-1, metavar="BOARD...", shell_complete=completion.boards)
@click.option("--all", "every", is_flag=True, help="All boards of the inventory.")
@click.option("--port", "ports", multiple=True, envvar="JOURDAIN_PORT", metavar="[BOARD=]PORT", shell_complete=completion.ports,
              help="Serial port; repeated, a pool whose boards are known by their chips; else the boards on USB.")  # fmt: skip
@click.option("--inventory", type=_path, default=Path("boards.yaml"), help="The fleet.")
@click.option("--secrets", type=_path, default=Path("secrets.json"), help="Made by `jourdain keys new`.")
@PASSPHRASE
@click.option("--bundle", type=_path, envvar="JOURDAIN_BUNDLE",
              help="Made by `jourdain bundle`; else jourdain.bundle beside the inventory.")  # fmt: skip
@click.option("--adopt", is_flag=True, help="Bind the chip to the board in boards.yaml, where that has none, or another.")
@click.option("--micropython", type=click.Choice(chip.MODES),
              help="When to put MicroPython itself on; else if missing or older than 1.24, and in the bundle.")  # fmt: skip
@click.option("--trust", type=_path, multiple=True,
              help="A file of release keys that the board shall trust; else it keeps those it has.")  # fmt: skip
@click.option("--release", type=_path, help="A signed release for boards in production: it comes through their console.")
@click.option("--no-selftest", is_flag=True, help="Do not measure and judge.")
@click.option("--uplink", "uplink_s", type=click.FloatRange(min=0), metavar="SECONDS",
              help="Wait so long for the first uplink, and fail without; 0: do not wait; else what a cable takes.")  # fmt: skip
@click.option("--broker", envvar="JOURDAIN_BROKER", metavar="URL", help="mqtt:// or mqtts://, where gateways publish readings.")
@click.option("--user", help="Name at the broker; the password is read from JOURDAIN_PASSWORD.")
@click.option("--ca-file", type=_path, help="The authority that signed the broker's certificate.")
@click.option("--record", type=_path, envvar="JOURDAIN_RECORD",
              help="What was done is noted there; else in commissioning.jsonl beside the inventory.")  # fmt: skip
@click.option("--labels", type=_path, envvar="JOURDAIN_LABELS", help="Folder of the labels; else labels beside the inventory.")
@click.option("--no-label", is_flag=True, help="Make no label.")
@click.option("--resume", is_flag=True, help="Leave out, untouched, what the record says is in service just so.")
@click.option("-n", "--dry-run", is_flag=True, help="Identify and compare; write nothing.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before a board gets another name, or an entry another chip.")
@click.option("--no-input", is_flag=True, help="Never ask; what needs an answer fails.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option("-q", "--quiet", is_flag=True, help="Errors only.")
def flash(boards: tuple[str, ...], every: bool, as_json: bool, quiet: bool, **how: Any) -> None:
    """Every fault of the command as a whole is a HostError; of one board among several it is in that board's result."""
    if how["no_input"]:
        passphrase.never_ask()
    inv = load(how["inventory"])
    entries = _chosen(inv, boards, every)
    many = every or len(entries) > 1
    stop = batch.Stop()
    screen = Screen([entry.name for entry in entries], quiet) if many else None
    questions = batch.Questions(functools.partial(_put, screen), stop)
    asked = _how(inv, entries, how, functools.partial(_confirm, how["yes"], how["no_input"], questions), stop)
    jobs = [Job(asked, entry, screen.row(entry.name) if screen else Steps(quiet)) for entry in entries]
    try:
        with screen or contextlib.nullcontext():
            if how["resume"]:
                batch.leave_out(jobs)
            found = bench.assign(inv, [job.entry for job in jobs if not job.left_out], how["ports"])
            interrupted = batch.run(jobs, found, stop, questions)
    finally:
        if asked.upstream:
            asked.upstream.close()
    (_say_many if many else _say_one)(jobs, found, as_json=as_json, quiet=quiet)
    if interrupted:
        raise click.exceptions.Exit(errors.INTERRUPTED)


def _chosen(inv: Inventory, names: Sequence[str], every: bool) -> list[Board]:
    if every and names:
        raise click.UsageError(_("Name boards, or say --all."))
    if not every and not names:
        ctx = click.get_current_context()
        raise click.MissingParameter(_("or --all"), ctx, next(param for param in ctx.command.params if param.name == "boards"))
    return list(inv.boards.values()) if every else [find_board(inv, name) for name in dict.fromkeys(names)]


def _how(
    inv: Inventory, entries: Sequence[Board], said: dict[str, Any], confirm: Callable[[str, str], None], stop: batch.Stop
) -> How:
    keyed = any(entry.kid for entry in entries)
    shelf = _shelf(said["bundle"] or beside(inv.path))
    return How(
        inv=inv,
        secrets=said["secrets"],
        issued=keys.read(said["secrets"]) if keyed else {},
        confirm=confirm,
        halt=stop.halt,
        bundle=shelf.path if shelf else None,
        releases=_releases(shelf) if shelf else {},
        adopt=said["adopt"],
        micropython=said["micropython"],
        record=said["record"] or inv.path.parent / record.FILE,
        labels=None if said["no_label"] else said["labels"] or inv.path.parent / "labels",
        trust=trusted_keys(said["trust"]) if said["trust"] else None,
        release=release.read(said["release"]) if said["release"] else None,
        selftest=not said["no_selftest"],
        uplink_s=said["uplink_s"],
        upstream=_upstream(said) if said["broker"] and said["uplink_s"] and not said["dry_run"] else None,
        dry_run=said["dry_run"],
    )


def _shelf(path: Path | None) -> Bundle | None:
    """The bundle that was named, or lies beside the inventory; bytecode comes from it from now on. HostError (bad_bundle)."""
    found = Bundle(path) if path else None
    build.take_from(found)
    return found


def _releases(shelf: Bundle) -> dict[str, Release]:
    """The newest release for each kind of board in a bundle. HostError: bad_bundle, bad_release."""
    names = [name for name in shelf.manifest.files if name.startswith("releases/")]
    found = [release.load(shelf.read(name), f"{shelf.path}: {name}") for name in names]
    return {each.manifest.kind: each for each in sorted(found, key=lambda each: each.manifest.release)}


def _upstream(said: dict[str, Any]) -> uplink.Upstream:
    return uplink.broker(said["broker"], said["user"], said["ca_file"], os.environ.get("JOURDAIN_PASSWORD"))


def _put(screen: Screen | None, question: str) -> bool:
    if screen is None:
        return click.confirm(question, err=True)
    with screen.aside():
        return click.confirm(question, err=True)


def _confirm(yes: bool, no_input: bool, questions: batch.Questions, board: str, question: str) -> None:
    """HostError (unconfirmed) unless somebody says yes."""
    if yes:
        return
    if no_input or not sys.stdin.isatty():
        raise HostError("unconfirmed", question, board, _("say --yes"))
    if not questions.ask(question):
        raise HostError("unconfirmed", _("you said no: {question}").format(question=question), board, _("nothing was written"))


def _say_one(jobs: Sequence[Job], _bench: bench.Bench, *, as_json: bool, quiet: bool) -> None:
    (job,) = jobs
    if as_json:
        click.echo(json.dumps(outcome.document(job), ensure_ascii=False))
    elif not quiet and job.error is None and not job.halted:
        click.echo(outcome.summary(job))
    if job.error:
        click.echo(errors.lines(job.error), err=True)
        raise click.exceptions.Exit(errors.exit_code(job.error))


def _say_many(jobs: Sequence[Job], found: bench.Bench, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        click.echo(json.dumps(outcome.documents(jobs, found), ensure_ascii=False))
    elif not quiet:
        outcome.table(jobs)
    failed = [job for job in jobs if job.error]
    for job in failed:
        click.echo(f"\n{job.entry.name}\n{errors.lines(job.error)}" if job.error else "", err=True)
    for place in found.others:
        said = _("{port}: the chip {uid} is none of these boards") if place.uid else _("{port}: no chip says who it is ({there})")
        click.echo(said.format(port=place.port, uid=place.uid, there=place.there), err=True)
    if failed and not any(job.halted for job in jobs):
        what = _("{failed} of {count} boards failed: {names}").format(
            failed=len(failed), count=len(jobs), names=", ".join(job.entry.name for job in failed)
        )
        hint = _("run the same command again: what is in service is left as it is")
        click.echo("\n" + errors.lines(HostError("partial", what, str(failed[0].how.inv.path), hint)), err=True)
        raise click.exceptions.Exit(errors.EXIT["partial"])

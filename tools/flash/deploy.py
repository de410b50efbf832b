"""One board, from what is plugged in to its first uplink: every step a function, in the order of `way`."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from gateway.errors import HostError
from tools import errors
from tools.diag.service import Port
from tools.flash import connect, provision, write
from tools.flash.checks import close_again, compare_status, first_uplink, greet, judge_hello, self_test, update
from tools.flash.chip import adopt, interpreter, recognise
from tools.flash.config import CONFIG, board_files
from tools.flash.job import ALREADY_SO, APPLIED, CONSOLE, FAILED, REPL, SILENT, Halt, Item, Job
from tools.flash.keep import keep
from tools.i18n import _, n_

HELLO_S = 20.0
BLOCK = 4096  # bytes: what a file costs at least
OWN = ("secret.json", "trust")

_building = threading.Lock()  # twenty boards of one kind are compiled once


def way(job: Job) -> Iterator[Callable[[Job], None]]:
    """The steps of a board in their order. What is found on the way decides how it goes on."""
    yield build
    yield look
    if job.there == CONSOLE:
        yield greet
    if job.there == CONSOLE and (job.release or job.how.dry_run):
        yield adopt
        yield compare_status
        yield update
    else:
        yield enter
        yield interpreter
        if job.there == SILENT:
            return  # a dry run, and nothing to ask yet
        yield recognise
        yield counter
        yield adopt
        yield plan
        yield copy
        yield restart
    if not job.how.dry_run:
        yield self_test
        yield first_uplink
        yield close_again


def deploy(job: Job) -> None:
    """Go the way of one board. A fault is `job.error`; only a library that is missing, for every board, is raised."""
    began = time.monotonic()
    name = ""
    try:
        for step in way(job):
            job.how.halt()
            name = step.__name__
            step(job)
    except HostError as error:
        _failed(job, name, error)
    except Halt:
        job.halted = True
    except ModuleNotFoundError as error:
        _failed(job, name, HostError("missing_tool", str(error), job.where))
        raise
    except Exception as error:
        _failed(job, name, errors.unexpected(error))
    finally:
        job.leave()
        job.seconds = time.monotonic() - began
        keep(job)


def _failed(job: Job, step: str, error: HostError) -> None:
    job.error = error
    job.items.append(Item(step, FAILED, f"{error.name}: {error.what}"))


def build(job: Job) -> None:
    """Every file that the board shall have."""
    make_files(job)
    job.steps.done(_("built: {count} files, {size} bytes").format(count=len(job.files), size=sum(map(len, job.files.values()))))


def make_files(job: Job) -> None:
    """Without a word. HostError: bad_keys, test_key, compile, missing_tool."""
    issued, entry = job.how.issued, job.entry
    made_for = issued.get(entry.kid or "", {}).get("board")
    if made_for and made_for != entry.name:
        what = _("this key id was issued for {other}").format(other=made_for)
        where = _("{path}, key id {kid}").format(path=job.how.secrets, kid=entry.kid)
        raise HostError("bad_keys", what, where, _("a key id is never given to another board: make a new one"))
    with _building:
        job.files = board_files(job.how.inv, entry, {kid: made["secret"] for kid, made in issued.items()})
    if job.how.trust is not None:
        job.files["trust"] = job.how.trust


def look(job: Job) -> None:
    """What is at the port: a REPL, a program whose REPL is closed, or nothing that answers, as a chip without MicroPython."""
    if job.there:
        return
    job.there = SILENT
    if not job.port:
        return
    try:
        job.connection = connect.Connection(job.port)
        job.there = REPL
    except HostError as error:
        if error.name == "repl_closed":
            job.there = CONSOLE
        elif error.name == "no_device":
            job.missing = error
        else:
            raise


def enter(job: Job) -> None:
    """The REPL of a board in production, opened with its key until its next boot."""
    if job.there != CONSOLE:
        return
    job.program.service.ask("open")
    job.free()
    try:
        job.connection, job.there = connect.Connection(job.port or ""), REPL
    except HostError:
        with contextlib.suppress(HostError):
            job.listen(Port(job.port or "")).service.ask("reboot")  # which closes it
        raise


def counter(job: Job) -> None:
    """Has the key a counter on this chip, and on no other? HostError (bad_keys)."""
    assert job.found is not None
    job.fresh_counter = provision.wanted(job.entry, job.found, job.how.issued)


def plan(job: Job) -> None:
    """What is to be written: the difference."""
    found, entry = job.found, job.entry
    assert found is not None
    if job.adopted:
        make_files(job)  # they say which chip it is
    job.todo = write.plan(job.files, write.hashes(job.repl, job.files))
    if job.how.dry_run:
        return
    # New files lie beside the old ones for a while.
    need = sum(-(-len(job.files[path]) // BLOCK) * BLOCK for path in job.todo.write)
    if need > found.free:
        what = _("the board has {free} bytes free, {need} are needed").format(free=found.free, need=need)
        raise HostError("transfer", what, job.where, _("remove files of yours from the board"))
    if found.board != entry.name and (found.board or found.main):
        other = found.board or _("a program of its own (main.py)")
        job.confirm(_("The board holds {other}. Make it {board}?").format(other=other, board=entry.name))


def copy(job: Job) -> None:
    """Write the difference and read it back; the application in slot a is in force then."""
    assert job.found is not None
    if not job.how.dry_run:
        provision.make(job.repl, job.entry, job.found, job.how.secrets, fresh=job.fresh_counter)
    if job.fresh_counter:
        job.item("counter", True, _("counter of key id {kid}: new").format(kid=job.entry.kid))
    if job.found.old:
        job.steps.done(_("its configuration was one file, as the first boards had it: it gets two generations"))
    if job.found.settings:
        job.steps.done(_("the board keeps what commands and calibration changed on it"))
    if not job.how.dry_run:
        write.copy(job.repl, job.files, job.todo, lambda path: _copying(job, path))
        job.steps.done(n_("copied: {count} file, {same} were right already", "copied: {count} files, {same} were right already",
                          len(job.todo.write)).format(count=len(job.todo.write), same=len(job.todo.same)))  # fmt: skip
    _note_files(job)


def _copying(job: Job, path: str) -> None:
    job.how.halt()
    job.steps.doing(path)


def _note_files(job: Job) -> None:
    todo = job.todo
    changed = {*todo.write, *todo.remove}
    parts = {"configuration": changed & set(CONFIG), "key": changed & set(OWN), "application": changed - {*CONFIG, *OWN}}
    for name, paths in parts.items():
        why = n_("{count} file", "{count} files", len(paths)).format(count=len(paths)) if paths else _("right already")
        job.items.append(Item(name, APPLIED if paths else ALREADY_SO, why))


def restart(job: Job) -> None:
    """Start the board's own program and hear its hello."""
    job.repl.restart()
    if job.how.dry_run:
        return
    judge_hello(job, job.listen(job.repl.line()).wait_hello(HELLO_S))

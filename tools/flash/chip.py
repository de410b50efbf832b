"""Steps of deploy.py about the chip: is it the board that is meant, and does a MicroPython run on it that is new enough?"""

from dataclasses import replace

from gateway.errors import HostError
from tools import edit
from tools.flash import connect, identify, micropython
from tools.flash.job import REPL, SILENT, Job
from tools.i18n import _

MISSING, OLD, ALWAYS, NEVER = MODES = ("missing", "old", "always", "never")


def may_be(job: Job, uid: str) -> None:
    """Refuse a chip that is not the board's. One that boards.yaml does not know may be bound to it: --adopt, and a yes.

    HostError: mismatch, unconfirmed.
    """
    job.uid = uid
    if uid in (job.entry.uid, job.adopted):
        return
    if not job.how.adopt or identify.owner(job.how.inv, uid):
        identify.compare_uid(job.how.inv, job.entry, uid)
    question = _("Bind the chip {uid} to {board}?")
    if job.entry.uid:
        question = _("{board} has the chip {old}. Bind {uid} to it instead?")
    if not job.how.dry_run:
        job.confirm(question.format(uid=uid, board=job.entry.name, old=job.entry.uid))
    job.adopted = uid


def adopt(job: Job) -> None:
    """Write the chip into boards.yaml, where it was adopted: what the board is given says it as well."""
    if job.adopted is None:
        return
    before = job.entry.uid
    job.entry = replace(job.entry, uid=job.adopted)
    why = _("chip {uid}, in boards.yaml from now on").format(uid=job.adopted)
    if before:
        why = _("chip {uid}, in boards.yaml from now on instead of {old}").format(uid=job.adopted, old=before)
    if not job.how.dry_run:
        edit.set_uid(job.how.inv.path, job.entry.name, job.adopted)
    job.item("identity", True, why)


def interpreter(job: Job) -> None:
    """MicroPython itself, where there is none or an old one, or always: as the command line says."""
    mode = job.how.micropython
    if job.there == REPL:
        job.found = identify.ask(job.repl)
        identify.compare_chip(job.how.inv, job.entry, job.found)
        may_be(job, job.found.uid)
        old = job.found.version[:2] < identify.OLDEST
        if not (mode == ALWAYS or (old and mode in (OLD, None))):
            return
    elif mode == NEVER:
        raise _missing(job)
    image = _image(job)
    if image is None:
        return
    text = ".".join(map(str, image.version))
    if job.how.dry_run:
        job.item("micropython", True, _("MicroPython {version}: to be put on").format(version=text))
        return
    job.free()
    kind = job.how.inv.presets.boards[job.entry.type]
    job.port = micropython.install(kind, image, job.port, job.steps.doing, lambda uid: may_be(job, uid))
    job.micropython_sha256 = image.sha256
    job.there, job.connection, job.found = REPL, connect.Connection(job.port), None
    job.item("micropython", True, _("MicroPython {version}: put on").format(version=text))


def _image(job: Job) -> micropython.Image | None:
    """The image to be put on; None: none is at hand, and an old MicroPython is refused later. HostError."""
    kind = job.how.inv.presets.boards[job.entry.type]
    if job.there == SILENT and kind.platform == "rp2" and not micropython.bootsel(kind):
        raise _missing(job)
    try:
        return micropython.image(job.how.bundle, kind)
    except HostError as error:
        if error.name != "no_image" or job.how.micropython is not None:
            raise
    if job.there == SILENT:
        raise _missing(job)
    return None


def _missing(job: Job) -> HostError:
    hint = _("is it a data cable? some carry power only")
    return job.missing or HostError("no_device", _("no board is plugged in"), job.entry.name, hint)


def recognise(job: Job) -> None:
    """Say which chip it is, and what runs on it."""
    job.found = found = job.found or identify.ask(job.repl)
    job.steps.done(_("found: {machine}, MicroPython {version}, {uid}").format(
        machine=found.machine, version=found.micropython, uid=found.uid))  # fmt: skip
    identify.compare_chip(job.how.inv, job.entry, found)
    identify.compare_interpreter(job.entry, found)
    may_be(job, found.uid)

"""Steps of deploy.py with a program that runs: a board in production updated by its console, and what every board must show."""

from typing import Any

from firmware.node import RELEASE
from gateway.bundle import Manifest
from gateway.errors import HostError
from tools.diag.selftest import judge
from tools.diag.service import Port
from tools.diag.update import send
from tools.flash import uplink
from tools.flash.chip import may_be
from tools.flash.job import Job
from tools.flash.running import FATAL, Hello
from tools.i18n import _

BACK_S = 30.0  # from the last byte of a release to the hello of what it brought
MEASURE_S = 100.0  # a GPS receiver's first fix takes more than a minute
CABLE_S = 15.0  # a board on a cable measures and reports as soon as it has started
TOLD = ("kid", "role", "service", "link")  # what a status says of a configuration, and no command changes


def greet(job: Job) -> None:
    """Make sure, by its console, that a board in production is the one that is meant, and that we have its key."""
    assert job.port is not None
    program = job.listen(Port(job.port))
    identity = program.service.greet()
    job.status = program.service.ask("status")
    may_be(job, identity.uid)
    job.closed = bool(job.status["production"])
    job.steps.done(_("found: in production, firmware {firmware}, release {release}, {uid}").format(**job.status))


def compare_status(job: Job) -> None:
    """Does its configuration say what boards.yaml says? A release brings an application, and no configuration."""
    differ = []
    for name in TOLD:
        there, here = job.status.get(name), getattr(job.entry, name)
        if there != here and "config" not in job.status:
            differ.append(_("{name} is {there}, boards.yaml says {here}").format(name=name, there=there, here=here))
    if job.release is None:  # a dry run: its REPL would be opened, and all of it put right
        for each in differ:
            job.steps.done(each)
    elif differ or "config" in job.status:
        what = "; ".join(differ) or _("its configuration is damaged: {detail}").format(detail=job.status["config"])
        hint = _("a release brings no configuration: flash without --release, which opens the REPL with the board's key")
        raise HostError("mismatch", what, job.where, hint)


def update(job: Job) -> None:
    """Bring the release that was named onto the board, wait for its restart, and look whether it runs."""
    release = job.release
    if release is None:
        job.steps.done(_("its REPL would be opened with its key, and closed again by its restart"))
        return
    wanted = release.manifest
    words = {"release": wanted.release, "version": wanted.version, "found": job.status["release"]}
    _refuse_release(job, wanted)
    if job.status["release"] == wanted.release:
        job.item("application", False, _("release {release} ({version}): runs already").format(**words))
        if not job.how.dry_run:
            judge_hello(job, job.program.ask_hello(BACK_S))
        return
    if job.how.dry_run:
        job.item("application", True, _("release {release} ({version}): to be sent").format(**words))
        return
    job.sent = send(job.program.service, release, lambda done, whole: _sending(job, done, whole))
    judge_hello(job, job.program.restarted(job.uid or "", BACK_S))
    job.status = job.program.service.ask("status")
    if job.status["release"] != wanted.release:
        what = _("the board came back with release {found}, not with {release}").format(**words)
        raise HostError("transfer", what, job.where, _("ask it why: jourdain board BOARD log"))
    why = _("release {release} ({version}): {sent} bytes sent; on trial until its gateway answers it")
    job.item("application", True, why.format(sent=job.sent, **words))


def _refuse_release(job: Job, wanted: Manifest) -> None:
    if wanted.kind != job.kind:
        what = _("this release is for another kind of board: {found}").format(found=wanted.kind)
        hint = _("build one for {board}: {kind}").format(board=job.entry.name, kind=job.kind)
        raise HostError("bad_release", what, job.where, hint)
    if wanted.release < job.status["release"]:
        what = _("the board runs release {found}, and goes back to no older one: {release}")
        raise HostError("bad_release", what.format(found=job.status["release"], release=wanted.release), job.where,
                        _("build a newer one: jourdain release build"))  # fmt: skip


def _sending(job: Job, done: int, whole: int) -> None:
    job.how.halt()
    job.steps.doing(_("{done} of {whole} bytes").format(done=done, whole=whole))


def judge_hello(job: Job, hello: Hello) -> None:
    """Is it the board, and can it work? A sensor that is not plugged in yet is a note here, no fault."""
    job.hello = hello
    if hello.uid != job.uid:
        what = _("the hello names the chip {uid}").format(uid=hello.uid)
        raise HostError("mismatch", what, job.where, _("run the command again"))
    for line in job.log:
        if line.startswith("error "):
            said = _("the board says: {error}").format(error=line)
            if line.split()[1] in FATAL:
                raise HostError("device_fault", said, job.where, _("look at boards.yaml and flash again"))
            job.steps.done(said)
    job.steps.done(_("runs: firmware {firmware}").format(firmware=hello.firmware))


def self_test(job: Job) -> None:
    """The board measures with every sensor and asks its radio; here it is judged by limits. HostError (device_fault)."""
    if not job.how.selftest:
        return
    service = job.program.service
    job.status = service.ask("status")
    _runs_what_it_shall(job)
    found = service.ask("selftest", answer_s=MEASURE_S, tries=1)
    job.piv = found.get("piv")
    job.checks = judge(found, found.get("drivers", {}), job.how.inv.presets.drivers)
    failed = [check for check in job.checks if not check.passed]
    if failed:
        names = ", ".join(f"{check.name}: {check.error or check.value}" for check in failed)
        what = _("the self-test failed: {checks}").format(checks=names)
        raise HostError("device_fault", what, service.where, _("look at wiring and power of what failed"))
    job.steps.done(_("self-test passed: {checks}").format(checks=", ".join(check.name for check in job.checks)))


def _runs_what_it_shall(job: Job) -> None:
    """A board that has fallen back, or is in its safe mode, says hello too."""
    status: dict[str, Any] = job.status
    if status["safe"]:
        what = _("the board is in its safe mode: its application has failed too often")
        raise HostError("device_fault", what, job.where, _("ask it why: jourdain board BOARD log"))
    if job.connection and (status["slot"], status["release"]) != ("a", RELEASE):
        what = _("the board runs release {release} of slot {slot}, not what was written").format(**status)
        raise HostError("device_fault", what, job.where, _("ask it why: jourdain board BOARD log"))


def first_uplink(job: Job) -> None:
    """The first sealed frame: opened here where it comes on this very cable, else looked for at the broker."""
    wait_s = job.how.uplink_s
    if job.entry.kid is None:
        job.uplink_said = _("a radio bridge reports nothing of its own")
    elif wait_s == 0 or (wait_s is None and job.entry.link != "serial"):
        job.uplink_said = _("not looked for")
    elif job.entry.link == "serial":
        secret = job.how.issued[job.entry.kid]["secret"]
        fresh = job.connection is not None or job.sent > 0
        job.seen = uplink.on_cable(job.program, job.entry.kid, secret, CABLE_S if wait_s is None else wait_s, fresh=fresh)
        _say_uplink(job, CABLE_S if wait_s is None else wait_s)
    else:
        _by_radio(job, wait_s or 0)
    job.steps.done(_("first uplink: {said}").format(said=job.uplink_said))


def _by_radio(job: Job, wait_s: float) -> None:
    entry, program = job.entry, job.program
    if job.how.upstream is not None:
        # What was published of this key before, and what waits in a gateway, is not this board's first word.
        upcoming = job.piv or program.service.ask("status")["piv"]
        first = min([*uplink.taken(program.log), upcoming])
        job.seen = job.how.upstream.wait(entry.site, entry.kid or "", first, wait_s, lambda: program.service.listen(0))
        _say_uplink(job, wait_s)
        return
    sent = program.until(lambda: uplink.taken(program.log) or None, wait_s)
    if not sent:
        raise _not_seen(job, wait_s)
    job.uplink_said = _("its log says that counter {piv} was sealed for the radio; not looked for upstream: no --broker")
    job.uplink_said = job.uplink_said.format(piv=sent[0])


def _say_uplink(job: Job, wait_s: float) -> None:
    if job.seen:
        values = uplink.said(job.seen)
        job.uplink_said = _("seen, via {via}: key id {kid}, counter {piv}: {values}")
        job.uplink_said = job.uplink_said.format(via=uplink.way(job.seen), kid=job.seen.kid, piv=job.seen.piv, values=values)
        return
    if job.how.uplink_s is not None:
        raise _not_seen(job, wait_s)
    job.uplink_said = _("not seen within {seconds} s").format(seconds=round(wait_s))


def _not_seen(job: Job, wait_s: float) -> HostError:
    job.uplink_said = _("not seen within {seconds} s").format(seconds=round(wait_s))
    what = _("no uplink of {board} was seen within {seconds} s").format(board=job.entry.name, seconds=round(wait_s))
    hint = _("does a gateway hear it? wait longer: --uplink SECONDS; or do not: --uplink 0")
    return HostError("timeout", what, job.where, hint)


def close_again(job: Job) -> None:
    """What was in production before is in production again."""
    if not job.closed:
        return
    service = job.program.service
    if not service.ask("status")["production"]:
        service.ask("production", True)
        if not service.ask("status")["production"]:
            raise HostError("device_fault", _("the board's REPL stays open"), job.where, _("jourdain board BOARD production on"))
    job.steps.done(_("in production: its REPL is closed"))

"""`jourdain board TARGET ...`: look at a running board and set it up, over its cable, without stopping its program."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from gateway.bundle import read as read_bundle
from gateway.errors import HostError
from gateway.presets import presets
from tools import errors
from tools.diag.board_target import board, command
from tools.diag.board_view import View
from tools.diag.selftest import judge
from tools.diag.service import Service
from tools.diag.update import send
from tools.flash.progress import Steps
from tools.i18n import _

__all__ = ["board"]

MEASURE_S = 100.0  # a GPS receiver's first fix takes more than a minute


@command("status", "Show who the board is and how it is.")
def status(service: Service, show: View) -> None:
    """Op status."""
    show.table(service.ask("status"))


@command("counters", "Show what the board has counted since its boot.")
def counters(service: Service, show: View) -> None:
    """Op counters."""
    show.table(service.ask("counters"))


@command("log", "Show what went wrong on the board, its last crashes too.")
def log(service: Service, show: View) -> None:
    """Op log."""
    show.log(service.ask("log"))


@command("readings", "Show what the board measures, again and again until Ctrl-C; nothing of it is sent.")
@click.option("--count", type=click.IntRange(min=1), help="End after so many.")
@click.option("--every", type=click.FloatRange(min=0), default=2.0, show_default=True, help="Seconds between two.")
def readings(service: Service, show: View, count: int | None, every: float) -> None:
    """Op readings."""
    with show.live() as line:
        while True:
            line(service.ask("readings", answer_s=MEASURE_S, tries=1))
            if count is not None:
                count -= 1
                if not count:
                    return
            time.sleep(every)


@command("selftest", "Measure with every sensor, ask the radio, and judge it all by its limits; a failure ends with 10.")
def selftest(service: Service, show: View) -> None:
    """Op selftest."""
    found = service.ask("selftest", answer_s=MEASURE_S, tries=1)
    checks = judge(found, found.get("drivers", {}), presets().drivers)
    show.checks(checks)
    failed = [check.name for check in checks if not check.passed]
    if failed:
        what = _("the self-test failed: {checks}").format(checks=", ".join(failed))
        hint = _("look at wiring and power of what failed")
        click.echo(errors.lines(HostError("device_fault", what, service.where, hint)), err=True)
        raise click.exceptions.Exit(errors.EXIT["device_fault"])


@command("calibrate", "Take what the sensors see now for an empty bin, a free bay. The board restarts.")
def calibrate(service: Service, show: View) -> Mapping[str, Any]:
    """Op calibrate."""
    settings: Mapping[str, Any] = service.ask("calibrate", answer_s=MEASURE_S, tries=1)
    show.done(settings, _("calibrated; the board restarts"))
    return settings


@command("set", "Change settings of its service, NAME=VALUE each. The board restarts.")
@click.argument("settings", nargs=-1, required=True, metavar="NAME=VALUE...")
def set_(service: Service, show: View, settings: tuple[str, ...]) -> Mapping[str, Any]:
    """Op set."""
    pairs: list[Any] = []
    for text in settings:
        name, equals, value = text.partition("=")
        if not equals or not value.lstrip("-").isdigit():
            raise click.BadParameter(_("{text!r} is not NAME=NUMBER").format(text=text))
        pairs += [name, int(value)]
    found: Mapping[str, Any] = service.ask("set", *pairs)
    show.done(found, _("set; the board restarts"))
    return found


@command("interval", "Report every so many seconds. The board restarts.")
@click.argument("seconds", type=click.IntRange(10, 86400))
def interval(service: Service, show: View, seconds: int) -> None:
    """Op interval."""
    service.ask("interval", seconds)
    show.done({"report_s": seconds}, _("set; the board restarts"))


@command("reboot", "Restart the board.")
def reboot(service: Service, show: View) -> None:
    """Op reboot."""
    service.ask("reboot")
    show.done({"reboot": True}, _("the board restarts"))


@command("production", "Close the board's REPL for good (on), or open it again (off).")
@click.argument("state", type=click.Choice(("on", "off")))
def production(service: Service, show: View, state: str) -> None:
    """Op production."""
    closed = service.ask("production", state == "on")
    said = _("the REPL is closed; `jourdain board BOARD open` opens it") if closed else _("the REPL is open")
    show.done({"production": closed}, said)


@command("open", "Open the REPL of a board in production until its next boot.")
def open_(service: Service, show: View) -> None:
    """Op open."""
    service.ask("open")
    show.done({"open": True}, _("the REPL is open until the next boot: Ctrl-C"))


@command("update", "Bring a release onto the board: it tries it, and keeps it once it is heard. BUNDLE: of `jourdain release`.")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def update(service: Service, show: View, bundle: Path, quiet: bool) -> None:
    """Op update. Can be interrupted and run again: it goes on where it was."""
    found = read_bundle(bundle)
    steps = Steps(quiet)
    sent = send(service, found, lambda done, whole: steps.doing(_("{done} of {whole} bytes").format(done=done, whole=whole)))
    said = {"release": found.manifest.release, "version": found.manifest.version, "sent": sent}
    if show.as_json:
        show.document(said)
        return
    steps.done(_("{sent} bytes sent; all else was there").format(**said))
    show.rows([(_("The board restarts and tries release {release} ({version}).").format(**said),),
               (_("It keeps it once it is answered, and takes the old one back if it is not."),)])  # fmt: skip

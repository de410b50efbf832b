"""`jourdain doctor`: the check-list before a call for help. It changes nothing and writes nothing."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

from gateway.errors import HostError
from tools import completion
from tools.doctor import report
from tools.doctor.report import FAIL, SKIP, Check
from tools.i18n import _


class Asked(NamedTuple):
    """What to look at. `root`: the folder that stands for `/` (sysfs, /proc, /dev, /etc)."""

    port: str | None = None
    broker: str | None = None
    gateway: Path | None = None
    bundle: Path | None = None
    inventory: Path = Path("boards.yaml")
    secrets: Path = Path("secrets.json")
    user: str | None = None
    ca_file: Path | None = None
    root: Path = Path("/")


@click.command(
    help="Look for what is wrong between this machine, the cable, the board and the broker, and say what to do next.",
    epilog=_("Examples: `jourdain doctor`, `jourdain doctor --broker mqtts://broker.example --json`."),
)
@click.option("--port", envvar="JOURDAIN_PORT", shell_complete=completion.ports,
              help="Look at this port; without it at every board on USB.")  # fmt: skip
@click.option("--broker", metavar="URL", help="Ask this broker: mqtt:// or mqtts://; its password is in JOURDAIN_PASSWORD.")
@click.option("--user", help="Name at the broker.")
@click.option("--ca-file", type=click.Path(path_type=Path), help="The authority that signed the broker's certificate.")
@click.option("--gateway", type=click.Path(path_type=Path), metavar="TOML", help="Ask the brokers of this gateway.toml.")
@click.option("--bundle", type=click.Path(path_type=Path), envvar="JOURDAIN_BUNDLE", help="Made by `jourdain bundle`.")
@click.option("--inventory", type=click.Path(path_type=Path), default=Path("boards.yaml"), help="The fleet.")
@click.option("--secrets", type=click.Path(path_type=Path), default=Path("secrets.json"), help="Made by `jourdain keys new`.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def doctor(as_json: bool, **asked: object) -> None:
    """Ends with 0 when nothing failed, else with the highest exit code of what did."""
    if as_json:
        os.environ["LANGUAGE"] = "en"  # the words of a document are always English
    found = look(Asked(**asked))  # type: ignore[arg-type]
    if as_json:
        click.echo(json.dumps(report.document(found), ensure_ascii=False))
    else:
        report.show(found)
    click.get_current_context().exit(report.exit_code(found))


def look(asked: Asked) -> list[Check]:
    """All checks, in the order in which a person would repair things."""
    parts = {"machine": _machine, "files": _files, "usb": _line, "board": _boards, "broker": _brokers}
    return [check for name, part in parts.items() for check in _guarded(name, part(asked))]


def _guarded(name: str, checks: Iterator[Check]) -> Iterator[Check]:
    """The checks; where one cannot be done, that is said in its place, and the list goes on with the next part."""
    try:
        yield from checks
    except ModuleNotFoundError as error:
        yield Check(name, SKIP, _("needs {library}, which is not installed").format(library=error.name))
    except HostError as error:
        yield report.failed(name, error)


def _machine(asked: Asked) -> Iterator[Check]:
    from tools.doctor import machine  # noqa: PLC0415

    yield machine.check_python()
    yield machine.check_libraries()
    yield machine.check_disk(asked.inventory.parent)
    yield machine.check_clock(asked.inventory.stat().st_mtime if asked.inventory.exists() else 0.0)
    yield machine.check_compiler()


def _files(asked: Asked) -> Iterator[Check]:
    from tools.doctor import fleet, machine  # noqa: PLC0415

    boards, inventory = fleet.check_boards(asked.inventory)
    yield boards
    yield machine.check_esptool({board.type for board in inventory.boards.values()} if inventory else ())
    yield fleet.check_secrets(asked.secrets)
    yield fleet.check_bundle(asked.bundle or asked.inventory.with_name("jourdain.bundle"), inventory, named=bool(asked.bundle))


def _line(asked: Asked) -> Iterator[Check]:
    from tools.doctor import access, usb  # noqa: PLC0415

    named = _named(asked)
    if (asked.root / "sys/bus/usb").is_dir() and not (named and (asked.root / named[1:]).exists()):
        found = usb.devices(asked.root)
        yield usb.check_ports(found)
        yield usb.check_driver(found, asked.root)
    else:
        yield usb.check_named(_ports(asked))
    files = [port for port in _ports(asked) if port.startswith("/")]
    yield access.check_permission(files, asked.root)
    yield access.check_holder(files, asked.root)


def _named(asked: Asked) -> str:
    return asked.port if asked.port and asked.port != "auto" else ""


def _ports(asked: Asked) -> list[str]:
    """The port that was named, else every board's on USB. HostError no_device, ambiguous."""
    from tools.doctor import usb  # noqa: PLC0415
    from tools.flash.ports import candidates, resolve  # noqa: PLC0415

    if _named(asked):
        return [resolve(asked.port)]
    if (asked.root / "sys/bus/usb").is_dir():
        return [port for device in usb.devices(asked.root) for port in device.ports]
    return [each.device for each in candidates()]


def _boards(asked: Asked) -> Iterator[Check]:
    from tools.doctor import access, board, fleet  # noqa: PLC0415

    yield fleet.check_bootsel()
    _check, inventory = fleet.check_boards(asked.inventory)
    names = {entry.uid: name for name, entry in inventory.boards.items() if entry.uid} if inventory else {}
    for port in _ports(asked):
        file = [port] if port.startswith("/") else []
        shut = access.check_permission(file, asked.root), access.check_holder(file, asked.root)
        if any(check.state == FAIL for check in shut):
            yield Check("board", SKIP, _("{port} cannot be opened").format(port=port))
        else:
            yield board.check(str(asked.root / port[1:]) if file else port, names)


def _brokers(asked: Asked) -> Iterator[Check]:
    from tools.doctor import broker  # noqa: PLC0415

    configs = broker.asked(asked.broker, asked.user, asked.ca_file, asked.gateway)
    if not configs:
        yield Check("broker", SKIP, _("none was named"), "jourdain doctor --broker mqtts://HOST:8883")
    for config, password in configs:
        yield broker.check(config, password)

"""`jourdain doctor`: the check-list before a call for help. It changes nothing and writes nothing."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

from gateway.errors import HostError
from tools.doctor import report
from tools.doctor.report import SKIP, Check
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
    epilog=_("Examples: `jourdain doctor`, `jourdain doctor --port /dev/ttyACM0 --broker mqtts://broker.example:8883 --json`."),
)
@click.option("--port", envvar="JOURDAIN_PORT", help="Look at this port; without it at every board on USB.")
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
    parts = {"python": _machine, "boards": _files, "usb": _line, "broker": _brokers}
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


def _line(asked: Asked) -> Iterator[Check]:
    from tools.doctor import access, usb  # noqa: PLC0415

    ports: list[str] = []
    if (asked.root / "sys").is_dir():
        found = usb.devices(asked.root)
        ports = [port for device in found for port in device.ports]
        yield usb.check_ports(found)
        yield usb.check_driver(found, asked.root)
    elif sys.platform != "linux":
        from tools.flash.connect import usb_ports  # noqa: PLC0415

        ports = usb_ports()
        yield usb.check_named(ports)
    if asked.port and asked.port != "auto":
        ports = [asked.port]
    files = [port for port in ports if port.startswith("/")]
    yield access.check_permission(files, asked.root)
    yield access.check_holder(files, asked.root)


def _brokers(asked: Asked) -> Iterator[Check]:
    from tools.doctor import broker  # noqa: PLC0415

    configs = broker.asked(asked.broker, asked.user, asked.ca_file, asked.gateway)
    if not configs:
        yield Check("broker", SKIP, _("none was named"), "jourdain doctor --broker mqtts://HOST:8883")
    for config, password in configs:
        yield broker.check(config, password)

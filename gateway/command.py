"""`jourdain gateway` and `python -m gateway`: run the daemon, check its files."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from firmware.wire.seal import Keys
from gateway import alarm_command, keys, windows
from gateway import config as configuration
from gateway import inventory as fleet
from gateway.clock import Clock, FileClock, SystemClock
from gateway.config import DOCUMENTATION_PREFIX, Config
from gateway.daemon import Daemon, check, held_keys
from gateway.errors import HostError
from gateway.events import Events
from gateway.heal import Doctor
from gateway.rescue import CONFIG, JSON, backup, init, restore
from gateway.upstream.tls import Trust

_GARBAGE = 20_000  # objects more than there were, before the collector looks for cycles


@click.group()
def gateway() -> None:
    """Run or look at the gateway's daemon."""


gateway.add_command(init)
gateway.add_command(backup)
gateway.add_command(restore)


@gateway.command()
@CONFIG
@click.option("--clock", type=click.Path(exists=True, path_type=Path), help="A file that keeps the time: a simulated town's.")
@click.option("--events", is_flag=True, help="Say every event as a line of JSON on standard output.")
@click.option("--new-windows", is_flag=True, help="The store is lost, and there is no backup: begin without windows.")
@click.option("--verbose", "-v", is_flag=True, help="Log everything, the boards' own lines too.")
def run(config: Path, clock: Path | None, events: bool, new_windows: bool, verbose: bool) -> None:
    """Receive, store and publish until SIGTERM or Ctrl-C."""
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    settings = configuration.load(config)
    inventory = fleet.load(settings.path(settings.gateway.inventory))
    store = settings.path(settings.gateway.store)
    if new_windows and windows.missing(store):
        check(settings, inventory)
        windows.begin(store, short=windows.NEW)
    elif new_windows:
        logging.getLogger("gateway").warning("there is a store: --new-windows does nothing, and must not stay")
    time: Clock = FileClock(clock) if clock else SystemClock()
    say = Events() if events else None
    try:
        asyncio.run(_run(settings, inventory, time, say))
    finally:
        if say:
            say.close()


async def _run(settings: Config, inventory: fleet.Inventory, time: Clock, say: Events | None) -> None:
    """One daemon after another: where its store turns out to be damaged, that is made anew, and the next one goes on."""
    doctor = Doctor(settings.path(settings.gateway.store))
    while True:
        try:
            daemon = Daemon(settings, inventory, time, say)
            # What was made until now stays, and frames make no cycles: to look for garbage as often as by default takes a
            # tenth of all.
            gc.freeze()
            gc.set_threshold(_GARBAGE, 10, 10)
            await daemon.run()
            return
        except Exception as error:
            doctor.cure(error, held_keys(settings, inventory), time)


@gateway.command("check")
@CONFIG
@JSON
def check_files(config: Path, as_json: bool) -> None:
    """Check gateway.toml, boards.yaml and keys.json together, and name every fault with its line."""
    settings = configuration.load(config)
    inventory = fleet.load(settings.path(settings.gateway.inventory))
    check(settings, inventory)
    site = inventory.gateways[settings.gateway.name].site
    kids = [kid for board in inventory.boards.values() if board.site == site for kid in board.kids]
    held = keys.load(settings.path(settings.gateway.keys), kids, inventory.gateways[settings.gateway.name].role)
    for upstream in settings.upstream:
        Trust(settings.whole(upstream)).context()
    warnings = list(_warnings(settings, inventory, kids, held))
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    counts = {"ports": len(settings.serial), "upstreams": len(settings.upstream), "keys": len(held)}
    if as_json:
        click.echo(json.dumps({"config": str(config), **counts, "warnings": warnings}, ensure_ascii=False))
    else:
        click.echo(f"{config}: {', '.join(f'{count} {what}' for what, count in counts.items())}: good")


def _warnings(settings: Config, inventory: fleet.Inventory, kids: list[str], held: dict[bytes, Keys]) -> Iterator[str]:
    """What is no fault, but a person should know."""
    role = inventory.gateways[settings.gateway.name].role
    for upstream in settings.upstream:
        if upstream.format == "senml" and upstream.prefix == DOCUMENTATION_PREFIX:
            yield (
                f'upstream "{upstream.name}" names its devices by {DOCUMENTATION_PREFIX}, the number for'
                " documentation; ask IANA for one of your own and set `prefix`"
            )
    for missing in sorted(set(kids) - {kid.hex() for kid in held}) if role != "relay" else ():
        yield f"no key is held for key id {missing}: its frames will be counted as `kid`"
    if role == "controller":
        for mute in sorted(each.kid.hex() for each in held.values() if not each.k_dn):
            yield f"no key to answer key id {mute} with: export the keys of a controller"
    if held and windows.missing(settings.path(settings.gateway.store)):
        yield "there is no store: a gateway that has never worked begins with `jourdain gateway init`"


@gateway.command("alarms")
@CONFIG
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output, past alarms too.")
@click.option("--clear", default="", metavar="NAME[/KEY-ID]", help="You have seen to it: it is raised again when it comes again.")
def show_alarms(config: Path, as_json: bool, clear: str) -> None:
    """Say which alarms are raised, of which board and since when."""
    alarm_command.show(config, as_json, clear)


def main() -> None:
    """As a module: HostError in three lines, and an exit status that tells a wrong file (3) from what may pass (1)."""
    try:
        gateway.main(prog_name="python -m gateway", standalone_mode=True)
    except HostError as error:
        print(error, file=sys.stderr)
        wrong = ("test_key", "excess_keys", "no_windows", "newer_store")
        sys.exit(3 if error.name.startswith("bad_") or error.name in wrong else 1)

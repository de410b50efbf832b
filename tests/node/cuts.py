"""Starts the power-cut runner (cut_runner.py, in real MicroPython) from CPython."""

import json
import re
import tempfile
from pathlib import Path

import mp

from tools.flash import provision, write
from tools.flash.config import counter_files

HERE = Path(__file__).resolve().parent
DESK = (HERE / "fake", mp.ROOT / "tools/twin/board", HERE)


def scripts() -> str:
    """What the flash tool runs on a board, for a board whose files are below /f."""
    swap = write._swap(["config-0", "config-1", "secret.json"], [])
    make = f"FILES = {counter_files('0001')!r}\n{provision.MAKE}"
    at_f = {name: text.replace("'/", "'/f/") for name, text in (("SWAP", swap), ("MAKE", make))}
    return "".join(f"{name} = {text!r}\n" for name, text in at_f.items())


def run(name: str, *share: int, timeout_s: int = 900) -> dict:
    """Run a scenario of cut_runner.SCENARIOS, or module.class; `share`: tears at each operation, first operation, step.

    {"operations": of a boot without a cut, "cuts", "by": {operation of the file system: cuts}, "violations": [...],
    "overwritten": programs of bytes that were not erased}.
    """
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "cut_scripts.py").write_text(scripts())
        code = f"from cut_runner import main\nmain({', '.join(map(repr, (name, *share)))})"
        out = mp.run(code, heap_kb=6000, path=[folder, *DESK], timeout_s=timeout_s)
    return json.loads(out.splitlines()[-1])


def scenarios() -> list[str]:
    """The names of all scenarios."""
    table = (HERE / "cut_runner.py").read_text().partition("SCENARIOS = (")[2].partition("\n)")[0]
    return re.findall(r'^    \("(.*?)"', table, re.M)

"""Starts the power-cut runner (cut_runner.py, in real MicroPython) from CPython."""

import functools
import hashlib
import json
import re
import sys
import tempfile
from pathlib import Path

import mp

sys.path.insert(0, str(Path(__file__).resolve().parent))
import releases

from tools.flash import provision, write
from tools.flash.build import LADDER, bytecode
from tools.flash.config import counter_files

HERE = Path(__file__).resolve().parent
DESK = (HERE / "fake", mp.ROOT / "tools/twin/board", HERE)


def scripts() -> str:
    """What the flash tool runs on a board, for a board whose files are below /f."""
    begin = "import os\ndef _guard():\n    pass\n_top = _new = ['config-0', 'config-1', 'secret.json']\n"
    swap = f"{begin}{write.HASH}{write.COPY}_swap(_digest([name + '{write.NEW}' for name in _new]), [])\n"
    make = f"FILES = {counter_files('0001')!r}\n{provision.MAKE}"
    at_f = {name: text.replace("'/", "'/f/") for name, text in (("SWAP", swap), ("MAKE", make))}
    return "".join(f"{name} = {text!r}\n" for name, text in at_f.items())


@functools.cache
def release() -> str:
    """Two releases of one kind as MicroPython reads them: OLD and NEW, lists of parts, the NAME of NEW, what boards TRUST."""
    signer = releases.Signer()
    small = {"firmware/__init__.mpy": b"M\6init", "modules": b"firmware.app\n>firmware.app\n"}
    old = {**small, "firmware/app.mpy": releases.code("old", 300), "firmware/gone.mpy": releases.code("gone", 40)}
    new = {**small, "firmware/app.mpy": releases.code("new", 290), "firmware/more/new.mpy": releases.code("more", 128)}
    said = {"TRUST": signer.modulus}
    for name, number, files in (("OLD", 1, old), ("NEW", 2, new)):
        text = releases.manifest(files, release=number)
        said[name] = [text, signer.sign(text), *(data for _, data in sorted(files.items()))]
        said["NAME"] = hashlib.sha256(text).digest()[:8]
    return "".join(f"{name} = {value!r}\n" for name, value in said.items())


def run(name: str, *share: int, timeout_s: int = 900) -> dict:
    """Run a scenario of cut_runner.SCENARIOS, or module.class; `share`: tears at each operation, first operation, step.

    {"operations": of a boot without a cut, "cuts", "by": {operation of the file system: cuts}, "violations": [...],
    "overwritten": programs of bytes that were not erased}.
    """
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "cut_scripts.py").write_text(scripts())
        Path(folder, "cut_release.py").write_text(release())
        for module in LADDER:  # on boards it lies at the top
            Path(folder, f"{module}.mpy").write_bytes(bytecode(module))
        code = f"from cut_runner import main\nmain({', '.join(map(repr, (name, *share)))})"
        out = mp.run(code, heap_kb=6000, path=[folder, *DESK], timeout_s=timeout_s)
    return json.loads(out.splitlines()[-1])


def scenarios() -> list[str]:
    """The names of all scenarios."""
    table = (HERE / "cut_runner.py").read_text().partition("SCENARIOS = (")[2].partition("\n)")[0]
    return re.findall(r'^    \("(.*?)"', table, re.M)

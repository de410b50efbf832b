"""Run code in a real MicroPython (the Unix port) with a board's heap."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def micropython() -> str:
    """Path of the `micropython` command: the one installed beside this Python, else the first on PATH."""
    beside = Path(sys.executable).parent / "micropython"
    found = str(beside) if beside.exists() else shutil.which("micropython")
    assert found, "no `micropython` command: run `make setup`"
    return found


def run(code, heap_kb=400, path=(), args=(), *, timeout_s=60, env=None, stdin=None):
    """Run `code` (source text, or a Path to a file) and return its standard output; a failure raises AssertionError."""
    search = [*(str(p) for p in path), str(ROOT), str(ROOT / "tests"), ".frozen"]
    full_env = {
        **os.environ,
        "MICROPYPATH": ":".join(search),
        "JOURDAIN_VECTORS": str(ROOT / "firmware/wire/vectors"),
        **(env or {}),
    }
    command = [micropython(), "-X", f"heapsize={heap_kb * 1024}"]
    command += [str(code)] if isinstance(code, Path) else ["-c", code]
    command += [str(a) for a in args]
    done = subprocess.run(command, env=full_env, stdin=stdin, capture_output=True, text=True, timeout=timeout_s, check=False)
    ended = f"micropython ended with {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    assert done.returncode == 0, ended
    return done.stdout

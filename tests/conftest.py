"""Fixtures, the collector that runs `both_*.py` under CPython and real MicroPython, and the shares of the time."""

import importlib.util
import os
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import mp as _mp

os.environ.setdefault("JOURDAIN_VECTORS", str(_mp.ROOT / "firmware/wire/vectors"))


@pytest.fixture
def mp():
    """The runner of `mp.run`: `mp(code, heap_kb=400) -> stdout`."""
    return _mp.run


def pytest_collect_file(file_path, parent):
    if file_path.name.startswith("both_") and file_path.suffix == ".py":
        return BothFile.from_parent(parent, path=file_path)
    return None


class BothFile(pytest.File):
    """A file of `check_*` functions, each of which must hold under both interpreters."""

    def collect(self):
        names = re.findall(r"^def (check_\w+)\(\)", self.path.read_text(), re.M)
        for name in names:
            for interpreter in ("cpython", "micropython"):
                yield BothItem.from_parent(self, name=f"{name}[{interpreter}]", check=name, interpreter=interpreter)


class BothItem(pytest.Item):
    def __init__(self, *, check, interpreter, **kwargs):
        super().__init__(**kwargs)
        self.check, self.interpreter = check, interpreter

    def runtest(self):
        if self.interpreter == "micropython":
            _mp.run(f"import {self.path.stem} as m\nm.{self.check}()", path=[self.path.parent], heap_kb=800)
            return
        spec = importlib.util.spec_from_file_location(self.path.stem, self.path)
        module = importlib.util.module_from_spec(spec)
        sys.path.insert(0, str(self.path.parent))
        try:
            spec.loader.exec_module(module)
            getattr(module, self.check)()
        finally:
            sys.path.remove(str(self.path.parent))

    def reportinfo(self):
        return self.path, 0, f"{self.check} [{self.interpreter}]"


# Shares of the ten minutes of `make test`, in seconds of wall time on two cores.
SHARES = {
    "the path and the twin": (120, ("tests/wire", "tests/radio", "tests/sensors", "tests/services", "tests/town")),
    "firmware life": (120, ("tests/node",)),
    "the daemon": (120, ("tests/gateway",)),
    "flashing": (90, tuple(f"tests/tools/test_{it}" for it in ("flash", "deploy", "batch", "line", "micropython", "esp", "uf2"))),
    "the rest": (150, ("tests/",)),
}
_spent = dict.fromkeys(SHARES, 0.0)


def pytest_runtest_logreport(report):
    for share, (_, folders) in SHARES.items():
        if report.nodeid.startswith(folders):
            _spent[share] += report.duration
            return


def pytest_terminal_summary(terminalreporter, config):
    workers = getattr(config.option, "numprocesses", None) or 1
    terminalreporter.section("shares of the ten minutes")
    for share, (budget, _) in SHARES.items():
        wall = _spent[share] / workers
        over = "   OVER ITS SHARE" if wall > budget else ""
        terminalreporter.write_line(f"{share:24}{wall:7.1f} s of {budget} s{over}")

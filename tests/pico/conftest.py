"""The emulated Pico's tests run where MICROPYTHON_UF2 names a MicroPython for the Pico and the emulator is installed."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def uf2():
    """The MicroPython that the emulated Pico runs."""
    named = os.environ.get("MICROPYTHON_UF2")
    if not named:
        pytest.skip("MICROPYTHON_UF2 is not set: no MicroPython for an emulated Pico (make pico MICROPYTHON_UF2=FILE)")
    if importlib.util.find_spec("rp2040py") is None:
        pytest.skip("the emulator of the Pico is not installed: make pico MICROPYTHON_UF2=FILE")
    return Path(named)

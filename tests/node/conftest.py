"""The node's tests run in real MicroPython on a board without chips, in virtual time (desk.py)."""

import textwrap
from pathlib import Path

import pytest

HERE = Path(__file__).parent
DESK = (HERE / "fake", HERE.parent.parent / "tools/twin/board", HERE)


@pytest.fixture
def desk(mp):
    """`desk(code, heap_kb=900)`: run `code` with everything of desk.py at hand; returns its standard output."""

    def run(code, heap_kb=900, **options):
        return mp("from desk import *\n" + textwrap.dedent(code), heap_kb=heap_kb, path=DESK, **options)

    return run

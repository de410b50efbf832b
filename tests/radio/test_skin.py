"""The asyncio skin of the SX126x driver in real MicroPython, on a virtual clock."""

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
BOARD = HERE.parent.parent / "tools/twin/board"
CASES = re.findall(r"^async def (case_\w+)", (HERE / "skin.py").read_text(), re.M)


@pytest.mark.parametrize("case", CASES)
def test_skin(mp, case):
    mp(f"import skin\nskin.run('{case}')", path=[BOARD, HERE], heap_kb=800)

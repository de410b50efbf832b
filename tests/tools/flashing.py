"""What the tests of flashing share beside their fixtures (conftest.py)."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
UID = "e6614c311b7e6a01"  # bin-capitainerie, a pico


def three_lines(err, name):
    """The last error on stderr has its name, a place and a hint."""
    lines = err.splitlines()[-3:]
    return lines[0].startswith(f"{name}: ") and lines[1].startswith("  where: ") and lines[2].startswith("  next:  ")

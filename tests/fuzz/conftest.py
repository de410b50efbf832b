"""The helpers beside this file and those of the daemon's tests can be imported by their names."""

import logging
import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "gateway")]


@pytest.fixture(autouse=True)
def _silent():
    """No log: pytest would keep every line of a million inputs, and call that our memory."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)

"""The node's tests run in real MicroPython on a board without chips, in virtual time (desk.py)."""

import json
import textwrap
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DESK = (HERE / "fake", ROOT / "tools/twin/board", HERE)


@pytest.fixture
def desk(mp):
    """`desk(code, heap_kb=1600)`: run `code` with everything of desk.py at hand; returns its standard output."""

    def run(code, heap_kb=1600, **options):
        return mp("from desk import *\n" + textwrap.dedent(code), heap_kb=heap_kb, path=DESK, **options)

    return run


@pytest.fixture
def desk_path():
    """The folders of a board without chips in virtual time, for `mp(..., path=desk_path)`."""
    return DESK


@pytest.fixture
def slot(tmp_path):
    """`slot(name, **changes)`: the folder of a board of the fleet as it is flashed, for the board of fake/machine.py."""
    from gateway.inventory import load
    from tools.flash.build import build_slot, write_files
    from tools.flash.config import board_config, config_files, counter_files

    inventory = load(ROOT / "boards.yaml")

    def make(name, **changes):
        board = inventory.boards[name]
        folder = tmp_path / name
        write_files(build_slot(board, port="unix"), folder)
        config = {**board_config(inventory, board), "uid": "0a0b0c0d", **changes}
        write_files(config_files(config), folder)
        if config["kid"]:
            write_files(counter_files(config["kid"]), folder)
        (folder / "secret.json").write_text(json.dumps({"kid": config["kid"], "secret": "5a" * 16, "uid": "0a0b0c0d"}))
        return folder

    return make

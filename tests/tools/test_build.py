"""What goes onto a board: what it needs, nothing else, compiled once."""

import ast
import json
from pathlib import Path

import pytest

from gateway.errors import HostError
from gateway.presets import presets
from tools.flash import build, config, constants

ROOT = Path(__file__).resolve().parent.parent.parent


def test_a_board_gets_what_it_needs_and_nothing_else(town):
    modules = {name: set(build.board_modules(board)) for name, board in town.boards.items()}
    for name, board in town.boards.items():
        got = modules[name]
        named = {module.rpartition("/")[2] for module in got if module.startswith("sensors/")}
        assert {sensor.driver for sensor in board.sensors.values()} <= named
        unused = set(presets().drivers) - {sensor.driver for sensor in board.sensors.values()}
        assert not named & unused, name
        services = {module for module in got if module.startswith("services/")} & {f"services/{s}" for s in presets().services}
        assert services == ({f"services/{board.service}"} if board.service else set())
        ports = {module for module in got if module.startswith("ports/")}
        assert ports == {"ports/__init__", f"ports/{presets().boards[board.type].platform}"}
        assert any(module.startswith("radio/sx126x/") for module in got) == (board.radio is not None)
        assert not any("host" in module for module in got), "what only a reader needs"
        assert ("bridge/app" in got, "node/app" in got) == (board.role == "bridge", board.role == "node")
    assert "ports/unix" in build.board_modules(town.boards["bin-quai"], port="unix")


def test_every_import_of_a_slot_is_in_the_slot(town):
    for name in ("bin-quai", "bay-ecole", "buoy-large", "bridge-1", "bin-capitainerie"):
        board = town.boards[name]
        modules = set(build.board_modules(board))
        for module in modules:
            missing = [found for found in build.imports(module) if found not in modules]
            absent = ("radio/", build.HOST_ONLY, *build.SLEEP)
            assert all(found.startswith(absent) for found in missing), (name, module, missing)
        assert ("node/wake" in modules) == (board.link == "radio")
        assert ("node/remember" in modules) == (board.type == "esp32-c3")


def test_a_slot_is_bytecode_and_the_second_costs_nothing(town, tmp_path, monkeypatch):
    board = town.boards["bin-quai"]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    build.bytecode.cache_clear()
    files = build.build_slot(board)
    assert files["main.py"] == (ROOT / "firmware/main.py").read_bytes()
    code = {path: data for path, data in files.items() if path.startswith("a/firmware/")}
    assert set(files) - set(code) == {"main.py", "ladder.mpy", "rungs.mpy", "a/modules"}
    assert all(path.endswith(".mpy") for path in code)
    assert all(data[:2] == b"M\x06" for data in code.values())
    kept = list((tmp_path / "jourdain/mpy").glob("*.mpy"))
    assert len(kept) == len(code) + len(build.LADDER)
    build.bytecode.cache_clear()
    monkeypatch.setattr(build, "_compile", lambda *_: pytest.fail("compiled again"))
    assert build.build_slot(board) == files
    build.write_files(files, tmp_path / "board")
    assert (tmp_path / "board/a/firmware/wire/frame.mpy").read_bytes() == files["a/firmware/wire/frame.mpy"]


PARTS = "from ..wire.errors import const\nALL = (LOW := 1)\nMOST = const(7)\nDEPTH = -2\nLIST = (DEPTH, 3)\n"
REGS = '"""Registers."""\nGAIN = 0x8AC\n'
USER = """from . import COUNT
from .parts import (
    MOST,
    DEPTH as DEEP,
    other,
)
from . import regs, parts
OWN = const(5)
ALSO = OWN
SUM = MOST + ALSO
TWICE = 1
def use(cmd, n=OWN):
    return cmd.OWN - DEEP, regs.GAIN, parts.LIST, other(MOST), "MOST \u2264 7", MOST, COUNT
def change():
    global TWICE
    TWICE = 2
"""


def test_constants_are_written_out_and_their_names_go():
    trees = {"node/parts": ast.parse(PARTS), "node/regs": ast.parse(REGS), "node/__init__": ast.parse("COUNT = 9")}
    assert constants.constants(trees["node/parts"]) == {"MOST": 7, "DEPTH": -2, "LIST": (-2, 3)}
    assert constants.holds_nothing_else(trees["node/regs"])
    assert not constants.holds_nothing_else(trees["node/parts"])
    got = constants.written_out(USER, "node/user", trees.get).split("\n")
    assert len(got) == USER.count("\n") + 1, "lines keep their numbers"
    assert [line for line in got if line] == [
        "pass",
        "from .parts import other",
        "from . import parts",
        "SUM = 7 + 5",
        "TWICE = 1",
        "def use(cmd, n=5):",
        '    return cmd.OWN - (-2), 2220, (-2, 3), other(7), "MOST \u2264 7", 7, 9',
        "def change():",
        "    global TWICE",
        "    TWICE = 2",
    ]
    assert got[12].startswith("    return")


def test_a_slot_has_no_module_of_constants(town):
    for board in town.boards.values():
        assert not {"wire/quantities", "radio/sx126x/regs"} & set(build.board_modules(board))


def test_a_cache_that_cannot_be_written_is_no_fault(town, tmp_path, monkeypatch):
    (tmp_path / "jourdain").write_text("a file where the folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    build.bytecode.cache_clear()
    assert build.bytecode("wire/errors")[:2] == b"M\x06"


@pytest.mark.produces("compile")
def test_a_source_that_does_not_compile(tmp_path, monkeypatch):
    (tmp_path / "node").mkdir()
    (tmp_path / "node/bad.py").write_text("x = 1\ndef f(:\n    pass\n")
    (tmp_path / "node/odd.py").write_text("async = 1\n")
    monkeypatch.setattr(build, "FIRMWARE", tmp_path)
    build.imports.cache_clear()
    try:
        with pytest.raises(HostError) as caught:
            build.imports("node/bad")
        assert (caught.value.name, caught.value.where) == ("compile", f"{tmp_path / 'node/bad.py'}:2")
        with pytest.raises(HostError, match="no module node/gone"):
            build.imports("node/gone")
        with pytest.raises(HostError, match="SyntaxError") as caught:
            build._compile((tmp_path / "node/bad.py").read_bytes(), "bad", tmp_path / "node/bad.py")
        assert caught.value.name == "compile"
    finally:
        build.imports.cache_clear()


SECRET = "ab5d0c31e2f04c7b9d8a6f1177301e2c"


def test_the_configuration_of_each_kind_of_board(town):
    radio = config.board_config(town, town.boards["bin-plage-nord"])
    assert radio["radio"] == {
        "chip": "sx126x", "variant": "sx1262", "spi": 0, "sck": 18, "mosi": 19, "miso": 16, "cs": 17, "busy": 20, "reset": 21,
        "dio1": 22, "rxen": 14, "txen": None, "tcxo_mv": 1800, "dio2_rf_switch": True, "antenna_dbi": 2,
    }  # fmt: skip
    assert radio["plan"] == {
        "band": "eu868", "freq_hz": 868_100_000, "sf": 9, "bw_hz": 125_000, "cr": 5, "power_dbm": 14, "sync": 0x12,
    }  # fmt: skip
    assert radio["battery"] == {"adc": 28, "divider_x1000": 2000}
    assert (radio["v"], radio["role"], radio["link"], radio["kid"], radio["service"]) == (1, "node", "radio", "0004", "bin")
    wired = config.board_config(town, town.boards["bin-capitainerie"])
    assert (wired["radio"], wired["plan"], wired["battery"], wired["link"]) == (None, None, None, "serial")
    bridge = config.board_config(town, town.boards["bridge-1"])
    assert (bridge["kid"], bridge["service"], bridge["sensors"], bridge["role"]) == (None, None, {}, "bridge")
    bay = config.board_config(town, town.boards["bay-ecole"])
    assert bay["sensors"]["field"] == {"driver": "qmc5883l", "i2c": 0, "sda": 8, "scl": 9, "address": 13}
    buoy = config.board_config(town, town.boards["buoy-large"])
    assert buoy["settings"] == {"record_s": 1024, "home_lat_e5": 4865702, "home_lon_e5": -278560}
    files = config.board_files(town, town.boards["bin-quai"], {"0002": SECRET.upper()})
    assert json.loads(files["secret.json"]) == {"kid": "0002", "secret": SECRET, "uid": "e6614c311b7e6a10"}
    assert json.loads(files["config-0"][4:-4])["board"] == "bin-quai"
    with pytest.raises(HostError, match="not 32 hexadecimal digits"):
        config.board_files(town, town.boards["bin-quai"], {"0002": "zz" * 16})


def test_the_board_reads_the_configuration_it_is_given(town, tmp_path, mp):
    """The firmware's own reader, in real MicroPython, takes every file that the tools write."""
    for board in town.boards.values():
        build.write_files(config.config_files(config.board_config(town, board)), tmp_path / board.name)
    names = [board.name for board in town.boards.values()]
    said = mp(
        "from firmware.node import config\n"
        f"for name in {names!r}:\n"
        f"    found = config.load({str(tmp_path)!r} + '/' + name + '/')\n"
        "    print(found['board'], found['role'])\n"
    )
    assert said.split("\n")[:-1] == [f"{board.name} {board.role}" for board in town.boards.values()]

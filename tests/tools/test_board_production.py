"""A board in production: no key on its line leads to the REPL, but the service key does. Real MicroPython on a pty."""

import ast
import json
import shutil
import sys
import time
from pathlib import Path

import pytest
import serial

sys.path.insert(0, str(Path(__file__).resolve().parent))
from flashing import ROOT, UID
from pty_board import PtyBoard

from firmware import rungs
from gateway.errors import HostError
from tools.flash import connect


def typed(port, data, wait_s=0.2, until=None):
    """What comes back when these bytes are typed at the port, in wait_s, or until `until` has come."""
    with serial.serial_for_url(port, timeout=0.05) as line:
        line.reset_input_buffer()
        line.write(data)
        end = time.monotonic() + wait_s
        back = b""
        while time.monotonic() < end and not (until and until in back):
            back += line.read(4096)
    return back


def prompt(port):
    """Press Ctrl-C until the prompt has come; under load a board, or the host that stands for its line, takes its time."""
    return any(b">>> " in typed(port, b"\x03", 2, b">>> ") for _ in range(5))


@pytest.mark.produces("repl_closed")
@pytest.mark.share("flash")
def test_production_closes_the_repl_and_open_opens_it_until_the_next_boot(flashed, tmp_path, ask, monkeypatch):
    shutil.copy(flashed / f"{UID}.img", tmp_path)
    with PtyBoard(tmp_path, UID, uart=True) as board:
        code, out, err = ask(board.port, "production", "on", "--json")
        assert (code, json.loads(out)) == (0, {"production": True}), err
        for at_boot in (False, True):
            if at_boot:  # typed at while it starts, from its first byte on
                boots = board.resets
                assert ask(board.port, "reboot")[0] == 0
                while board.resets == boots:
                    assert b">>>" not in typed(board.port, b"\x03\x03\x01", 0.05)
            for keys in (b"\x03", b"\x03\x03\x01print(1)\x04", b"\x01\x04\r\nimport os\r\n"):
                back = typed(board.port, keys)
                assert b">>>" not in back
                assert b"raw REPL" not in back
                assert b"KeyboardInterrupt" not in back
            code, out, err = ask(board.port, "status", "--json")
            assert code == 0, err
            assert json.loads(out)["production"] is True
        monkeypatch.setattr(connect, "ANSWERS_S", (1.0,))
        assert connect.what_is_there(board.port) == "console"
        with pytest.raises(HostError, match="repl_closed"):
            connect.Connection(board.port)
        monkeypatch.undo()
        assert ask(board.port, "open")[0] == 0
        assert connect.what_is_there(board.port) == "repl"
        connection = connect.Connection(board.port)
        assert connection.run("print(6 * 7)").strip() == "42"
        connection.restart()
        connection.close()
        for _ in range(20):
            code, out, err = ask(board.port, "status", "--json")
            if code == 0:
                break
        assert json.loads(out)["production"] is True
        assert b">>>" not in typed(board.port, b"\x03")
        assert ask(board.port, "production", "off")[0] == 0
        assert prompt(board.port)


def test_nothing_of_the_launcher_runs_before_the_line_is_closed():
    statements = ast.parse((ROOT / "firmware/main.py").read_text()).body[1:]
    first = next(s for s in statements if not isinstance(s, ast.Import))
    assert ast.unparse(first) == "micropython.kbd_intr(-1)"
    imported = {name.name for s in statements if isinstance(s, ast.Import) for name in s.names}
    assert imported == {"machine", "micropython", "sys", "time"}


@pytest.mark.share("flash")
def test_a_board_whose_ladder_is_damaged_can_be_repaired(flashed, tmp_path):
    shutil.copy(flashed / f"{UID}.img", tmp_path)
    with PtyBoard(tmp_path, UID, uart=True) as board:
        connection = connect.Connection(board.port)
        connection.run("import os\nos.remove('/rungs.mpy')")
        connection.restart()
        connection.close()
        assert prompt(board.port)
        assert b"ImportError" in typed(board.port, b"import os\ros.remove('/ladder.mpy')\r\x04", 5, b"ImportError")
        assert b"'ladder'" in typed(board.port, b"import ladder\r", 5, b"'ladder'")


SAFE = """
import json
from binascii import crc32
record = {record!r}
data = (1 << 20).to_bytes(4, "big") + json.dumps(record).encode()
with open("/ladder-0", "wb") as file:
    file.write(data + crc32(data).to_bytes(4, "little"))
import os
for name in {gone!r}:
    os.remove("/" + name)
"""


@pytest.mark.share("flash")
def test_a_board_in_safe_mode_answers_too_even_one_without_a_configuration(flashed, tmp_path, ask):
    record = rungs.new()
    record[rungs.SAFE], record[rungs.CRASHES], record[rungs.CLOSED] = 1, [[40, "ValueError('broken')"]], 1
    for gone in ([], ["config-0", "config-1"]):
        shutil.copy(flashed / f"{UID}.img", tmp_path)
        with PtyBoard(tmp_path, UID, uart=True) as board:
            connection = connect.Connection(board.port)
            connection.run(SAFE.format(record=record, gone=gone))
            connection.restart()
            connection.close()
            code, out, err = ask(board.port, "status", "--json")
            assert code == 0, err
            status = json.loads(out)
            assert (status["safe"], status["uid"], status["production"]) == (True, UID, True)
            assert status["board"] == ("" if gone else "bin-capitainerie")
            assert ("config" in status) == bool(gone)
            if gone:
                continue
            code, out, err = ask(board.port, "log", "--json")
            assert {"error": "exception", "detail": "ValueError('broken')"} in json.loads(out)["crashes"]
            code, out, err = ask(board.port, "selftest", "--json")
            assert code == 0, err
            assert [check["name"] for check in json.loads(out)["checks"]] == ["flash free"]
            code, _out, err = ask(board.port, "readings", "--count", "1")
            assert code == 10
            assert "no service runs on this board" in err
            assert b">>>" not in typed(board.port, b"\x03")
            boots = board.resets
            assert ask(board.port, "reboot")[0] == 0
            for _ in range(100):
                if board.resets > boots:
                    break
                time.sleep(0.05)
            assert board.resets > boots

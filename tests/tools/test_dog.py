"""An armed watchdog and people: neither a tool at work nor a REPL is reset by it, and what nobody feeds is."""

import sys
import time
from pathlib import Path

import serial

sys.path.insert(0, str(Path(__file__).resolve().parent))
from flashing import UID
from pty_board import PtyBoard

from tools.flash import connect
from tools.flash.build import FIRMWARE, LADDER, bytecode

DOG_S = 2.0  # of the simulated board, so that nobody has to wait for eight
IDLE_S = 3.5
APP = b"""
import time
def run(root, ladder):
    print("up", ladder.slot)
    while True:
        ladder.feed()
        time.sleep(0.3)
"""


def until(port, text, seconds=15):
    """What the port says until `text` comes."""
    said, end = b"", time.monotonic() + seconds
    while text not in said and time.monotonic() < end:
        said += port.read(max(1, port.in_waiting))
    assert text in said, said
    return said


def install(board):
    """Put a board's launcher and ladder beside an application that only lives, and start it."""
    files = {"main.py": (FIRMWARE / "main.py").read_bytes(), "a/app.py": APP, "a/modules": b">app\n"}
    files.update({f"{module}.mpy": bytecode(module) for module in LADDER})
    connection = connect.Connection(board.port)
    connection.run("import os\nos.mkdir('/a')")
    for path, data in files.items():
        connection.write(f"/{path}", data)
    connection.restart()
    connection.close()


def test_a_tool_and_a_repl_are_left_in_peace(tmp_path):
    with PtyBoard(tmp_path, UID, dog_s=DOG_S) as board:
        install(board)
        with serial.Serial(board.port, timeout=0.1) as port:
            until(port, b"up a")
        connection = connect.Connection(board.port)  # the program runs and has armed the watchdog
        time.sleep(IDLE_S)
        assert connection.run("print(6 * 7)").strip() == "42"
        connection.restart()
        connection.close()
        with serial.Serial(board.port, timeout=0.1) as port:
            until(port, b"up a")
            port.write(b"\x03")
            until(port, b">>> ")
            time.sleep(IDLE_S)
            port.write(b"print(6 * 8)\r")
            until(port, b"48")
            assert board.bites == 0
            port.write(b"import machine; machine.Timer.running.clear()\r")  # as if there were no timer
            until(port, b"up a")
        assert board.bites == 1


def test_a_board_that_a_dead_tool_left_in_its_repl_starts_its_program_again(tmp_path, monkeypatch):
    monkeypatch.setattr(connect, "ALONE_S", 2)
    with PtyBoard(tmp_path, UID, dog_s=DOG_S) as board:
        install(board)
        connection = connect.Connection(board.port)
        with connection.awake():  # somebody thinks
            time.sleep(DOG_S + 2.5)
        assert board.bites == 0
        # It dies in the midst of a script.
        connection._transport.serial.write(b"\x05A\x01import os\nos.remo")
        connection.close()
        with serial.Serial(board.port, timeout=0.1) as port:
            until(port, b"up a", 20)
        assert board.bites == 1


def test_a_program_of_somebody_else_that_armed_a_watchdog_is_not_bitten_while_a_tool_works(tmp_path):
    with PtyBoard(tmp_path, UID, dog_s=DOG_S) as board:
        connection = connect.Connection(board.port)
        connection.write("/main.py", b"import machine, time\ndog = machine.WDT()\nwhile 1:\n dog.feed()\n time.sleep(0.1)\n")
        connection.restart()
        connection.close()
        connection = connect.Connection(board.port)
        time.sleep(DOG_S + 0.5)
        assert connection.run("print(6 * 7)").strip() == "42"
        assert board.bites == 0
        connection.close()


def test_a_board_that_is_not_ours_gets_no_watchdog(tmp_path):
    with PtyBoard(tmp_path, UID, dog_s=1.0) as board:
        connection = connect.Connection(board.port)
        time.sleep(1.5)
        assert connection.run("print('machine' in dir(), '_timer' in dir())").strip() == "False False"
        assert board.bites == 0
        connection.run("import machine\nmachine.WDT(timeout=8000)")
        deadline = time.monotonic() + 10
        while not board.bites and time.monotonic() < deadline:
            time.sleep(0.05)
        assert board.bites == 1
        connection.close()

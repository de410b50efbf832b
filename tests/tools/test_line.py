"""What goes over the line: scripts and files in few bytes, at the speed of a UART bridge, over whatever pyserial opens."""

import os
import select
import socket
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
import serial

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import linecost
import mp
from flashing import NAME, UID, older, usb
from pty_board import PtyBoard

from gateway.errors import HostError
from tools.flash import connect, ports, script, write
from tools.flash.config import board_files


@pytest.mark.share("flash")
def test_a_fresh_board_costs_twice_the_line_at_most_and_a_changed_file_half_more(tmp_path, town):
    """Ratios of one run against the time of the line for the bytes of the files; what they include says linecost.Cost."""
    entry = town.boards[NAME]
    new = board_files(town, entry, {entry.kid: os.urandom(16).hex()})
    files = older(new, town, entry, ["node/config"])
    with linecost.paced(tmp_path, UID) as board:
        fresh = linecost.flash(board, files, entry.kid)
        print(f"fresh board: {fresh}; ratio {fresh.ratio:.2f}")
        assert fresh.ratio <= 2.0
        # A machine with much to do besides takes time that is not the line's: the best of some counts.
        changed = linecost.best(board, (new, files) * 3, entry.kid, enough=1.5)
        print(f"changed module and its manifest: {changed}; ratio {changed.ratio:.2f}")
        # The entry restarts the simulated board: a busy machine's time, beside which so few bytes of line are nothing.
        assert changed.bytes_ratio <= 1.5
        assert changed.copy_ratio <= 1.5


def test_a_literal_of_any_bytes_is_read_by_a_board_and_hits_no_key_of_its_repl():
    everything = bytes(range(256)) + b"".join(bytes((key, digit)) for key in range(6) for digit in b"0789")
    for data in (b"", everything, everything[::-1], os.urandom(3000)):
        text = script.literal(data)
        assert not set(text) & set(b"\0\1\2\3\4\r\n")
        assert mp.run(f"print(eval(bytes.fromhex('{text.hex()}')).hex())").strip() == data.hex()
        assert len(text) <= len(data) * 1.1 + 200


def test_a_board_without_deflate_gets_everything_as_it_is(tmp_path):
    files = {"main.py": b"pass\n", "a/x": os.urandom(5000), "a/empty": b"", "a/deep/er/y": bytes(range(256)) * 3}
    with PtyBoard(tmp_path, UID, deflate=False) as board:
        connection = connect.Connection(board.port)
        assert not connection.deflate
        write.copy(connection, files, write.plan(files, write.hashes(connection, files)), lambda _: None)
        assert write.plan(files, write.hashes(connection, files)) == write.Plan([], list(files), [])
        connection.close()
    with PtyBoard(tmp_path, UID) as board:
        connection = connect.Connection(board.port)
        assert connection.deflate
        assert write.plan(files, write.hashes(connection, files)).write == []
        connection.close()


def test_a_board_with_little_heap_takes_it_all(tmp_path):
    """The simulated board's own code takes 28 kB, and a copy of each script; pointers are twice as wide as on an ESP32."""
    files = {f"a/firmware/module{number}": os.urandom(1500) for number in range(60)} | {"a/large": os.urandom(9000)}
    with PtyBoard(tmp_path, UID, heap_kb=92) as board:
        connection = connect.Connection(board.port)
        write.copy(connection, files, write.plan(files, write.hashes(connection, files)), lambda _: None)
        assert write.plan(files, write.hashes(connection, files)).write == []
        connection.close()


def test_files_share_pieces_and_large_ones_take_several():
    files = {"a": b"x" * 10, "b": b"", "c": os.urandom(3 * write.PIECE_BYTES), "d": b"end"}
    pieces = list(write._pieces(files, files))
    assert [names for names, _ in pieces] == [["a", "b", "c"], ["c"], ["c"], ["c", "d"]]
    assert all(len(piece) <= write.PIECE_BYTES + 64 for _, piece in pieces)
    there: dict[str, bytes] = {}
    for piece in (piece for _, piece in pieces):
        rest = piece
        while rest:
            head, _, rest = rest.partition(b"\n")
            mode, size, path = head.decode().split()
            there[path] = (b"" if mode == "wb" else there[path]) + rest[: int(size)]
            rest = rest[int(size) :]
    assert there == files


@pytest.mark.produces("transfer")
def test_what_is_not_as_it_was_said_to_be_is_found_by_the_last_look(tmp_path):
    files = {"main.py": b"pass\n", "a/x": b"right"}
    with PtyBoard(tmp_path, UID) as board:
        connection = connect.Connection(board.port)
        write.copy(connection, files, write.Plan(["a/x", "main.py"], [], []), lambda _: None)
        connection.write("/a/x", b"wrong")
        with pytest.raises(HostError, match="1 files read back otherwise than written: a/x") as caught:
            write.copy(connection, files, write.Plan([], list(files), []), lambda _: None)
        connection.close()
    assert caught.value.name == "transfer"


@contextmanager
def served(port):
    """A socket that is the serial line of a board -> its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening, serial.Serial(port, timeout=0) as line:
        over = threading.Event()

        def carry():
            caller, _ = listening.accept()
            with caller:
                while not over.is_set():
                    ready, _, _ = select.select([caller, line], [], [], 0.1)
                    if caller in ready:
                        data = caller.recv(4096)
                        if not data:
                            return
                        line.write(data)
                    if line in ready:
                        caller.sendall(line.read(4096))

        thread = threading.Thread(target=carry)
        thread.start()
        yield f"socket://127.0.0.1:{listening.getsockname()[1]}"
        over.set()
        thread.join()


def test_a_board_behind_a_socket_is_flashed_as_one_on_usb(tmp_path):
    files = {"main.py": b"print('the new program')\n", "a/x": os.urandom(9000)}
    with PtyBoard(tmp_path, UID) as board, served(board.port) as url:
        assert connect.what_is_there(ports.resolve(url)) == "repl"
    with PtyBoard(tmp_path, UID) as board, served(board.port) as url:
        connection = connect.Connection(url)
        write.copy(connection, files, write.plan(files, write.hashes(connection, files)), lambda _: None)
        assert write.plan(files, write.hashes(connection, files)).write == []
        connection.restart()
        line, said = connection.line(), b""
        while b"the new program" not in said:
            data = line.read(20)
            assert data, said
            said += data
        line.close()


class Lines:
    """DTR and RTS of a port, and the two transistors of an ESP32 board: RTS alone pulls its reset, DTR alone its boot pin."""

    def __init__(self, monkeypatch, reset):
        self.states, self.reset = [], reset
        self.now = {"dtr": False, "rts": False}
        for name in self.now:
            monkeypatch.setattr(serial.Serial, f"_update_{name}_state", lambda port, name=name: self.set(port, name))
        opens = serial.Serial.open

        def opened(port):  # the system raises both at once
            self.now = {"dtr": True, "rts": True}
            self.states.append((True, True))
            opens(port)

        monkeypatch.setattr(serial.Serial, "open", opened)

    def set(self, port, name):
        self.now[name] = getattr(port, name)
        state = (self.now["dtr"], self.now["rts"])
        self.states.append(state)
        if state == (False, True):
            self.reset()


def test_opening_the_port_of_a_bridge_leaves_its_lines_low_and_resets_no_esp32(tmp_path, plugged, monkeypatch):
    resets = []
    lines = Lines(monkeypatch, lambda: resets.append(1))
    with PtyBoard(tmp_path, UID, deaf=True) as board:
        plugged(usb(board.port, "0001", 0x10C4, 0xEA60, "CP2102"))
        for link in (board.port, tmp_path / "by-id"):
            if link != board.port:
                link.symlink_to(board.port)
            line = ports.opened(str(link))
            assert lines.states[-1] == (False, False)
            line.close()
        plugged(usb(board.port, UID))  # USB of its own: without DTR a Pico says nothing
        line = ports.opened(board.port)
        assert lines.states[-1] == (True, True)
        line.close()
    assert resets == []


SLEEPS = b"""
import machine, micropython, time
if machine.reset_cause() == machine.PWRON_RESET:
    micropython.kbd_intr(-1)
    time.sleep(1000)
"""


def test_an_esp32_that_sleeps_is_woken_by_the_line_of_its_bridge(tmp_path, plugged, monkeypatch):
    with PtyBoard(tmp_path, UID) as board:
        connection = connect.Connection(board.port)
        connection.write("/main.py", SLEEPS)
        connection.close()
    monkeypatch.setattr(connect, "ANSWERS_S", (0.5, 4.0))
    monkeypatch.setattr(connect, "LOOKS", 2)
    with PtyBoard(tmp_path, UID) as board:
        Lines(monkeypatch, board.press_reset)
        plugged(usb(board.port, "0001", 0x1A86, 0x7523, "USB Serial"))
        connection = connect.Connection(board.port)
        assert connection.run("print(6 * 7)").strip() == "42"
        connection.close()
        assert board.resets >= 2  # the line's, and the soft one of the raw REPL

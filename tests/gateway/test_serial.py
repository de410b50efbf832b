"""Serial ports on pseudo terminals: what opening says, what a loss costs, how fast is written."""

import asyncio
import itertools
import os
import time
import tty

import pytest

from gateway.config import SerialPort
from gateway.errors import HostError
from gateway.ingress import serial
from gateway.ingress.serial import Line, open_port


class Terminal:
    """The far end of a port at `path`."""

    def __init__(self, path):
        self.path = path
        self.plug()

    def plug(self):
        self.master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self.master, False)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(self._slave))

    def unplug(self):
        self.path.unlink()
        os.close(self._slave)
        os.close(self.master)

    def read(self):
        try:
            return os.read(self.master, 65536)
        except BlockingIOError:
            return b""


class Stage:
    """A Line with what it said."""

    def __init__(self, path, pause_ms=0):
        self.data = b""
        self.states = []
        self.openings = []
        config = SerialPort(port=str(path), board="bridge", pause_ms=pause_ms)
        self.line = Line(config, self._on_data, lambda: self.openings.append(time.monotonic()), self.states.append)

    def _on_data(self, data):
        self.data += data


def run(work, *lines):
    async def whole():
        tasks = [asyncio.create_task(line.run()) for line in lines]
        try:
            await asyncio.wait_for(work(), 20)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(whole())


async def until(condition, timeout_s=5.0):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.005)


@pytest.mark.produces("no_port")
def test_a_port_that_is_none(tmp_path):
    with pytest.raises(HostError, match="no_port: there is no such port"):
        open_port(str(tmp_path / "ttyACM9"), 115200)
    (tmp_path / "file").write_text("not a terminal")
    with pytest.raises(HostError, match="no_port: the port cannot be opened"):
        open_port(str(tmp_path / "file"), 115200)


@pytest.mark.produces("no_port")
def test_a_port_that_we_may_not_open(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise serial.serial.SerialException(13, "Permission denied")

    monkeypatch.setattr(serial.serial, "Serial", refuse)
    with pytest.raises(HostError, match=r"no_port: this user may not open(?s:.*)dialout"):
        open_port("/dev/ttyACM0", 115200)


@pytest.mark.produces("port_busy")
def test_a_port_that_another_program_holds(tmp_path):
    far = Terminal(tmp_path / "tty")
    held = open_port(str(far.path), 115200)
    with pytest.raises(HostError, match="port_busy: another program"):
        open_port(str(far.path), 115200)
    held.close()
    open_port(str(far.path), 115200).close()


@pytest.mark.produces("no_port")
def test_back_within_two_seconds_and_nobody_else_disturbed(tmp_path):
    far, other = Terminal(tmp_path / "tty-a"), Terminal(tmp_path / "tty-b")
    stage, neighbour = Stage(far.path), Stage(other.path)

    async def work():
        await until(lambda: stage.states == ["open"] and neighbour.states == ["open"])
        os.write(far.master, b"one")
        await until(lambda: stage.data == b"one")
        far.unplug()
        os.write(other.master, b"still here")
        await until(lambda: stage.states == ["open", "lost", "no_port"] and neighbour.data == b"still here")
        await asyncio.sleep(1.2)
        assert stage.states == ["open", "lost", "no_port"], "said once"
        far.plug()
        plugged = time.monotonic()
        await until(lambda: stage.states[-1] == "open")
        assert stage.openings[1] - plugged < 2
        os.write(far.master, b"two")
        await until(lambda: stage.data == b"onetwo")
        stage.line.send(b"hello")
        await until(lambda: far.read() == b"hello")

    run(work, stage.line, neighbour.line)
    assert neighbour.states == ["open"]


def test_pieces_of_two_hundred_bytes_sixty_milliseconds_apart(tmp_path):
    """The ring of an ESP32's UART holds 260 bytes."""
    far = Terminal(tmp_path / "tty")
    stage = Stage(far.path, pause_ms=60)
    pieces = []

    async def work():
        await until(lambda: stage.openings)
        for n in range(50):
            stage.line.send(b"%010d" % n)
        while sum(len(data) for _, data in pieces) < 500:
            if data := far.read():
                pieces.append((time.monotonic(), data))
            await asyncio.sleep(0.001)
        await stage.line.drain(1)

    run(work, stage.line)
    assert [len(data) for _, data in pieces] == [200, 200, 100]
    assert b"".join(data for _, data in pieces) == b"".join(b"%010d" % n for n in range(50))
    assert all(later[0] - earlier[0] > 0.05 for earlier, later in itertools.pairwise(pieces))


def test_a_board_that_takes_nothing_is_given_up(tmp_path, monkeypatch):
    far = Terminal(tmp_path / "tty")
    stage = Stage(far.path)

    async def work():
        await until(lambda: stage.openings)
        stage.line.send(bytes(serial._OUT_MAX + 1))
        await until(lambda: stage.states == ["open", "lost", "open"])
        await until(far.read)

    run(work, stage.line)


def test_a_line_that_waits_for_its_board_to_read(tmp_path):
    """More than a terminal holds arrives whole."""
    far = Terminal(tmp_path / "tty")
    stage = Stage(far.path)
    data = bytes(range(256)) * 200
    got = []

    async def work():
        await until(lambda: stage.openings)
        stage.line.send(data)
        await asyncio.sleep(0.1)
        while sum(map(len, got)) < len(data):
            got.append(far.read())
            await asyncio.sleep(0.001)

    run(work, stage.line)
    assert b"".join(got) == data


def test_paused_nothing_is_read(tmp_path):
    far = Terminal(tmp_path / "tty")
    stage = Stage(far.path)

    async def work():
        await until(lambda: stage.openings)
        stage.line.pause()
        os.write(far.master, b"wait")
        await asyncio.sleep(0.1)
        assert stage.data == b""
        stage.line.resume()
        await until(lambda: stage.data == b"wait")

    run(work, stage.line)

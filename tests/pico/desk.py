"""An emulated Pico as the computer on the same desk sees it: a BOOTSEL drive, or a serial port.

    with Desk(folder) as desk:      # empty: its drive is there
        desk.drive                  # a folder; a UF2 that is copied there makes the drive disappear and the chip start
        desk.port                   # socket://127.0.0.1:PORT, where its USB console is once it has started

A thread of its own runs the chip, never faster than time passes: a busy chip takes about twenty times as long as a real one,
an idle one as long. `desk.clock` is a file with the chip's time, for commands that shall wait by it (chip_time.py). The port
refuses whoever comes while the chip is off, in BOOTSEL or not yet on the bus, takes one client at a time, and breaks when the
chip leaves the bus, as a USB port does.
"""

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bootsel import Drive
from chip_time import Clock
from emulator import MOST, Pico
from flash_time import FlashTime

STEP_US = 2_000  # of chip time, between two looks at the line
LOOK_S = 0.02


class Desk:
    """A Pico on a cable; see above. `pico`: the board, for the circuit around it; without one an empty board.

    `figures`: (the desk's time in s, what happened): drives and boots.
    """

    def __init__(self, folder: Path, pico: Pico | None = None) -> None:
        self.pico = pico or Pico()
        self.drive = folder / "RPI-RP2"
        self.clock = folder / "clock"
        self._clock = Clock(self.clock)
        self.flash_time = FlashTime(self.pico.mcu)
        self._drive = Drive(self.drive, self.pico.mcu.flash)
        self._line = Line(self.pico)
        self.number = self._line.number
        self.port = f"socket://127.0.0.1:{self.number}"
        self.figures: list[tuple[float, str]] = []
        self._plugged = threading.Event()
        self._closing = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._guarded, daemon=True)

    @property
    def now_s(self) -> float:
        """The desk's time: the chip's while it runs, else the wall's."""
        return self._clock.now()

    def __enter__(self) -> "Desk":
        self._plugged.set()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        self._plugged.set()
        self._thread.join(30)
        assert not self._thread.is_alive()
        self._line.close()
        if self._failure:
            raise self._failure

    @property
    def there(self) -> bool:
        """Is the port there?"""
        return self._line.there

    @property
    def bytes_in(self) -> int:
        """What has been said to the board."""
        return self._line.bytes_in

    def cost(self) -> str:
        """What the chip has done so far."""
        flash, line = self.flash_time, self._line
        return (
            f"processor {self.pico.busy_ms / 1000:.1f} s, flash {flash.busy_ms / 1000:.1f} s ({flash.erased} erases, "
            f"{flash.pages} pages), console {line.bytes_in} B in, {line.bytes_out} B out"
        )

    def pull(self) -> None:
        """Pull the cable, which is also the board's power."""
        self._plugged.clear()

    def plug(self) -> None:
        """Put the cable in again."""
        self._plugged.set()

    def wait(self, until: Callable[[], object], wall_s: float) -> None:
        """Wait until the board has done something; AssertionError with what it said after so much wall time."""
        end = time.monotonic() + wall_s
        while not until():
            assert self._failure is None, self._failure
            assert time.monotonic() < end, f"after {wall_s} s of wall time\n{self.pico.text[-3000:]}"
            time.sleep(0.05)

    def _guarded(self) -> None:
        try:
            self._live()
        except BaseException as error:
            self._failure = error
        finally:
            self._line.drop()
            self._drive.hide()

    def _live(self) -> None:
        self.pico.on_reset = self._line.drop
        while not self._closing:
            if not self._plugged.wait(LOOK_S):
                self._clock.advance(LOOK_S)
                continue
            self._note("plugged in")
            while self._plugged.is_set() and not self._closing:
                if self.pico.bootsel:
                    self._serve_drive()
                else:
                    self._serve_port()
            self._line.drop()
            self._note("pulled")
            self.pico.power()

    def _serve_drive(self) -> None:
        self._drive.show()
        self._note("drive")
        while self._plugged.is_set() and not self._closing:
            if self._drive.look():
                self.pico.reboot()
                break
            time.sleep(LOOK_S)
            self._clock.advance(LOOK_S)
        self._drive.hide()

    def _serve_port(self) -> None:
        self._note("boot")
        resets = self.pico.resets
        chip_us, wall_s = self.pico.clock.now_us, time.monotonic()
        while self._plugged.is_set() and not self._closing and self.pico.resets == resets:
            self._line.move()
            before_us = self.pico.clock.now_us
            self.pico.step(STEP_US)
            self._clock.advance((self.pico.clock.now_us - before_us) / 1e6)
            ahead_s = (self.pico.clock.now_us - chip_us) / 1e6 - (time.monotonic() - wall_s)
            if ahead_s > 0:
                self._line.wait(ahead_s)
            else:  # lost time is not made good
                chip_us, wall_s = self.pico.clock.now_us, time.monotonic()

    def _note(self, what: str) -> None:
        self.figures.append((self.now_s, what))


class Line:
    """The board's USB console at a TCP port of this machine, for one client at a time."""

    def __init__(self, pico: Pico) -> None:
        self._console = pico.console
        self._console.on_serial_data = self._hear
        self._console.open(False)
        self._held = _bound(0)  # keeps the number while nobody listens
        self.number: int = self._held.getsockname()[1]
        self._door: socket.socket | None = None
        self._client: socket.socket | None = None
        self._out = bytearray()
        self.bytes_in = self.bytes_out = 0

    def _hear(self, data: bytes | bytearray) -> None:
        self._console.hear(data)
        if self._client is not None:
            self._out += data

    @property
    def there(self) -> bool:
        """Does anybody listen?"""
        return self._door is not None

    def move(self) -> None:
        """Let a client in, and move what lies on either side."""
        if not self._console.attached:
            return
        if self._door is None:
            self._door = _bound(self.number)
            self._door.listen(1)
        if _readable(self._door):
            self._admit(self._door.accept()[0])
        if self._client is not None:
            try:
                self._exchange(self._client)
            except OSError:
                self._leave()

    def _admit(self, client: socket.socket) -> None:
        if self._client is not None:
            client.close()  # a serial port belongs to one program
            return
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client = client
        self._console.open(True)

    def _exchange(self, client: socket.socket) -> None:
        if self._console.taken and _readable(client):  # so that whoever leaves has been heard
            data = client.recv(MOST)
            if not data:
                raise BrokenPipeError
            self.bytes_in += len(data)
            self._console.say(data)
        if self._out:
            with contextlib.suppress(BlockingIOError):
                sent = client.send(self._out)
                self.bytes_out += sent
                del self._out[:sent]

    def _leave(self) -> None:
        if self._client is not None:
            self._client.close()
            self._console.open(False)
        self._client = None
        self._out.clear()

    def wait(self, timeout_s: float) -> None:
        """Wait until somebody says something."""
        sockets = [side for side in (self._door, self._client) if side is not None]
        select.select(sockets, [], [], timeout_s)

    def drop(self) -> None:
        """The board is not on the bus any more: the port is gone."""
        self._leave()
        if self._door is not None:
            self._door.close()
        self._door = None

    def close(self) -> None:
        """Give the number back."""
        self.drop()
        self._held.close()


def _bound(number: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", number))
    return made


def _readable(side: socket.socket) -> bool:
    return bool(select.select([side], [], [], 0)[0])

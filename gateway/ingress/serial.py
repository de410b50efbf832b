"""A serial port: opened by pyserial, read in chunks by the event loop, written in pieces, opened again after a loss.

Everything here keeps real time; what the bytes mean is told by the callbacks.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import time
from collections.abc import Callable

import serial

from gateway.config import SerialPort
from gateway.errors import HostError

log = logging.getLogger("gateway.serial")

REOPEN_S = 0.5  # an unplugged board is back within 2 s of its return
PIECE = 200  # encoded bytes; the UART ring of an ESP32 holds 260
_CHUNK = 65_536
_OUT_MAX = 65_536


def open_port(port: str, baud: int) -> serial.Serial:
    """Open and configure a port for us alone. HostError no_port, port_busy.

    DTR and RTS stay as pyserial sets them, both on: a Pico's USB port is silent without DTR, and an ESP32 resets when one
    of them is on alone.
    """
    try:
        return serial.Serial(port, baud, timeout=0, exclusive=True)
    except (serial.SerialException, OSError, ValueError) as error:
        code = getattr(error, "errno", None)
        if code == errno.ENOENT:
            what, hint = "there is no such port", "plug the board in, or correct `port` in gateway.toml"
        elif code in (errno.EACCES, errno.EPERM):
            what, hint = "this user may not open the port", "add the daemon's user to the group dialout"
        elif code in (errno.EBUSY, errno.EAGAIN):
            what, hint = "another program holds the port", "close it: `fuser -v` names it"
            raise HostError("port_busy", what, port, hint) from None
        else:
            what, hint = f"the port cannot be opened ({error})", "is it a serial port, and is the cable good?"
        raise HostError("no_port", what, port, hint) from None


class Line:
    """One configured port. `on_data(bytes)` gets what came, `on_open()` is called before the first byte of each opening,
    `on_state(name)` hears "open", "lost", and the name of the error when opening fails (once, until it changes).
    """

    def __init__(
        self, config: SerialPort, on_data: Callable[[bytes], None], on_open: Callable[[], None], on_state: Callable[[str], None]
    ) -> None:
        self.config = config
        self._on_data = on_data
        self._on_open = on_open
        self._on_state = on_state
        self.openings = 0
        self._port: serial.Serial | None = None
        self._reading = False
        self._paused = False
        self._lost = asyncio.Event()
        self._out = bytearray()
        self._wake = asyncio.Event()

    @property
    def is_open(self) -> bool:
        return self._port is not None

    async def run(self) -> None:
        """Keep the port open until cancelled; a port that is missing disturbs nobody else."""
        state = ""
        try:
            while True:
                try:
                    self._port = open_port(self.config.port, self.config.baud)
                except HostError as error:
                    if error.name != state:
                        state = error.name
                        log.error("%s", error)
                        self._on_state(state)
                    await asyncio.sleep(REOPEN_S)
                    continue
                state = "open"
                log.info("%s: open", self.config.port)
                self._on_state(state)
                await self._serve()
                state = "lost"
                log.warning("%s: lost", self.config.port)
                self._on_state(state)
                await asyncio.sleep(REOPEN_S)
        finally:
            self._close()

    async def _serve(self) -> None:
        assert self._port is not None
        self._lost.clear()
        self._out.clear()
        self.openings += 1
        self._on_open()
        self._listen(not self._paused)
        writer = asyncio.create_task(self._write(self._port.fileno()))
        try:
            await self._lost.wait()
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            self._close()

    def pause(self) -> None:
        """Stop reading: what comes waits in the kernel and then at the board."""
        self._paused = True
        self._listen(False)

    def resume(self) -> None:
        """Read again."""
        self._paused = False
        self._listen(self._port is not None)

    def send(self, data: bytes) -> None:
        """Queue encoded bytes. While the port is closed they are forgotten: each opening begins with a hello."""
        if self._port is None:
            return
        self._out += data
        self._wake.set()
        if len(self._out) > _OUT_MAX:
            log.error("%s: takes nothing any more", self.config.port)
            self._lost.set()

    async def drain(self, timeout_s: float) -> None:
        """Wait until everything queued is written, at most so long."""
        end = time.monotonic() + timeout_s
        while self._out and self._port is not None and time.monotonic() < end:
            await asyncio.sleep(0.005)

    def _listen(self, want: bool) -> None:
        if want == self._reading or self._port is None:
            return
        loop = asyncio.get_running_loop()
        if want:
            loop.add_reader(self._port.fileno(), self._readable)
        else:
            loop.remove_reader(self._port.fileno())
        self._reading = want

    def _close(self) -> None:
        if self._port is None:
            return
        self._listen(False)
        try:
            self._port.close()
        except (OSError, serial.SerialException):
            pass
        self._port = None

    def _readable(self) -> None:
        if self._port is None:
            return
        try:
            data = os.read(self._port.fileno(), _CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if data:
            self._on_data(data)
        else:
            # The end of a terminal is for ever: hung up or unplugged.
            self._listen(False)
            self._lost.set()

    async def _write(self, fd: int) -> None:
        """Pieces of at most PIECE bytes, with the configured pause between two."""
        pause_s = self.config.pace_ms / 1000
        while True:
            if not self._out:
                self._wake.clear()
                await self._wake.wait()
            piece = self._out[:PIECE]
            while piece:
                try:
                    done = os.write(fd, piece)
                except (BlockingIOError, InterruptedError):
                    await _writable(fd)
                except OSError:
                    self._lost.set()
                    return
                else:
                    del piece[:done]
                    del self._out[:done]
            if pause_s:
                await asyncio.sleep(pause_s)


async def _writable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(fd, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(fd)

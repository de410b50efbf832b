"""The USB cables between boards and gateway: pseudo terminals whose other end the real daemon opens."""

from __future__ import annotations

import os
import pty
import select
import termios
import time
import tty
from collections.abc import Callable
from typing import Any

from firmware.wire import link
from tools.twin.clock import Clock
from tools.twin.tap import Tap

LATENCY_US = 1000  # from one end of a cable to the other
HANDLED_S = 2.0  # wall time that the clock waits for the daemon
WRITE_S = 2.0
_CHUNK = 4096


class Cable:
    """One cable. The daemon sees `path`; the board sees `feed`, called at the town's time.

    `up()`: is there a daemon that has the port open? Without one, what the board writes is lost, as it is where a host
    does not read. `idle()` is called while the clock waits, so that the twin notices a daemon that died; `before()` when
    the daemon is about to get something.
    """

    def __init__(self, clock: Clock, name: str, feed: Callable[[bytes], object]) -> None:
        self.clock = clock
        self.name = name
        self.up: Callable[[], bool] = lambda: True
        self.idle: Callable[[], object] = lambda: None
        self.before: Callable[[], object] = lambda: None
        self.on_heard: Callable[[str, list[Any]], object] = lambda name, message: None
        self.on_handled: Callable[[str, int], object] = lambda name, seq: None
        self.on_boot: Callable[[str], object] = lambda name: None
        self.on_log: Callable[[str, str], object] = lambda name, text: None
        self.late_handled = 0
        self.handled_seq = 0
        self.sent_seq = 0
        self._feed = feed
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        self._out = Tap(self._from_board, lambda text: self.on_log(name, text))
        self._in = Tap(self._from_host, lambda text: None)
        self._fresh = 0
        self._asked = False  # the daemon wants a hello before it handles anything; the board answers when time moves

    def close(self) -> None:
        """Pull the cable."""
        os.close(self._master)
        os.close(self._slave)

    # -- board to host

    def write(self, data: bytes) -> None:
        """The board has written `data`: hand it on, then let the clock wait until the daemon has dealt with its frames."""
        self._fresh = 0
        self._out.feed(data)
        self.before()
        if self.up() and self._deliver(data) and self._fresh:
            self._wait(lambda: self.handled_seq >= self.sent_seq or self._asked)

    def inject(self, data: bytes) -> None:
        """Noise on the line, towards the daemon."""
        self._deliver(data)

    def _from_board(self, message: list[Any]) -> None:
        if message[0] == link.HEARD and len(message) >= 6:
            self._fresh += 1
            self.sent_seq = max(self.sent_seq, message[1])
            self.on_heard(self.name, message)
        elif message[0] == link.HELLO and len(message) > 5:
            self._asked = False
            if message[5] == 0:
                self.sent_seq = self.handled_seq = 0  # it numbers from 1 again
                self.on_boot(self.name)

    def _deliver(self, data: bytes) -> bool:
        deadline = time.monotonic() + WRITE_S
        while data:
            try:
                data = data[os.write(self._master, data) :]
            except BlockingIOError:
                # The line's buffer is full: a daemon that is busy empties it, a dead one does not.
                self.idle()
                if not self.up() or time.monotonic() > deadline:
                    return False
                select.select([], [self._master], [], 0.01)
        return True

    def _wait(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + HANDLED_S
        while not done():
            left = deadline - time.monotonic()
            if left <= 0:
                self.late_handled += 1
                return
            select.select([self._master], [], [], min(left, 0.01))
            self.pump()
            if not done():
                self.idle()
                if not self.up():
                    return

    # -- host to board

    def pump(self) -> bool:
        """Take what the daemon has written; it reaches the board a little later. Was there anything?"""
        found = False
        while True:
            try:
                data = os.read(self._master, _CHUNK)
            except (BlockingIOError, OSError):
                return found
            if not data:
                return found
            found = True
            self._in.feed(data)
            self.clock.at(self.clock.now_us + LATENCY_US, self._feed, data)

    def _from_host(self, message: list[Any]) -> None:
        if message[0] == link.HANDLED and len(message) > 1:
            self.handled_seq = max(self.handled_seq, int(message[1]))
            self.on_handled(self.name, self.handled_seq)
        elif message[0] == link.HELLO and len(message) == 1:
            self._asked = True

    def flush(self) -> None:
        """The host's end was closed: what it had not read is gone."""
        termios.tcflush(self._slave, termios.TCIFLUSH)

    def opened(self, timeout_s: float) -> bool:
        """Wait, in wall time, until the daemon has opened the port and said something."""
        deadline = time.monotonic() + timeout_s
        while not self.pump():
            if time.monotonic() > deadline or not self.up():
                return False
            select.select([self._master], [], [], 0.02)
            self.idle()
        return True

"""The line between a board's process and the twin: one request, one reply. `board/_town.py` is the other end."""

from __future__ import annotations

import socket
import struct
from enum import IntEnum
from typing import NamedTuple

REQUEST = struct.Struct("<BBHq")
HEAD = struct.Struct("<qqQiBB")
INTERRUPTED = 1  # flag of a reply
WATCHDOG_S = 10


class Op(IntEnum):
    """What a board asks for."""

    READY = 1
    WAIT = 2
    SYNC = 3
    PIN_GET = 4
    PIN_SET = 5
    PIN_IRQ = 6
    SPI = 7
    I2C = 8
    UART_ANY = 9
    UART_READ = 10
    UART_WRITE = 11
    WIRE_RESET = 12
    WIRE_WRITE = 13
    WIRE_READ = 14
    WIRE_BIT = 15
    ADC = 16
    RESET = 17
    SLEEP = 18
    WATCHDOG = 19
    ENDED = 20
    UART_SET = 21
    PIN_MODE = 22
    RETAIN = 23


class Request(NamedTuple):
    """`t_us`: the board's time, which may be ahead of the town's."""

    op: int
    dev: int
    t_us: int
    data: bytes


class HungError(Exception):
    """The board's process computes on and on: no request for WATCHDOG_S of wall time."""


class Line:
    """The twin's end. Calls block: while a board computes, the town stands still."""

    def __init__(self) -> None:
        self._socket, self._child = socket.socketpair()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 1, 0))
        self.calls = 0

    @property
    def child_fd(self) -> int:
        """The descriptor that the board's process inherits."""
        return self._child.fileno()

    def started(self) -> None:
        """The process has its end now: keep none of it here, so that its death can be seen."""
        self._child.close()

    def close(self) -> None:
        """Let the board's process end by itself at its next request."""
        self._socket.close()
        self._child.close()

    def receive(self, drain: object = None) -> Request | None:
        """The next request, or None when the process has ended. `drain` is called each second that nothing comes.

        Raises HungError.
        """
        self.calls += 1
        data = self._bytes(drain)
        while 0 < len(data) < REQUEST.size or (data and len(data) < REQUEST.size + REQUEST.unpack_from(data)[2]):
            more = self._bytes(drain)
            if not more:
                return None
            data += more
        if not data:
            return None
        op, dev, _, t_us = REQUEST.unpack_from(data)
        return Request(op, dev, t_us, data[REQUEST.size :])

    def _bytes(self, drain: object) -> bytes:
        for _ in range(WATCHDOG_S):
            try:
                return self._socket.recv(4096)
            except BlockingIOError:
                if callable(drain):
                    drain()
            except ConnectionError:
                return b""
        raise HungError

    def reply(self, head: tuple[int, int, int, int, int, int], data: bytes) -> None:
        """Answer with the fields of HEAD. A process that has just died is noticed at the next `receive`."""
        try:
            self._socket.sendall(HEAD.pack(*head) + data)
        except OSError:
            pass

"""The board's serial line, shared by messages, log lines and the REPL (README of firmware/wire, section 3)."""

import asyncio
import select
import sys

from firmware.wire import hdlc, link
from firmware.wire.errors import WireError


class Console:
    """Writes frames and log lines, reads messages. What it cannot understand is counted in `garbage`.

    The host's bytes wait in a ring of 260 (ESP32), so they are taken as soon as they come.
    """

    def __init__(self, stdin=sys.stdin, stdout=sys.stdout):
        self._stdin = stdin  # what is polled; its bytes come from the buffer below it
        self._in = stdin.buffer
        self._out = stdout.buffer
        self._poll = select.poll()
        self._poll.register(stdin, select.POLLIN)
        self._decoder = hdlc.Decoder()
        self._chunk = bytearray(64)
        self.ask = None  # takes the body of a request of the service console
        self.text = 0
        self.messages = 0

    @property
    def garbage(self):
        """Runs and messages that were no message: noise, damage, text typed by a person."""
        decoder = self._decoder
        return self.text + decoder.overlong + decoder.aborted

    def write(self, data):
        """Write the bytes of a message to the line."""
        self._out.write(data)

    def log(self, text):
        """Write a log line."""
        self._out.write(hdlc.encode(hdlc.PROTO_LOG, text.encode()))

    def _take(self):
        # poll before each byte: reading two where one has come blocks the whole board.
        n = 0
        while n < len(self._chunk) and self._poll.poll(0):
            byte = self._in.read(1)
            if not byte:
                return None
            self._chunk[n] = byte[0]
            n += 1
        return bytes(self._chunk[:n])

    async def listen(self, handle):
        """Call handle(message: list) for every message; returns when the line is closed (a board's never is)."""
        line = asyncio.StreamReader(self._stdin)
        while True:
            await line.read(0)  # waits until something can be read, and reads nothing
            data = self._take()
            if data is None:
                return
            for proto, body in self._decoder.feed(data):
                self._message(proto, body, handle)

    def _message(self, proto, body, handle):
        message = None
        if proto == hdlc.PROTO_CONSOLE and self.ask:
            self.ask(body)
            return
        if proto == hdlc.PROTO_MESSAGE:
            try:
                message = link.parse(body)
            except WireError:
                pass
        if message is None:
            self.text += 1
            return
        self.messages += 1
        handle(message)

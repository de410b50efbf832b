"""The service console: answers requests on the serial line while the application runs (README of firmware/wire, section 6).

Loaded for the first request of a talk and freed, with every module that an op brought, a while after the last one.

**A new op** is a row of OPS, its name -> a module `op_*` of this folder, and in that module a function of that name. The
build takes `op_*.py` along by its name; the modules are loaded when first asked for and freed with the talk.

    def blink(talk, times):        # or `async def`; the arguments are what stood between op and MAC
        ...
        return value               # link CBOR, three containers deep, the answer at most 1000 bytes on the line; or None

talk.board is the Board, talk.board.app the Node or Bridge (None in safe mode), talk.kept a dict that lives as long as the
talk does (an op's own state between two requests). An argument that is wrong: DeviceError("console_request", which one);
any DeviceError is answered with its code and detail. Whoever asked is authentic; an op of OPEN is answered to anybody.
"""

import asyncio
import gc
import os
import sys

from firmware.wire import hdlc
from firmware.wire.cbor import dumps_link, loads_link
from firmware.wire.errors import DeviceError, WireError, const
from firmware.wire.service import request_mac, service_key

OPS = {
    "challenge": "op_status", "status": "op_status", "counters": "op_status", "log": "op_status",
    "readings": "op_test", "selftest": "op_test",
    "calibrate": "op_change", "set": "op_change", "interval": "op_change", "reboot": "op_change",
    "production": "op_change", "open": "op_change", "update": "op_update",
}  # fmt: skip
OPEN = ("challenge",)

MAC_LEN = const(8)
_PACE_MS = const(100)  # one request in this time, for ever
_BURST_MS = const(1500)  # and so much of it ahead
_FORGED_MS = const(1000)  # what a wrong MAC costs
_WAITING = const(2)  # requests that may wait while one is worked on
_IDLE_MS = const(10000)  # a talk ends, its nonce with it
_TICK_MS = const(10)


def _line(ident, status, value):
    return hdlc.encode(hdlc.PROTO_CONSOLE, dumps_link([ident, status, value]))


class Talk:
    """One talk with a host: from its first request until none has come for a while. `take(body)` takes a request."""

    def __init__(self, board):
        self.board = board
        self.kept = {}
        self.nonce = None
        self._key = None
        self._ident = -1  # of the last authentic request: numbers only rise under one nonce
        self._due_ms = 0  # when the pace would have it all done
        self._asked = []
        self._over = None  # the last request that was one too many
        self._before = set(sys.modules) - {__name__}
        self._task = asyncio.create_task(self._run())

    def take(self, body):
        """Take the body (bytes) of a frame; one too many is counted, and told so when there is time."""
        now = self.board.uptime.ms()
        if self._due_ms - now > _BURST_MS or len(self._asked) >= _WAITING:
            self.board.refused += 1
            self._over = body
            return
        self._due_ms = max(self._due_ms, now) + _PACE_MS
        self._asked.append(body)

    async def _run(self):
        idle_ms = 0
        try:
            while idle_ms < _IDLE_MS:
                if self._asked:
                    idle_ms = 0
                    await self._one(self._asked.pop(0), self._work)
                    over, self._over = self._over, None
                    if over:
                        await self._one(over, self._refuse)
                await asyncio.sleep_ms(_TICK_MS)
                idle_ms += _TICK_MS
        finally:
            self._end()

    def _end(self):
        self.board.talk = None
        for path in list(sys.modules):
            if path.startswith("firmware.") and path not in self._before:
                del sys.modules[path]
                package, _, name = path.rpartition(".")
                if hasattr(sys.modules.get(package), name):
                    delattr(sys.modules[package], name)
        gc.collect()

    async def _one(self, body, work):
        board = self.board
        try:
            request = loads_link(body)
            if type(request) is not list or len(request) < 2 or type(request[0]) is not int or type(request[1]) is not str:
                raise WireError("cbor")
        except WireError:
            board.console.text += 1
            return
        try:
            line = _line(request[0], 0, await work(request, body))
            if len(line) > hdlc.RUN_MAX:
                raise DeviceError("console_request", "the answer has %d bytes" % len(line))
        except DeviceError as error:
            line = _line(request[0], error.code, error.detail)
        except Exception as error:
            board.faults.note(error, "console")
            line = _line(request[0], board.faults.code, repr(error))
        board.console.write(line)

    async def _refuse(self, request, body):
        raise DeviceError("console_rate", "too many requests: %d refused" % self.board.refused)

    async def _work(self, request, body):
        op, args = request[1], request[2:]
        if op not in OPEN and self.identity()[0]:
            self._check(request, body)
            args.pop()
        if op not in OPS:
            raise DeviceError("console_request", "unknown op")
        run = getattr(__import__("firmware.node." + OPS[op], None, None, (op,)), op)
        try:
            found = run(self, *args)
        except TypeError as error:  # too many arguments, or one of another kind
            raise DeviceError("console_request", str(error))
        return await found if hasattr(found, "send") else found

    def identity(self):
        """Return (kid, key): of this board's secret, both b"" where it has none (a radio bridge). DeviceError config."""
        if self._key is None:
            from . import config

            root = self.board.root
            kid, secret = config.read_secret(root) if "secret.json" in os.listdir(root or "/") else (b"", None)
            self._key = kid, service_key(secret, kid) if secret else b""
        return self._key

    def _check(self, request, body):
        # The MAC is the last element and covers the nonce and all bytes before it.
        error = None
        if self.nonce is None:
            raise DeviceError("console_auth", "no challenge")
        mac = request_mac(self.identity()[1], self.nonce, body[:-MAC_LEN])
        wrong = type(request[-1]) is not bytes or len(request[-1]) != MAC_LEN
        if not wrong:
            for i in range(MAC_LEN):  # as long for a MAC that is nearly right
                wrong |= mac[i] ^ request[-1][i]
        if wrong:
            error = DeviceError("console_auth", "wrong MAC")
        elif request[0] <= self._ident:
            error = DeviceError("console_auth", "an old request")
        if error:
            self._due_ms += _FORGED_MS
            self.board.faults.note(error, "console")
            raise error
        self._ident = request[0]

    def challenge(self):
        """Return a new nonce (bytes); requests under the one before are void."""
        self.nonce = os.urandom(8)
        self._ident = -1
        return self.nonce

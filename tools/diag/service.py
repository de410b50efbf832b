"""The service console of a running board (README.md of firmware/wire, section 6): the protocol, and its client on a port.

`Talk` is the protocol alone: bytes in, answers out. `Service` asks over a line, sends again what got no answer, and opens a
new talk when the board has forgotten the old one. Log lines, messages and text on the same line go to `overheard`.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

from firmware.wire import hdlc
from firmware.wire.cbor import dumps_link, loads_link
from firmware.wire.errors import WireError
from firmware.wire.host.errors import DEVICE_ERRORS
from firmware.wire.service import MAC_LEN, request_mac, service_key
from gateway.errors import HostError
from tools.flash.ports import opened
from tools.i18n import _

PIECE = 200  # the host's writes: the ring of an ESP32's UART has 260 bytes
PIECE_PAUSE_S = 0.06
READ_S = 0.1  # how long a read of the port waits before the clock is looked at
PULSE_S = 0.1
ANSWER_S = 3.0  # how long one attempt waits
TRIES = 3
RATE_PAUSE_S = 1.0
CONSOLE_AUTH, CONSOLE_RATE = 63, 64

Overheard = Callable[[int, bytes], None]


class Answer(NamedTuple):
    """What came back for a request: status 0 and a value, or an error's number and its detail."""

    ident: int
    status: int
    value: Any


class Identity(NamedTuple):
    """What a challenge says: the nonce of the talk, and who the board is. A radio bridge's kid is empty."""

    nonce: bytes
    kid: bytes
    board: str
    uid: str
    role: str


class Talk:
    """The protocol without a line: `request` makes the bytes of one, `feed` finds the answers in what was read."""

    def __init__(self, overheard: Overheard | None = None) -> None:
        self._decoder = hdlc.Decoder()
        self._overheard = overheard
        self._ident = 0
        self.nonce: bytes | None = None
        self.key = b""

    def request(self, op: str, *args: Any) -> tuple[int, bytes]:
        """(number, bytes for the line); with a MAC once there is a nonce and a key."""
        self._ident += 1
        return self._ident, hdlc.encode(hdlc.PROTO_CONSOLE, self._body([self._ident, op, *args]))

    def _body(self, items: list[Any]) -> bytes:
        if not self.key or self.nonce is None:
            return bytes(dumps_link(items))
        body = bytes(dumps_link([*items, bytes(MAC_LEN)])[:-MAC_LEN])
        return body + bytes(request_mac(self.key, self.nonce, body))

    @property
    def pending(self) -> bytearray:
        """The run of bytes that is not closed yet."""
        return self._decoder.pending

    def feed(self, data: bytes) -> Iterator[Answer]:
        """The answers in the next bytes of the line; all else is handed to `overheard` as (proto, body)."""
        for proto, body in self._decoder.feed(data):
            answer = _answer(body) if proto == hdlc.PROTO_CONSOLE else None
            if answer is not None:
                yield answer
            elif self._overheard:
                self._overheard(proto, body)


def _answer(body: bytes) -> Answer | None:
    try:
        found = loads_link(body)
    except WireError:
        return None
    if type(found) is not list or len(found) != 3 or type(found[0]) is not int or type(found[1]) is not int:
        return None
    return Answer(*found)


class Line(Protocol):
    """A serial line. `read` waits at most `timeout_s`; both raise HostError (transfer) when the cable goes."""

    name: str

    def write(self, data: bytes) -> None: ...
    def read(self, timeout_s: float) -> bytes: ...
    def close(self) -> None: ...


class Port:
    """A serial port of this machine, held alone. HostError no_device or port_busy when it cannot be had."""

    def __init__(self, name: str, line: Any = None) -> None:
        """`line`: the port where somebody has opened it already."""
        self.name = name
        self._serial = line or opened(name)
        self._serial.timeout = READ_S

    def write(self, data: bytes) -> None:
        """Write in the pieces that a board's ring holds."""
        try:
            for start in range(0, len(data), PIECE):
                if start:
                    time.sleep(PIECE_PAUSE_S)
                self._serial.write(data[start : start + PIECE])
            self._serial.flush()
        except OSError as error:
            raise self._lost(error) from None

    def read(self, timeout_s: float) -> bytes:
        """What has come, at the latest after `timeout_s`; empty: nothing."""
        deadline = time.monotonic() + timeout_s
        try:
            while not (data := self._serial.read(1)) and time.monotonic() < deadline:
                pass
            return bytes(data + self._serial.read(self._serial.in_waiting))
        except OSError as error:
            raise self._lost(error) from None

    def reset(self) -> None:
        """Pull the reset of an ESP32 behind a bridge (ports.is_bridge), whose other lines are low."""
        try:
            self._serial.rts = True
            time.sleep(PULSE_S)
            self._serial.rts = False
        except OSError as error:
            raise self._lost(error) from None

    def close(self) -> None:
        """Let go of the port."""
        self._serial.close()

    def _lost(self, error: OSError) -> HostError:
        what = _("the connection broke: {error}").format(error=error)
        return HostError("transfer", what, self.name, _("check the cable and run the command again"))


class Service:
    """Asks the board at the other end of a line. `key_of(identity)`: its service key, b"" for a board without one."""

    def __init__(self, line: Line, key_of: Callable[[Identity], bytes], overheard: Overheard | None = None) -> None:
        self._line = line
        self._key_of = key_of
        self._talk = Talk(overheard)
        self.identity: Identity | None = None

    @property
    def where(self) -> str:
        """The port, and who is there."""
        return f"{self._line.name}: {self.identity.board}" if self.identity else self._line.name

    def greet(self, answer_s: float | None = None, tries: int = TRIES) -> Identity:
        """Ask for a challenge; what is asked from now on is signed under it. HostError: timeout, device_fault."""
        self._talk.nonce = None
        self._talk.key = b""
        value = self._value("challenge", self._exchange("challenge", (), answer_s, tries))
        try:
            nonce, kid, board, uid, role = value
            self.identity = Identity(bytes(nonce), bytes(kid), str(board), str(uid), str(role))
        except (TypeError, ValueError):
            what = _("the board's answer cannot be understood: {answer}").format(answer=str(value)[:60])
            raise HostError("mismatch", what, self._line.name, _("flash this board with matching tools")) from None
        self._talk.key = self._key_of(self.identity)
        self._talk.nonce = self.identity.nonce
        return self.identity

    def ask(self, op: str, *args: Any, answer_s: float | None = None, tries: int = TRIES) -> Any:
        """The value of an op's answer. HostError: timeout, transfer, bad_keys (wrong key), device_fault (refused by name).

        A request that got no answer is sent again under a new number, so an op may run twice.
        """
        if self.identity is None:
            self.greet()
        answer = self._exchange(op, args, answer_s, tries)
        if answer.status == CONSOLE_AUTH:  # the board has forgotten the talk, or does not know the key
            self.greet()
            answer = self._exchange(op, args, answer_s, tries)
            if answer.status == CONSOLE_AUTH:
                what = _("the board does not accept this key: {detail}").format(detail=answer.value)
                raise HostError("bad_keys", what, self._line.name, _("take the secrets.json that it was flashed with"))
        return self._value(op, answer)

    def listen(self, timeout_s: float) -> None:
        """Hear what the board says by itself, for at most so long: it goes to `overheard`."""
        for _answer in self._talk.feed(self._line.read(timeout_s)):
            pass  # to nobody's question any more

    @property
    def pending(self) -> bytes:
        """What the board has said since the last frame or line."""
        return bytes(self._talk.pending)

    def _value(self, op: str, answer: Answer) -> Any:
        if answer.status == 0:
            return answer.value
        name = DEVICE_ERRORS.get(answer.status, str(answer.status))
        what = _("{op}: the board refuses: {name}: {detail}").format(op=op, name=name, detail=answer.value)
        raise HostError("device_fault", what, self.where, _("`jourdain board BOARD log` says more"))

    def _exchange(self, op: str, args: tuple[Any, ...], answer_s: float | None, tries: int) -> Answer:
        # An answer to an earlier attempt counts as well: it is the same question.
        idents: list[int] = []
        answer_s = ANSWER_S if answer_s is None else answer_s
        for _attempt in range(tries):
            ident, data = self._talk.request(op, *args)
            idents.append(ident)
            self._line.write(data)
            deadline = time.monotonic() + answer_s
            while (left := deadline - time.monotonic()) > 0:
                for answer in self._talk.feed(self._line.read(left)):
                    if answer.ident not in idents:
                        continue
                    if answer.status != CONSOLE_RATE or len(idents) == tries:
                        return answer
                    deadline = min(deadline, time.monotonic() + RATE_PAUSE_S)
        what = _("the board gave no answer within {seconds} s").format(seconds=round(answer_s * tries))
        hint = _("is its program running? reset it; a board in its REPL is deaf to this")
        raise HostError("timeout", what, self._line.name, hint)


def key_of(secret: bytes, kid: bytes) -> bytes:
    """The service key of a board, from the secret that it was flashed with."""
    return bytes(service_key(secret, kid))

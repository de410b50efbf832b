"""A board whose own program runs, at the other end of a line: what it says by itself is kept, and it can be asked."""

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

from firmware.wire import hdlc, link
from firmware.wire.errors import WireError
from gateway.errors import HostError
from gateway.inventory import Board
from tools.diag.service import Identity, Line, Service, key_of
from tools.flash import ports
from tools.i18n import _

T = TypeVar("T")

LOOK_S = 0.25  # how soon a wait notices that it shall end
# A board that has said why it cannot work is not waited for much longer.
GRACE_S = 1.5
# Errors of a board after which it sends nothing, or nothing of use.
FATAL = ("config", "identity", "state_lost", "counter", "store", "exception")
ASK_S = 1.0  # how often a board that does not answer is asked again
BACK_S = 20.0  # a reset takes a native USB port away; so long until it is there again


class Hello(NamedTuple):
    """Message [6]: who the board is."""

    firmware: str
    uid: str
    caps: list[str]


class Running:
    """Holds the line until `close`. `key(identity)`: the board's service key; `halt`: raises when all shall stop.

    hello: the last one, None before; log: lines of the program, oldest first; frames: sealed frames that it sent on this line.
    """

    def __init__(self, line: Line, key: Callable[[Identity], bytes], halt: Callable[[], None]) -> None:
        self._line = line
        self._halt = halt
        self.name = line.name
        self.service = Service(self, key, self._overheard)
        self.hello: Hello | None = None
        self.log: list[str] = []
        self.frames: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Write to the line. HostError (transfer)."""
        self._line.write(data)

    def read(self, timeout_s: float) -> bytes:
        """What has come, after `timeout_s` or earlier; empty: nothing yet. HostError (transfer)."""
        self._halt()
        return self._line.read(min(timeout_s, LOOK_S))

    def close(self) -> None:
        """Let go of the port."""
        self._line.close()

    def until(self, look: Callable[[], T | None], timeout_s: float) -> T | None:
        """What `look` finds once it is not None, while the board is listened to; None after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = look()
            if found is not None or time.monotonic() >= deadline:
                return found
            self.service.listen(LOOK_S)

    def wait_hello(self, timeout_s: float) -> Hello:
        """The board's hello, at once where it has come. HostError: device_fault with what it says of itself, or timeout."""
        deadline = time.monotonic() + timeout_s
        while (found := self.until(lambda: self.hello, min(1.0, deadline - time.monotonic()))) is None:
            if errors_in(self._said()):
                deadline = min(deadline, time.monotonic() + GRACE_S)
            if time.monotonic() >= deadline:
                raise silent(self.name, self._said(), timeout_s)
        return found

    def ask_hello(self, timeout_s: float) -> Hello:
        """The hello of a program that runs already; it sends its unhandled frames again, too. HostError (timeout)."""
        self.hello = None
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline - ASK_S and self.hello is None:
            self.write(link.ask_hello())
            self.until(lambda: self.hello, ASK_S)
        return self.wait_hello(ASK_S)

    def restarted(self, uid: str, timeout_s: float) -> Hello:
        """Wait for the hello after a restart that is due; a native USB port goes and comes back. HostError."""
        self.hello = None
        try:
            return self.wait_hello(timeout_s)
        except HostError as error:
            if error.name != "transfer":
                raise
        self._line.close()
        self._line = reopened(self.name, uid, self._halt)
        return self.ask_hello(timeout_s)

    def _said(self) -> list[str]:
        return self.log + lines_of(self.service.pending)

    def _overheard(self, proto: int, body: bytes) -> None:
        if proto in (hdlc.PROTO_LOG, hdlc.PROTO_LOG_TEXT):
            self.log += lines_of(body)
        elif proto == hdlc.PROTO_MESSAGE:
            with contextlib.suppress(WireError):
                self._message(link.parse(body))

    def _message(self, message: list[object]) -> None:
        if message[0] == link.HELLO and len(message) >= 4 and isinstance(message[3], list):
            self.hello = Hello(str(message[1]), str(message[2]), [str(cap) for cap in message[3]])
        elif message[0] == link.HEARD and len(message) >= 3 and isinstance(message[2], bytes):
            self.frames.append(message[2])


def reopened(name: str, uid: str, halt: Callable[[], None]) -> Line:
    """The line of a board whose port has gone, once it is back, perhaps under another name. HostError (transfer)."""
    from tools.diag.service import Port  # noqa: PLC0415

    deadline = time.monotonic() + BACK_S
    while time.monotonic() < deadline:
        halt()
        with contextlib.suppress(HostError):
            return Port(ports.for_chip(uid) or name)
        time.sleep(LOOK_S)
    raise HostError("transfer", _("the board restarted and its port did not come back"), name,
                    _("check the cable and run the command again"))  # fmt: skip


def service_key(identity: Identity, entry: Board, issued: Mapping[str, Mapping[str, str]], where: tuple[str, str]) -> bytes:
    """The service key of the board that answered, which must be `entry`. where: (port, file of secrets).

    HostError: mismatch, bad_keys.
    """
    port, file = where
    # A board whose configuration is damaged has no name, but a uid.
    if (identity.board or entry.name) != entry.name or (entry.uid and identity.uid != entry.uid):
        what = _("the board here is {found} ({uid}), not {board}")
        what = what.format(found=identity.board, uid=identity.uid, board=entry.name)
        raise HostError("mismatch", what, port, _("plug in the right board, or name its port: --port PORT"))
    if not identity.kid:
        return b""
    made = issued.get(identity.kid.hex())
    if made is None:
        what = _("there is no secret for key id {kid} of {board}").format(kid=identity.kid.hex(), board=identity.board)
        raise HostError("bad_keys", what, file, _("use the secrets.json of the workshop that flashed it: --secrets FILE"))
    return key_of(bytes.fromhex(made["secret"]), identity.kid)


def lines_of(raw: bytes | bytearray) -> list[str]:
    """The lines of what a board printed."""
    return [line for line in bytes(raw).decode("utf-8", "replace").splitlines() if line.strip()]


def errors_in(log: list[str]) -> list[str]:
    """What keeps a board from working: its own fatal errors, else the last line of a traceback."""
    named = [line for line in log if line.startswith("error ") and line.split()[1] in FATAL]
    return named or [line for line in log if not line.startswith(" ") and "Error: " in line]


def silent(port: str, log: list[str], timeout_s: float) -> HostError:
    """Why there is no hello: device_fault with what the board says of itself, or timeout."""
    errors = errors_in(log)
    if errors:
        what = _("the board says: {error}").format(error=errors[0])
        return HostError("device_fault", what, port, _("look at boards.yaml and flash again"))
    what = _("the board sent no hello within {seconds} s").format(seconds=round(timeout_s))
    said = "; ".join(log[-3:])
    return HostError("timeout", what, f"{port}: {said}" if said else port, _("press its reset and run the command again"))

"""A board at a serial port: its raw REPL, by mpremote as a library, and what it says once its own program runs."""

import contextlib
import io
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from firmware.wire import hdlc, link
from firmware.wire.errors import WireError
from gateway.errors import HostError
from tools.i18n import _

# How long each attempt to interrupt a board waits: one that has just begun to boot may not notice the first.
ANSWERS_S = (2.0, 4.0, 6.0)
# A board that has said why it cannot work is not waited for much longer.
GRACE_S = 1.5
# Errors of a board after which it sends nothing, or nothing of use.
FATAL = ("config", "identity", "state_lost", "counter", "store", "exception")
BAUD = 115_200
# Large enough for speed, small enough for the 64 kB heap of an ESP32: a chunk is sent as a literal of up to four times its size.
CHUNK = 512
# A watchdog that the board's own program has armed goes on in the REPL, and no soft reset stops it.
FEED = """
import os, sys
if 'ladder.mpy' in os.listdir('/'):
    import machine
    _dog = machine.WDT(timeout=8000)
    _timer = machine.Timer(0 if sys.platform == 'esp32' else -1, period=1000, callback=lambda timer: _dog.feed())
"""


class Hello(NamedTuple):
    """Message [6]: who the board is, and the log lines that came before it."""

    firmware: str
    uid: str
    caps: list[str]
    log: list[str]


def choose_port(wanted: str | None, candidates: Sequence[str] | None = None) -> str:
    """The port to use: the wanted one, else the only candidate. Raises HostError (no_device, ambiguous)."""
    if wanted and wanted != "auto":
        return wanted
    found = usb_ports() if candidates is None else list(candidates)
    if not found:
        raise HostError("no_device", _("no board is plugged in"), "", _("is it a data cable? some carry power only"))
    if len(found) > 1:
        raise HostError("ambiguous", _("several boards are plugged in"), ", ".join(found), _("name one: --port PORT"))
    return found[0]


def usb_ports() -> list[str]:
    """Serial ports on USB, sorted; others (Bluetooth, the machine's own) are never guessed."""
    from serial.tools import list_ports  # noqa: PLC0415

    return sorted(port.device for port in list_ports.comports() if port.vid is not None)


class Connection:
    """The raw REPL of a board. Every method raises HostError (transfer) when the board or the cable fails.

    Made by Connection(port): HostError no_device (nothing there, or nothing that speaks MicroPython) or port_busy.
    """

    def __init__(self, port: str) -> None:
        from mpremote.transport import TransportError  # noqa: PLC0415

        self.port = port
        self._transport = _open(port)
        for answer_s in ANSWERS_S:
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    self._transport.enter_raw_repl(soft_reset=True, timeout_overall=answer_s)
                self.run(FEED)
                return
            except TransportError:
                continue
            except OSError as error:
                self.close()
                raise HostError("transfer", str(error), port, _("check the cable")) from None
        self.close()
        what = _("nothing at this port answers as MicroPython does")
        hint = _("put MicroPython on the board, or press its reset; one in production: jourdain board BOARD open")
        raise HostError("no_device", what, port, hint)

    def run(self, script: str) -> str:
        """Run a script on the board and return what it printed."""
        with self._faults():
            printed: bytes = self._transport.exec(script)
        return printed.decode("utf-8", "replace")

    def write(self, path: str, data: bytes) -> None:
        """Write a file on the board; its folder is there."""
        with self._faults():
            self._transport.fs_writefile(path, data, chunk_size=CHUNK)

    def restart(self) -> None:
        """Leave the raw REPL and start the board's own program; nothing where that runs already."""
        if not self._transport.in_raw_repl:
            return
        with self._faults():
            self._transport.exit_raw_repl()
            self._transport.read_until(1, b">>> ", timeout=2)
            self._transport.serial.write(b"\x04")

    def hello(self, timeout_s: float) -> Hello:
        """Wait for the board's hello. HostError: device_fault with what the board says of itself, or timeout."""
        decoder = hdlc.Decoder()
        log: list[str] = []
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            with self._faults():
                data: bytes = self._transport.serial.read(max(1, self._transport.serial.in_waiting))
            for proto, body in decoder.feed(data):
                message = _message(proto, body)
                if message is not None:
                    return Hello(*message, log)
                if proto in (hdlc.PROTO_LOG, hdlc.PROTO_LOG_TEXT):
                    log += _lines(body)
            if _errors(log + _lines(decoder.pending)):
                deadline = min(deadline, time.monotonic() + GRACE_S)
        raise _silent(self.port, log + _lines(decoder.pending), timeout_s)

    def close(self) -> None:
        """Let go of the port."""
        with contextlib.suppress(OSError):
            self._transport.close()

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        from mpremote.transport import TransportError, TransportExecError  # noqa: PLC0415

        try:
            with contextlib.redirect_stdout(io.StringIO()):
                yield
        except TransportExecError as error:
            last = (error.error_output.strip().splitlines() or ["?"])[-1]
            raise HostError("transfer", _("the board says: {error}").format(error=last), self.port,
                            _("run the command again")) from None  # fmt: skip
        except (TransportError, OSError) as error:
            what = _("the connection broke: {error}").format(error=error)
            raise HostError("transfer", what, self.port, _("check the cable and run the command again")) from None


def _message(proto: int, body: bytes) -> tuple[str, str, list[str]] | None:
    """(firmware, uid, caps) of a hello, None of anything else."""
    if proto != hdlc.PROTO_MESSAGE:
        return None
    try:
        message = link.parse(body)
    except WireError:
        return None
    if message[0] != link.HELLO or len(message) < 4:
        return None
    return str(message[1]), str(message[2]), [str(cap) for cap in message[3]]


def _lines(raw: bytes | bytearray) -> list[str]:
    return [line for line in bytes(raw).decode("utf-8", "replace").splitlines() if line.strip()]


def _errors(log: Sequence[str]) -> list[str]:
    """What keeps the board from working: its own fatal errors, else the last line of a traceback."""
    named = [line for line in log if line.startswith("error ") and line.split()[1] in FATAL]
    return named or [line for line in log if not line.startswith(" ") and "Error: " in line]


def _silent(port: str, log: list[str], timeout_s: float) -> HostError:
    errors = _errors(log)
    if errors:
        what = _("the board says: {error}").format(error=errors[0])
        return HostError("device_fault", what, port, _("look at boards.yaml and flash again"))
    what = _("the board sent no hello within {seconds} s").format(seconds=round(timeout_s))
    said = "; ".join(log[-3:])
    return HostError("timeout", what, f"{port}: {said}" if said else port, _("press its reset and run the command again"))


def _open(port: str) -> Any:
    from mpremote.transport import TransportError  # noqa: PLC0415
    from mpremote.transport_serial import SerialTransport  # noqa: PLC0415

    try:
        return SerialTransport(port, baudrate=BAUD, timeout=1)
    except (TransportError, OSError, ValueError):
        raise why_closed(port) from None


def why_closed(port: str) -> HostError:
    """mpremote only says that it failed: ask again, for the reason."""
    import serial  # noqa: PLC0415

    if "://" not in port and not Path(port).exists():
        return HostError("no_device", _("there is no such port"), port, _("plugged in? is it a data cable?"))
    try:
        serial.serial_for_url(port, exclusive=True).close()
    except (OSError, ValueError) as error:
        if not os.access(port, os.R_OK | os.W_OK) and "://" not in port:
            hint = _("as root: usermod -aG dialout {user}, then log in again").format(user=os.environ.get("USER", "USER"))
            return HostError("port_busy", _("you may not open this port"), port, hint)
        if "lock" in str(error) or getattr(error, "errno", None) == 16:
            hint = _("stop the gateway's daemon or the terminal that uses it")
            return HostError("port_busy", _("another program holds this port"), port, hint)
        return HostError("no_device", str(error), port, _("plugged in? is it a data cable?"))
    return HostError("port_busy", _("the port could not be opened"), port, _("run the command again"))

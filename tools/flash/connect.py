"""A board at a serial port: its raw REPL, by mpremote as a library."""

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

from gateway.errors import HostError
from tools.diag.service import Port, Service
from tools.flash.ports import is_bridge, opened
from tools.flash.script import FIRST, deflated, literal, packed, source
from tools.i18n import _

# How long each attempt to enter the raw REPL waits for what a board says on the way.
ANSWERS_S = (2.0, 4.0, 6.0)
# How often a board is asked what it is, and how long it has for an answer. One that has just begun to boot is deaf for seconds.
LOOKS, LOOK_S = 6, 0.5
# Stops a program, and leaves the raw REPL in which another tool may have left the board.
STOP = b"\r\x03\x02"
PROMPT = b">>> "
# How long a script may be silent, and how long a read of the line waits before the clock is looked at.
WORK_S, READ_S = 30.0, 0.1
# A tool that says nothing for so long is dead: what it left alone starts its own program again.
ALONE_S = 60
# A watchdog that the board's own program has armed goes on in the REPL, and no soft reset stops it.
FEED = """
def _armed():
    try:
        return any('WDT' in line for line in open('/main.py'))
    except OSError:
        pass
def _feed(timer):
    global _left
    _left -= 1
    if _left > 0:
        _dog.feed()
def _guard():
    global _dog, _timer
    if '_dog' not in globals() and _armed():
        import machine
        _dog = machine.WDT(timeout=8000)
        _timer = machine.Timer(0 if sys.platform == 'esp32' else -1, period=1000, callback=_feed)
_guard()
"""


def what_is_there(port: str) -> str:
    """"repl": MicroPython whose prompt can be had (a program that ran is stopped: a Connection starts it again).

    "console": a program of ours runs, and its REPL is closed (production); "silent": nothing answers, as an empty flash, a ROM
    loader, or a program that hears no Ctrl-C. HostError no_device or port_busy when the port cannot be had.
    """
    line = Port(port)
    try:
        there = _look(line)
        if there == "silent" and is_bridge(port):  # an ESP32 that sleeps deeply, or hangs
            line.reset()
            there = _look(line)
        return there
    finally:
        line.close()


def _look(line: Port) -> str:
    answers = 0
    for _attempt in range(LOOKS):
        line.write(STOP)
        if _hears(line, PROMPT):
            return "repl"
        # One that answers in the midst of its boot may yet open its REPL, so the second answer counts.
        answers += _is_console(line)
        if answers == 2:
            return "console"
    return "console" if answers else "silent"


def _hears(line: Port, text: bytes) -> bool:
    heard = b""
    deadline = time.monotonic() + LOOK_S
    while text not in heard and (left := deadline - time.monotonic()) > 0:
        heard += line.read(left)
    return text in heard


def _is_console(line: Port) -> bool:
    try:
        Service(line, lambda _identity: b"").greet(LOOK_S, 1)
    except HostError as error:
        return error.name == "device_fault"  # it refuses, but by name
    return True


class Connection:
    """The raw REPL of a board. Every method raises HostError (transfer) when the board or the cable fails.

    Made by Connection(port): HostError no_device (nothing there, or nothing that speaks MicroPython), port_busy, or repl_closed
    (a board in production).
    """

    def __init__(self, port: str) -> None:
        self.port = port
        self.deflate = False  # whether its MicroPython can inflate
        self._known: set[str] = set()
        for answer_s in ANSWERS_S:
            self._transport = _transport(port)
            if self._enter(answer_s):
                self._begin()
                return
            self.close()
            _judge(port, what_is_there(port))
        raise _silent_port(port)

    def _enter(self, answer_s: float) -> bool:
        from mpremote.transport import TransportError  # noqa: PLC0415

        try:
            self._transport.enter_raw_repl(soft_reset=True, timeout_overall=answer_s)
        except TransportError:
            return False
        except OSError as error:
            self.close()
            raise HostError("transfer", str(error), self.port, _("check the cable")) from None
        self._transport.serial.timeout = WORK_S
        return True

    def _begin(self) -> None:
        try:
            self.deflate = self.run(FIRST + FEED).strip() == "1"
        except HostError:
            self.close()  # nobody else will: there is no Connection yet
            raise

    def run(self, script: str, *, uses: tuple[str, ...] = (), data: bytes | None = None) -> str:
        """Run a script on the board and return what it printed.

        uses: scripts with functions that it needs, which are sent once a connection. data: what it finds as the stream `_data`.
        """
        code = source("".join(part for part in uses if part not in self._known) + script)
        if self.deflate:
            code = packed(code)
        if data is not None:
            code = b"_data=_inflate(%b)\n%b" % (literal(deflated(data) if self.deflate else data), code)
        with self._faults():
            printed, error = self._transport.exec_raw(b"_left=%d\n%b" % (ALONE_S, code), timeout=WORK_S)
        if error:
            last = (bytes(error).decode("utf-8", "replace").strip().splitlines() or ["?"])[-1]
            raise HostError("transfer", _("the board says: {error}").format(error=last), self.port, _("run the command again"))
        self._known.update(uses)
        return bytes(printed).decode("utf-8", "replace")

    def write(self, path: str, data: bytes) -> None:
        """Write a small file on the board; its folder is there."""
        self.run(f"with open({path!r}, 'wb') as file:\n    file.write(_data.read())", data=data)

    @contextlib.contextmanager
    def awake(self) -> Iterator[None]:
        """While this lasts nothing else is done with the board, and its watchdog is content: a person thinks."""
        done = threading.Event()

        def keep() -> None:
            while not done.wait(ALONE_S / 3):
                with contextlib.suppress(HostError):
                    self.run("")

        thread = threading.Thread(target=keep, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def restart(self) -> None:
        """Leave the raw REPL and start the board's own program; nothing where that runs already."""
        if not self._transport.in_raw_repl:
            return
        with self._faults():
            self._transport.exit_raw_repl()
            self._transport.read_until(1, b">>> ", timeout=2)
            self._transport.serial.write(b"\x04")
            self._transport.serial.timeout = READ_S

    def line(self) -> Port:
        """The same open port, for the program that `restart` has started."""
        return Port(self.port, self._transport.serial)

    def close(self) -> None:
        """Let go of the port."""
        with contextlib.suppress(OSError):
            self._transport.close()

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        from mpremote.transport import TransportError  # noqa: PLC0415

        try:
            yield
        except (TransportError, OSError) as error:
            what = _("the connection broke: {error}").format(error=error)
            raise HostError("transfer", what, self.port, _("check the cable and run the command again")) from None


def _judge(port: str, there: str) -> None:
    """Raise what stands in the way of a Connection, by what is there."""
    if there == "console":
        what = _("this board is in production: its program runs and its REPL is closed")
        hint = _("open it until its next boot: jourdain board BOARD open; or send it a release: jourdain board BOARD update FILE")
        raise HostError("repl_closed", what, port, hint)
    if there == "silent":
        raise _silent_port(port)


def _silent_port(port: str) -> HostError:
    what = _("nothing at this port answers as MicroPython does")
    hint = _("put MicroPython on the board, or press its reset while the command starts")
    return HostError("no_device", what, port, hint)


def _transport(port: str) -> Any:
    """mpremote's transport on a port that we opened: its own __init__ raises the lines that reset an ESP32."""
    from mpremote import transport_serial  # noqa: PLC0415

    transport_serial.print = lambda *_: None  # what it has to say we say ourselves, on standard error
    made = transport_serial.SerialTransport.__new__(transport_serial.SerialTransport)
    made.serial, made.device_name = opened(port, READ_S), port
    made.in_raw_repl, made.use_raw_paste, made.mounted = False, True, False
    made.is_pty = True  # read() waits for a byte, instead of looking every 10 ms whether there is one
    return made

"""A board: a real `micropython` process whose machine is the town."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gateway.errors import HostError
from tools.twin.clock import Clock, Handle
from tools.twin.ports import Circuit
from tools.twin.requests import Handlers
from tools.twin.rpc import INTERRUPTED, HungError, Line, Op, Request

SHIM = Path(__file__).parent / "board"
PWRON, HARD, WDT, DEEPSLEEP = 1, 2, 3, 4
_TAIL = 2000


def micropython() -> str:
    """The command: the one installed beside this Python, else the first on PATH. Raises HostError (missing_tool)."""
    beside = Path(sys.executable).parent / "micropython"
    found = str(beside) if beside.exists() else shutil.which("micropython")
    if found is None:
        raise HostError("missing_tool", "no `micropython` command", "PATH", "pip install 'jourdain[twin]'")
    return found


@dataclass(frozen=True)
class Spec:
    """What a board is before it runs. `image`: its flash, of `blocks` blocks of 4 kB; `seed`: where its chance comes from."""

    name: str
    uid: str
    family: str
    heap_bytes: int
    image: Path
    blocks: int
    seed: bytes


class Process(Handlers):
    """Runs until it asks for something; what it asks for happens at its time. One request is under way, never two.

    `on_output(data)` gets what it writes to its serial line; `on_fault(what)` a crash or a hang, with the end of stderr.
    """

    def __init__(
        self,
        clock: Clock,
        spec: Spec,
        circuit: Circuit,
        on_output: Callable[[bytes], object],
        on_fault: Callable[[str], object],
    ) -> None:
        super().__init__(clock, circuit)
        self.spec = spec
        self.boots = 0
        self.exit_code: int | None = None  # 0 ended by itself, 1 by Ctrl-C, 2 by an exception
        self.on_output = on_output
        self.on_spawn: Callable[[int], object] = lambda pid: None
        self._on_fault = on_fault
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr: BinaryIO | None = None
        self._stdin = self._stdout = -1
        self._cause = PWRON
        self._memory = b""  # what the chip keeps over a reset and loses with its power
        self._watchdog: Handle | None = None
        self._start: Handle | None = None
        self._interrupt = False
        self.calls = 0

    # -- power

    @property
    def pid(self) -> int | None:
        """Of the process, while it runs."""
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        """Is there a process?"""
        return self._process is not None

    def power_on(self, at_us: int, cause: int = PWRON) -> None:
        """Start the process now; its first instruction comes at `at_us`."""
        self._spawn()
        self._cause = cause
        if cause == PWRON:
            self._memory = b""
        self.exit_code = None
        self._start = self.clock.at(at_us, self._first)

    def power_off(self) -> None:
        """Cut the power: the process is killed, its flash stays."""
        for handle in (self._watchdog, self._start):
            if handle is not None:
                handle.cancel()
        self.forget()
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        self.calls += self.line.calls
        self.line.close()
        os.close(self._stdin)
        os.close(self._stdout)

    def _spawn(self) -> None:
        self.boots += 1
        self.line = Line()
        stdin, self._stdin = os.pipe()
        self._stdout, stdout = os.pipe()
        for fd in (self._stdin, self._stdout):
            fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_NONBLOCK)
        if self._stderr is None:
            self._stderr = (self.spec.image.parent / f"{self.spec.name}.stderr").open("ab+")
        command = [micropython(), "-X", f"heapsize={self.spec.heap_bytes}", str(SHIM / "boot.py"), str(self.line.child_fd)]
        environment = {"PATH": os.environ.get("PATH", ""), "MICROPYPATH": f"{SHIM}:.frozen"}
        self._process = subprocess.Popen(
            command, stdin=stdin, stdout=stdout, stderr=self._stderr, env=environment, pass_fds=[self.line.child_fd],
            start_new_session=True,
        )  # fmt: skip
        os.close(stdin)
        os.close(stdout)
        self.line.started()
        self.on_spawn(self._process.pid)

    def _first(self) -> None:
        request = self._receive()
        if request is None:
            return
        assert request.op == Op.READY
        seed = self.spec.seed + struct.pack("<I", self.boots)
        who = json.dumps(
            {
                "image": str(self.spec.image.absolute()), "blocks": self.spec.blocks, "uid": self.spec.uid, "seed": seed.hex(),
                "family": self.spec.family, "cause": self._cause, "memory": self._memory.hex(),
                "selects": list(self.circuit.selects),
            }
        ).encode()  # fmt: skip
        self.answer(value=len(who), data=who)
        self._go_on()

    # -- requests

    def _go_on(self) -> None:
        """Serve the board until it waits for something that is not yet due."""
        clock = self.clock
        while self._process is not None:
            request = self._receive()
            if request is None:
                return
            if request.t_us >= clock.next_us():
                clock.at(request.t_us, self._serve, request)
                return
            clock.now_us = max(clock.now_us, request.t_us)
            if not self._handle(request):
                return

    def _serve(self, request: Request) -> None:
        if self._process is not None and self._handle(request):
            self._go_on()

    def resume(self) -> None:
        """End the board's waiting: something happened, or its time has come."""
        self.stop_waiting()
        self.answer()
        self._go_on()

    def _handle(self, request: Request) -> bool:
        """Do what is asked. True when it is answered and the board goes on at once."""
        if request.op == Op.WAIT:
            self.drain()
            until, uarts = struct.unpack("<qI", request.data)
            return self.start_waiting(until, uarts)
        if request.op in (Op.RESET, Op.SLEEP, Op.ENDED):
            self._leave(request)
            return False
        if request.op == Op.RETAIN:
            self._memory = request.data
            self.answer()
            return True
        if request.op == Op.WATCHDOG:
            if self._watchdog is not None:
                self._watchdog.cancel()
            self._watchdog = self.clock.at(self.clock.now_us + struct.unpack("<q", request.data)[0], self._bite)
            self.answer()
            return True
        self.perform(request)
        return True

    def _leave(self, request: Request) -> None:
        self.drain()
        now = self.clock.now_us
        if request.op == Op.ENDED:
            self.exit_code = request.dev
            if request.dev == 2:
                self._on_fault(f"{self.spec.name}: stopped by an exception\n{self.stderr_tail()}")
            self.power_off()
            return
        self.power_off()
        if request.op == Op.RESET:
            self.power_on(now, WDT if self.spec.family == "rp2" else HARD)
            return
        us = struct.unpack("<q", request.data)[0]
        if us >= 0:
            self.clock.at(now + us, self.power_on, now + us, DEEPSLEEP)

    def _bite(self) -> None:
        self._on_fault(f"{self.spec.name}: reset by its watchdog")
        self.power_off()
        self.power_on(self.clock.now_us, WDT)

    # -- serial line

    def feed(self, data: bytes) -> None:
        """Bytes arrive at the board's serial line, now. Ctrl-C becomes an interrupt, as the MicroPython REPL has it."""
        if self._process is None or (self._start is not None and self._start.alive):
            return  # nobody is there yet
        if b"\x03" in data:
            data = data.replace(b"\x03", b"")
            self._interrupt = True
        try:
            os.write(self._stdin, data)
        except BlockingIOError:
            pass  # a board that does not read loses what comes, as on a UART
        self.nudge()

    def drain(self) -> None:
        """Hand on what the board has written since."""
        while self._process is not None:
            try:
                data = os.read(self._stdout, 65536)
            except BlockingIOError:
                return
            if not data:
                return
            self.on_output(data)

    def flags(self) -> int:
        interrupt, self._interrupt = self._interrupt, False
        return INTERRUPTED if interrupt else 0

    def _receive(self) -> Request | None:
        try:
            request = self.line.receive(self.drain)
        except HungError:
            self._on_fault(f"{self.spec.name}: does not answer (it computes without end)\n{self.stderr_tail()}")
            self.power_off()
            return None
        if request is None:
            self.drain()
            self._on_fault(f"{self.spec.name}: its process has ended\n{self.stderr_tail()}")
            self.power_off()
        return request

    def stderr_tail(self) -> str:
        """The end of what the process wrote to stderr."""
        if self._stderr is None:
            return ""
        self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, self._stderr.tell() - _TAIL))
        return self._stderr.read().decode(errors="replace")

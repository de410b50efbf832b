"""A board of the fleet on the emulated Pico, from power to its first sealed frame, and what that took.

The flash holds what the flash tool writes, main.py included; beside it a boot.py of the test, which tells the heap when
its pin rises. The circuit is the twin's.
"""

import dataclasses
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emulator import Pico
from image import disk
from solder import Air, solder

from firmware.wire import hdlc, link
from gateway.inventory import Inventory
from tools.flash.config import board_files, counter_files
from tools.twin.circuit import build
from tools.twin.nature import Nature

UID = "ff" * 8  # what the emulated flash chip says
SECRET = bytes([0x5A]) * 16
PROBE = 27  # a pin that no preset uses
# What MicroPython itself brings is imported before the application is weighed, as the budgets do it.
BOOT = f"""
import asyncio, binascii, cryptolib, gc, hashlib, io, json, machine, onewire, os, random, select, struct, sys, time
asyncio.Event, asyncio.Lock, asyncio.ThreadSafeFlag, asyncio.StreamReader, asyncio.wait_for_ms
def look(pin):
    gc.collect()
    print("heap", gc.mem_free(), gc.mem_alloc() - before, born)
machine.Pin({PROBE}, machine.Pin.IN).irq(look, machine.Pin.IRQ_RISING)
born = time.ticks_ms()
gc.collect()
before = gc.mem_alloc()
"""
HEAP = re.compile("heap ([0-9]+) ([0-9]+) ([0-9]+)\r\n")
LEAD_US = 2000  # after the frame's end: the driver has taken note
CHIP_S, WALL_S = 30, 240


@dataclass
class Figures:
    """Times in ms since power came, sizes in bytes. A wired board's frame has no end of its own."""

    board: str
    frame: bytes
    main_ms: int
    running_ms: float
    taken_ms: float
    sent_ms: float
    airtime_ms: float
    busy_ms: float
    stack_bytes: int
    free_bytes: int
    started_bytes: int
    resident_bytes: int
    violations: int
    lines: list[str] = field(default_factory=list)


def messages(pico: Pico) -> list[tuple[float, int, bytes]]:
    """What the board has said in frames: (ms, PROTO, body)."""
    decoder = hdlc.Decoder()
    return [(us / 1000, proto, body) for us, data in pico.console.heard for proto, body in decoder.feed(data)]


class Run:
    """One board of the inventory, wired and flashed, anew or with a file system (`flash`) that was in use before."""

    def __init__(
        self, uf2: Path, fleet: Inventory, name: str, *, flash: bytes | None = None, cable: bool = True, **changes: Any
    ) -> None:
        self.board = dataclasses.replace(fleet.boards[name], uid=UID, **changes)
        if flash is None:
            kid = self.board.kid
            files = board_files(fleet, self.board, {kid: SECRET.hex()} if kid else {})
            files.update(counter_files(kid) if kid else {})
            flash = disk({**files, "boot.py": BOOT.encode()})
        self.air = Air()
        self.pico = Pico(uf2, flash, cable=cable)
        nature = Nature(1, fleet.boards.values())
        self.circuit, self.chip = build(self.pico.clock, self.board, nature.around(self.board), 1, self.air)
        solder(self.pico, self.board, self.circuit)

    def when(self, proto: int, start: bytes) -> float | None:
        """When the board first said a frame of PROTO that begins so, ms; None: not yet."""
        return next((ms for ms, p, body in messages(self.pico) if p == proto and body.startswith(start)), None)

    def to_running(self) -> float:
        """Run until the application has said hello; ms."""
        hello = link.hello("", "", [], 0, 0, 0)
        start = next(iter(hdlc.Decoder().feed(hello)))[1][:2]
        self.pico.run(lambda: self.when(hdlc.PROTO_MESSAGE, start), chip_s=CHIP_S, wall_s=WALL_S)
        return self.when(hdlc.PROTO_MESSAGE, start) or 0

    def to_sent(self) -> tuple[float, float, bytes]:
        """Run until the first frame is out; its start and its end, ms, and its bytes."""
        air, now = self.air.frames, self.pico.clock
        if self.board.radio:
            self.pico.run(lambda: air and now.now_us > air[0][1] + LEAD_US, chip_s=CHIP_S, wall_s=WALL_S)
            return air[0][0] / 1000, air[0][1] / 1000, air[0][2]
        self.pico.run(self._heard, chip_s=CHIP_S, wall_s=WALL_S)
        ms, frame = self._heard()[0]
        return ms, ms, frame

    def _heard(self) -> list[tuple[float, bytes]]:
        found = [(ms, link.parse(body)) for ms, proto, body in messages(self.pico) if proto == hdlc.PROTO_MESSAGE]
        return [(ms, message[2]) for ms, message in found if message[0] == link.HEARD]

    def heap(self) -> tuple[int, int, int]:
        """Bytes free and taken by the application after a collection, and when main.py began, ms."""
        pin, seen = self.pico.mcu.gpio[PROBE], len(HEAP.findall(self.pico.text))
        pin.set_input_value(True)
        self.pico.run(lambda: len(HEAP.findall(self.pico.text)) > seen, chip_s=CHIP_S, wall_s=WALL_S)
        pin.set_input_value(False)
        free, taken, born = map(int, HEAP.findall(self.pico.text)[-1])
        return free, taken, born


def first_frame(uf2: Path, fleet: Inventory, name: str) -> Figures:
    """Boot a node of the fleet and run it to its first frame."""
    run = Run(uf2, fleet, name, report_s=60)
    running_ms = run.to_running()
    stack_bytes = run.pico.stack_bytes
    _, started, born = run.heap()
    start_ms, sent_ms, frame = run.to_sent()
    busy_ms = run.pico.busy_ms
    stack_bytes = max(stack_bytes, run.pico.stack_bytes)
    free, taken, _ = run.heap()
    lines = [body.decode() for _, proto, body in messages(run.pico) if proto == hdlc.PROTO_LOG]
    return Figures(
        board=name, frame=frame, main_ms=born, running_ms=running_ms,
        taken_ms=run.when(hdlc.PROTO_LOG, b"taken 1 ") or 0, sent_ms=sent_ms, airtime_ms=sent_ms - start_ms,
        busy_ms=busy_ms, stack_bytes=stack_bytes, free_bytes=free, started_bytes=started, resident_bytes=taken,
        violations=run.chip.violations if run.chip else 0, lines=lines,
    )  # fmt: skip

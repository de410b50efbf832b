"""A board on a pty: `with PtyBoard(tmp_path) as board: ... board.port`. The other half is board_repl.py."""

import json
import os
import pty
import re
import select
import subprocess
import sys
import threading
import time
import tty
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from mp import micropython  # noqa: E402

SOFT, SOFT_RAW, HARD, LOADER = 42, 43, 44, 45


class PtyBoard:
    """A real MicroPython with a board's console on a pty.

    `cut_after`: bytes from the host after which the cable is pulled. `deaf`: nobody is there behind the port. `uart`: a
    distance sensor is plugged in. `dog_s`: how long its watchdog waits, once it is armed; bites: how often it bit. `bytes_s`: the
    line carries so many bytes a second each way, as a UART bridge does; None: as quick as USB. `in_loader`: called when
    machine.bootloader() has taken the board off its port. `deflate`: its MicroPython has that module. openings: how often its
    program has let Ctrl-C in.
    """

    def __init__(self, folder, uid="e6614c311b7e6a01", *, machine="Raspberry Pi Pico with RP2040", platform="rp2",
                 version=(1, 29, 0), mpy=None, blocks=256, cut_after=None, deaf=False, uart=False,
                 dog_s=8.0, bytes_s=None, in_loader=None, deflate=True, heap_kb=480):  # fmt: skip
        self.image = Path(folder) / f"{uid}.img"
        if not self.image.exists():
            self.image.write_bytes(b"\xff" * blocks * 4096)
        self.who = {"image": str(self.image), "uid": uid, "machine": machine, "platform": platform,
                    "version": version, "mpy": mpy, "blocks": blocks, "uart": uart, "deflate": deflate}  # fmt: skip
        self.cut_after, self.deaf, self._dog_s, self._bytes_s = cut_after, deaf, dog_s, bytes_s
        self._heap = f"heapsize={heap_kb}k"
        self._words = self.image.with_suffix(".words")
        self._words.write_bytes(bytes(16))
        self.bites = 0
        self.received = self.sent = 0
        self.resets = self.openings = 0
        self.ended = None
        self._in_loader = in_loader
        self._closing = False
        self._pressed = False
        self._starting = threading.Lock()

    def __enter__(self):
        self._line = list(pty.openpty())
        self._master, slave = self._line
        tty.setraw(slave)
        self.port = os.ttyname(slave)
        self._stdin, self._into = os.pipe()
        self._out_of, self._stdout = os.pipe()
        self._keys, self._press = os.pipe()
        self._up = threading.Event()
        self.process = None
        runs = () if self.deaf else (self._live, self._listen, self._speak)
        self._threads = [threading.Thread(target=run, daemon=True) for run in runs]
        for thread in self._threads:
            thread.start()
        assert self.deaf or self._up.wait(20)
        return self

    def __exit__(self, *_):
        self.pull()
        for end in (self._into, self._stdin, self._out_of, self._stdout, self._keys, self._press):
            os.close(end)

    def pull(self):
        """Pull the cable."""
        self._end()
        # The numbers of these descriptors are given to the next board: a thread that still listened would take its bytes.
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(20)
                assert not thread.is_alive()
        while self._line:
            os.close(self._line.pop())

    def press_reset(self):
        """Press its reset, or pull the line of a bridge that does."""
        self._pressed = True
        self.process.kill()

    def _end(self):
        # Between a reset and the start that follows, too: what starts after this would have no line, and nobody to end it.
        with self._starting:
            self._closing = True
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def _start(self, say, described):
        with self._starting:
            if not self._closing:
                self.process = subprocess.Popen(
                    [micropython(), "-X", self._heap, str(HERE / "board_repl.py"), str(described)],
                    stdin=self._stdin, stdout=self._stdout, pass_fds=(say, self._keys),
                    env={**os.environ, "MICROPYPATH": ".frozen"},
                )  # fmt: skip
        os.close(say)

    def _live(self):
        reset, cause, self._fed = "", 1, None
        while not self._closing:
            states, say = os.pipe()
            who = {**self.who, "reset": reset, "state": say, "keys": self._keys, "cause": cause, "words": str(self._words)}
            described = self.image.with_suffix(".json")
            described.write_text(json.dumps(who))
            self._start(say, described)
            bitten = self._watch(states)
            os.close(states)
            self._up.clear()
            code = self.process.wait()
            pressed, self._pressed = self._pressed, False
            if code not in (SOFT, SOFT_RAW, HARD) and not bitten and not pressed:
                self.ended = code
                if code == LOADER:
                    self.pull()
                    self._in_loader()
                return
            self.resets += 1
            if bitten or pressed or code == HARD:
                reset, cause, self._fed = "", 3, None  # this family calls both the watchdog's
            else:
                reset = "raw" if code == SOFT_RAW else "friendly"

    def _watch(self, states):
        # Follow what the process says of itself until its end; True when the watchdog was the end.
        while True:
            left_s = None if self._fed is None else max(0.0, self._fed + self._dog_s - time.monotonic())
            if not select.select([states], [], [], left_s)[0]:
                self.bites += 1
                self.process.kill()
                return True
            state = os.read(states, 1)
            if not state:
                return False
            if state == b"W" or (state == b"F" and self._fed is not None):
                self._fed = time.monotonic()
            elif state == b"O":
                self.openings += 1
            elif state == b"I":
                self._up.set()

    def _carried(self, end):
        # What comes out of the line that begins at this descriptor, when it has come.
        free_at = time.monotonic()
        while not self._closing:
            try:
                if not select.select([end], [], [], 0)[0]:  # else the line goes on without a pause
                    if not select.select([end], [], [], 0.1)[0]:
                        continue
                    free_at = max(free_at, time.monotonic())
                data = os.read(end, 64 if self._bytes_s else 4096)
            except OSError:
                return
            if self._bytes_s:
                free_at += len(data) / self._bytes_s
                time.sleep(max(0.0, free_at - time.monotonic()))
            yield data

    def _speak(self):
        for data in self._carried(self._out_of):
            self.sent += len(data)
            try:
                while not select.select([], [self._master], [], 0.1)[1]:  # nobody listens
                    if self._closing:
                        return
                os.write(self._master, data)
            except OSError:
                return

    def _listen(self):
        for data in self._carried(self._master):
            self.received += len(data)
            if self.cut_after is not None and self.received > self.cut_after:
                self.pull()
                return
            for piece in re.findall(b"\x03|[^\x03]+", data):
                end = self._press if piece == b"\x03" else self._into
                while not (self._up.wait(0.1) and select.select([], [end], [], 0.1)[1]):
                    if self._closing:
                        return
                os.write(end, piece)
                while end == self._press and select.select([self._keys], [], [], 0)[0]:  # what follows must not overtake it
                    if self._closing:
                        return
                    time.sleep(0.002)

"""A board that climbs its ladder in real MicroPython processes, one a boot, on the twin's clock: hours pass in milliseconds."""

from pathlib import Path

from littlefs import LittleFS, UserContext

from tools.flash.build import FIRMWARE, LADDER, bytecode
from tools.twin.clock import Clock
from tools.twin.ports import Circuit
from tools.twin.process import Process, Spec

BLOCKS = 64
SHAPE = {"block_size": 4096, "block_count": BLOCKS, "read_size": 32, "prog_size": 32, "cache_size": 128, "lookahead_size": 32}
# The application of a toy slot: `go(ladder)` is the test's.
APP = """
import machine, os, sys, time
def run(root, ladder):
    print("slot", ladder.slot, "cause", ladder.cause, "safe", ladder.safe, "held", list(ladder.quarantine))
    go(ladder)
def live(ladder, seconds):
    for _ in range(seconds // 5):
        ladder.feed()
        time.sleep(5)
"""


class RungBoard:
    """`slots`: {"a": source of go(ladder)} or {"a/firmware/node/app.py": whole file}. output: lines; faults: of the twin."""

    def __init__(self, folder, slots, family="rp2"):
        self.image = Path(folder) / "board.littlefs"
        self.clock, self.output, self.faults = Clock(), [], []
        self._text = b""
        self.image.write_bytes(bytes(LittleFS(**SHAPE).context.buffer))
        self.write("main.py", (FIRMWARE / "main.py").read_bytes())
        for module in LADDER:
            self.write(f"{module}.mpy", bytecode(module))
        for slot, go in slots.items():
            self.slot(slot, go)
        spec = Spec("rungs", "e661a4d417123456", family, 300 * 1024, self.image, BLOCKS, b"seed")
        self.process = Process(self.clock, spec, Circuit({}, {}, {}, {}, {}, {}), self._take, self.faults.append)

    def _fs(self):
        context = UserContext(BLOCKS * 4096)
        context.buffer = bytearray(self.image.read_bytes())
        return LittleFS(context=context, **SHAPE)

    def slot(self, name, go):
        """Put a toy application into a slot; "" takes it away."""
        self.write(f"{name}/modules", b"firmware\nfirmware.node\n>firmware.node.app\n")
        for path in ("firmware/__init__.py", "firmware/node/__init__.py"):
            self.write(f"{name}/{path}", b"")
        self.write(f"{name}/firmware/node/app.py", (APP + go).encode())

    def write(self, path, data):
        """Write a file of the board, which is off."""
        fs = self._fs()
        fs.makedirs(path.rpartition("/")[0] or "/", exist_ok=True)
        with fs.open(path, "wb") as file:
            file.write(data)
        self.image.write_bytes(bytes(fs.context.buffer))

    def read(self, path):
        """A file of the board, None when there is none."""
        fs = self._fs()
        try:
            with fs.open(path, "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def record(self, folder):
        """The ladder's record, read by the ladder's own code."""
        from firmware import rungs

        for name in ("ladder-0", "ladder-1"):
            (folder / name).unlink(missing_ok=True)
            data = self.read(name)
            if data is not None:
                (folder / name).write_bytes(data)
        return rungs.load(f"{folder}/")[0]

    def _take(self, data):
        self._text += data
        *lines, self._text = self._text.split(b"\n")
        self.output += [(self.clock.now_us // 1_000_000, line.decode().strip()) for line in lines]

    def on(self):
        """Power comes."""
        self.process.power_on(self.clock.now_us)

    def off(self):
        """Power goes."""
        self.process.drain()
        self.process.power_off()

    def run(self, seconds):
        """Let so much time pass; returns the lines that came, without their times."""
        begin = len(self.output)
        self.clock.run_until(self.clock.now_us + seconds * 1_000_000)
        self.process.drain()
        return [line for _, line in self.output[begin:]]

    def boots(self):
        """What each boot said of itself: the lines that begin with "slot"."""
        return [line for _, line in self.output if line.startswith("slot")]

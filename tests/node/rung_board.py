"""A board that climbs its ladder in real MicroPython processes, one a boot, on the twin's clock: hours pass in milliseconds."""

from pathlib import Path

from littlefs import LittleFS, UserContext

from firmware.wire import link
from firmware.wire.cbor import loads
from firmware.wire.frame import parse
from firmware.wire.seal import derive, unseal
from tools.flash.build import FIRMWARE, LADDER, bytecode
from tools.twin import fleet
from tools.twin.clock import Clock
from tools.twin.ports import Circuit, UartPort
from tools.twin.process import Process, Spec
from tools.twin.tap import Tap

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

    def __init__(self, folder, slots, family="rp2", blocks=64):
        self.begin(Path(folder) / "board.littlefs", blocks)
        self.image.write_bytes(bytes(LittleFS(**self._shape).context.buffer))
        self.write("main.py", (FIRMWARE / "main.py").read_bytes())
        for module in LADDER:
            self.write(f"{module}.mpy", bytecode(module))
        for slot, go in slots.items():
            self.slot(slot, go)
        spec = Spec("rungs", "e661a4d417123456", family, 300 * 1024, self.image, blocks, b"seed")
        self.process = Process(self.clock, spec, Circuit({}, {}, {}, {}, {}, {}), self._take, self.faults.append)

    def begin(self, image, blocks):
        """What every board has: its flash, a clock, what it said."""
        self.image = image
        self.clock, self.output, self.faults = Clock(), [], []
        self._text = b""
        self._shape = {"block_size": 4096, "block_count": blocks, "read_size": 32, "prog_size": 32, "cache_size": 128,
                       "lookahead_size": 32}  # fmt: skip

    def _fs(self):
        context = UserContext(self._shape["block_count"] * 4096)
        context.buffer = bytearray(self.image.read_bytes())
        return LittleFS(context=context, **self._shape)

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


class Echo:
    """A distance sensor that sees 1000 mm, always at hand."""

    def __init__(self, clock):
        self.clock, self.taken_us = clock, 0

    def next_us(self):
        return self.taken_us + 100_000

    def take(self):
        n = (self.clock.now_us - self.taken_us) // 100_000
        self.taken_us += n * 100_000
        return b"\xff\x03\xe8\xea" * min(n, 60)

    def write(self, data):
        pass


class FleetBoard(RungBoard):
    """A wired board of boards.yaml as it is flashed, with a distance sensor on UART 1 and nothing else on its pins.

    logged: its log lines; heard: its payloads {key: value}; hellos. All it sends is handled at once.
    """

    def __init__(self, folder, name):
        town = fleet.load(Path(__file__).resolve().parents[2] / "boards.yaml", folder, 7)
        board = next(board for board in town.boards if board.name == name)
        spec = fleet.spec(town, board, folder, 7)
        self.begin(spec.image, fleet.BLOCKS)
        circuit = Circuit(uarts={1: UartPort(Echo(self.clock))})
        self.process = Process(self.clock, spec, circuit, self._take, self.faults.append)
        self._keys = derive(bytes.fromhex(town.secrets[board.kid]), bytes.fromhex(board.kid)) if board.kid else None
        self.logged, self.heard, self.hellos = [], [], []
        self._tap = Tap(self._message, self.logged.append)

    def _take(self, data):
        self._tap.feed(data)

    def _message(self, message):
        if message[0] == link.HEARD:
            self.heard.append(loads(unseal(self._keys, parse(message[2]))))
            self.clock.at(self.clock.now_us, self.process.feed, link.handled(message[1]))
        elif message[0] == link.HELLO:
            self.hellos.append(message)

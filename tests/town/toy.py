"""A board with toy chips around it, for tests of the simulated machine itself."""

from littlefs import LittleFS

from tools.twin.clock import Clock
from tools.twin.ports import Circuit, UartPort
from tools.twin.process import Process, Spec

BLOCKS = 32


class Toggle:
    """A chip with an output `out` that changes at given times, and an input `in`."""

    def __init__(self, clock, *times_us):
        self.level = 0
        self.seen = []
        self.clock = clock
        self.on_edge = None
        for t_us in times_us:
            clock.at(t_us, self._change)

    def _change(self):
        self.level ^= 1
        self.on_edge("out", self.level)

    def get_pin(self, name):
        return self.level

    def set_pin(self, name, level):
        self.seen.append((self.clock.now_us, level))


class Ticker:
    """A part that sends four bytes every 100 ms."""

    def __init__(self, clock):
        self.clock = clock
        self.taken_us = 0
        self.written = b""

    def next_us(self):
        return (self.taken_us // 100_000 + 1) * 100_000

    def take(self):
        n = self.clock.now_us // 100_000 - self.taken_us // 100_000
        self.taken_us = self.clock.now_us
        return b"tick" * n

    def write(self, data):
        self.written += data


class Mirror:
    """SPI: sends back what it gets, reversed."""

    def __init__(self):
        self.transactions = []

    def spi(self, mosi):
        self.transactions.append(mosi)
        return mosi[::-1]


class Registers:
    """I2C: 256 registers, each holding its number until written."""

    address = 0x42

    def __init__(self):
        self.memory = bytearray(range(256))
        self.at = 0

    def write(self, data):
        if not data:
            return
        self.at = data[0]
        self.memory[self.at : self.at + len(data) - 1] = data[1:]

    def read(self, n):
        return bytes(self.memory[self.at : self.at + n])


class Wire:
    """1-wire: echoes the bytes written."""

    def __init__(self):
        self.bytes = []

    def reset(self):
        self.bytes.clear()
        return True

    def write_byte(self, byte):
        self.bytes.append(byte)

    def read_byte(self):
        return self.bytes.pop(0) if self.bytes else 0xFF

    def write_bit(self, bit):
        self.bytes.append(bit)

    def read_bit(self):
        return self.bytes.pop(0)


class Volt:
    def read_u16(self):
        return 40000


class Toy:
    """A board that runs `program` as its main.py; `output` is what it wrote, `faults` what the twin noticed."""

    def __init__(self, folder, program, *, edges_us=(), family="rp2", heap=300 * 1024):
        flash = LittleFS(block_size=4096, block_count=BLOCKS, read_size=32, prog_size=32, cache_size=128, lookahead_size=32)
        with flash.open("main.py", "wb") as file:
            file.write(program.encode())
        image = folder / "toy.littlefs"
        image.write_bytes(bytes(flash.context.buffer))
        self.clock = Clock()
        self.chip = Toggle(self.clock, *edges_us)
        self.mirror, self.registers, self.ticker = Mirror(), Registers(), Ticker(self.clock)
        circuit = Circuit(
            pins={3: (self.chip, "out"), 4: (self.chip, "in")}, selects={17: self.mirror},
            i2c={0: {0x42: self.registers}}, uarts={1: UartPort(self.ticker)}, wires={6: Wire()}, adcs={28: Volt()},
        )  # fmt: skip
        self.parts = []
        self.faults = []
        spec = Spec("toy", "e661a4d417123456", family, heap, image, BLOCKS, b"seed")
        self.process = Process(self.clock, spec, circuit, self._take, self.faults.append)

    def _take(self, data):
        self.parts.append((self.clock.now_us, data))

    def run(self, until_us):
        """From power-on to `until_us`; returns what it wrote, line by line."""
        self.process.power_on(0)
        self.clock.run_until(until_us)
        self.process.drain()
        self.process.power_off()
        return self.output

    @property
    def output(self):
        return b"".join(data for _, data in self.parts).decode().splitlines()

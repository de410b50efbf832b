"""A board's REPL, served by a real MicroPython: `micropython board_repl.py WHO.json`.

Stands where the C code of a board's USB console stands (friendly and raw REPL, raw paste with its window of 128 bytes, soft
reset); everything that is executed, the file system and the bytecode loader are MicroPython's own. A soft reset ends this
process with SOFT or SOFT_RAW and the host starts it again on the same image, so that the heap is as fresh as a board's.
A Ctrl-C comes on a pipe of its own (board_keys.py). The host learns from the bytes on the pipe `state` that this is up (I), that
kbd_intr() has let Ctrl-C in (O), and what feeds a watchdog (W, F).
"""

import io
import json
import os
import select
import sys
import time

import micropython as real_micropython
from board_flash import Flash
from board_keys import BoardSelect, BoardTime, keys

SOFT, SOFT_RAW, HARD, LOADER = 42, 43, 44, 45
WINDOW = 128
CLOSES = b"micropython.kbd_intr(-1)"  # what begins with it is closed before anybody hits a key
CTRL_A, CTRL_B, CTRL_C, CTRL_D, CTRL_E = b"\x01", b"\x02", b"\x03", b"\x04", b"\x05"

with open(sys.argv[1]) as file:
    who = json.load(file)
out = sys.stdout.buffer


class Implementation:
    name = "micropython"
    version = tuple(who["version"])
    _machine = who["machine"]
    _mpy = who.get("mpy") or sys.implementation._mpy & 0x3FF


class BoardSys:
    """`sys` as this board has it."""

    platform = who["platform"]
    implementation = Implementation

    def __getattr__(self, name):
        return getattr(real_sys, name)


class Nothing:
    """A bus or a pin with nothing on it."""

    IN = OUT = PULL_UP = IRQ_RISING = MSB = OPEN_DRAIN = ATTN_11DB = 0

    def __init__(self, *args, **kwargs):
        pass

    def __call__(self, *args):
        return 1

    value = __call__

    def any(self):
        return 0

    def read(self, *args):
        return None

    def read_u16(self):
        return 30000

    def read_uv(self):
        return 1500000

    def readinto(self, buf, *args):
        return None

    def write_readinto(self, mosi, miso):
        miso[:] = bytes(len(miso))

    def irq(self, *args, **kwargs):
        pass

    def _refuse(self, *args, **kwargs):
        raise OSError(5)

    readfrom = readfrom_mem = readfrom_mem_into = writeto = writeto_mem = _refuse

    def init(self, *args, **kwargs):
        pass

    write = init


class Uart(Nothing):
    """A distance sensor's line: 1000 mm, always at hand; silent unless WHO says "uart"."""

    at = 0

    def any(self):
        self.at += 1
        return 4 if who.get("uart") and self.at % 2 else 0

    def readinto(self, buf, *args):
        buf[:4] = b"\xff\x03\xe8\xea"
        return 4


class Watchdog:
    """Each feed is a byte W to the host, which bites when none comes in time."""

    def __init__(self, id=0, timeout=5000):
        self.feed()

    def feed(self):
        state.write(b"W")
        keys.check()


class Timer:
    """A timer whose callback comes while the REPL waits, not while code runs."""

    running = []  # noqa: RUF012 - MicroPython has no typing

    def __init__(self, id=-1, *, period, callback):
        self.period_ms, self.callback = period, callback
        self.due = time.ticks_add(time.ticks_ms(), period)
        self.running.append(self)

    @classmethod
    def wait(cls, line):
        """Serve timers until a byte can be read, and those that are due before it is."""
        while True:
            left_ms = -1
            for timer in cls.running:  # there is one
                if time.ticks_diff(timer.due, time.ticks_ms()) <= 0:
                    timer.due = time.ticks_add(time.ticks_ms(), timer.period_ms)
                    timer.callback(timer)
                left_ms = max(0, time.ticks_diff(timer.due, time.ticks_ms()))
            if line.poll(left_ms):
                return


class Words:
    """Registers that outlive a reset: the watchdog's scratch words in a file of the host's, and its count, which feeds it."""

    LOAD, SCRATCH = 0x40058004, 0x4005800C

    def __getitem__(self, address):
        words.seek(address - self.SCRATCH)
        return int.from_bytes(words.read(4), "little")

    def __setitem__(self, address, value):
        if address == self.LOAD:
            state.write(b"F")
            return
        words.seek(address - self.SCRATCH)
        words.write(value.to_bytes(4, "little"))
        words.flush()


class Rtc:
    """What an ESP32 has instead: memory of its clock, behind the words in the same file."""

    PLACE = 64

    def memory(self, data=None):
        words.seek(self.PLACE)
        if data is None:
            return words.read(int.from_bytes(words.read(2), "little"))
        words.write(len(data).to_bytes(2, "little") + bytes(data))
        words.flush()


class Micropython:
    """The module of that name."""

    @staticmethod
    def kbd_intr(character):
        if keys.closed:
            keys.take()  # pressed in vain
        keys.closed = character != 3
        if not keys.closed:
            state.write(b"O")

    def __getattr__(self, name):
        return getattr(real_micropython, name)


class Machine:
    UART = Uart
    Pin = ADC = I2C = SPI = SoftSPI = SoftI2C = Nothing
    WDT, Timer, RTC = Watchdog, Timer, Rtc
    PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET = 1, 2, 3, 4
    mem32 = Words()

    @staticmethod
    def unique_id():
        return bytes.fromhex(who["uid"])

    @staticmethod
    def reset_cause():
        return who["cause"]

    @staticmethod
    def reset():
        real_sys.exit(HARD)

    @staticmethod
    def bootloader():
        real_sys.exit(LOADER)


def read():
    """One byte of the line; a Ctrl-C is one too, and all that was typed before it comes first."""
    Timer.wait(line)
    if keys.waiting.poll(0) and not typed.poll(0):
        keys.take()
        return CTRL_C
    byte = real_sys.stdin.buffer.read(1)
    if not byte:
        real_sys.exit(0)
    return byte


def write(data):
    out.write(data)


def cooked(text):
    write(text.replace("\n", "\r\n").encode())


def execute(code, names):
    """Run code and return its traceback, empty when it ended well, None when it wants a soft reset."""
    keys.code_runs, keys.closed = True, CLOSES in code
    said = ""
    try:
        exec(compile(code, "<stdin>", "exec"), names)
        keys.check()
    except SystemExit as error:
        if error.args in ((HARD,), (LOADER,)):
            raise
        said = None
    except BaseException as error:
        text = io.StringIO()
        real_sys.print_exception(error, text)
        said = text.getvalue()
    keys.code_runs = False
    return said


def paste():
    """Raw paste: flow control by windows. Returns the code."""
    write(b"R\x01" + WINDOW.to_bytes(2, "little") + b"\x01")
    code, room = b"", WINDOW
    while True:
        byte = read()
        if byte in (CTRL_C, CTRL_D):
            write(CTRL_D)
            return code if byte == CTRL_D else b"raise KeyboardInterrupt"
        code += byte
        room -= 1
        if room == 0:
            write(b"\x01")
            room = WINDOW


def raw_repl(names):
    """Serve the raw REPL until Ctrl-B; a soft reset does not return."""
    write(b"raw REPL; CTRL-B to exit\r\n>")
    code = b""
    while True:
        byte = read()
        if byte == CTRL_A:
            if code == CTRL_E + b"A":
                code = paste()
                raw_run(code, names)
            else:
                write(b"raw REPL; CTRL-B to exit\r\n>")
            code = b""
        elif byte == CTRL_B:
            return
        elif byte == CTRL_C:
            code = b""
        elif byte == CTRL_D:
            write(b"OK")
            if not code:
                write(b"\r\n")
                real_sys.exit(SOFT_RAW)
            raw_run(code, names)
            code = b""
        elif byte != b"\r" or code:
            code += byte


def raw_run(code, names):
    error = execute(code, names)
    write(CTRL_D)
    if error is None:
        real_sys.exit(SOFT_RAW)
    cooked(error)
    write(CTRL_D + b">")


def friendly_repl(names):
    """Serve the prompt of people: one line at a time, as far as a tool needs it."""
    banner = b"MicroPython v1.%d.0; %s\r\nType \"help()\" for more information.\r\n>>> "
    write(banner % (who["version"][1], who["machine"].encode()))
    line = b""
    while True:
        byte = read()
        if byte == CTRL_A and not line:
            raw_repl(names)
            write(b"\r\n" + banner % (who["version"][1], who["machine"].encode()))
        elif byte == CTRL_B:
            write(b"\r\n>>> ")
        elif byte == CTRL_C:
            line = b""
            write(b"\r\n>>> ")
        elif byte == CTRL_D and not line:
            write(b"\r\n")
            real_sys.exit(SOFT)
        elif byte == b"\r":
            write(b"\r\n")
            cooked(execute(line, names) or "")
            write(b">>> ")
            line = b""
        elif byte >= b" ":
            write(byte)
            line += byte


def main_py():
    try:
        with open("/main.py", "rb") as file:
            code = file.read()
    except OSError:
        return
    cooked(execute(code, {"__name__": "__main__"}) or "")


class OneWire:
    """The module of that name, with nothing on the wire."""

    def __init__(self, pin):
        pass

    def reset(self, *args):
        return False


class Onewire:
    OneWire = OneWire


real_sys = sys
typed, line = select.poll(), select.poll()
typed.register(sys.stdin, select.POLLIN)
line.register(sys.stdin, select.POLLIN)
keys.listen("/dev/fd/{}".format(who["keys"]))
line.register(keys.file, select.POLLIN)
sys.modules["sys"] = BoardSys()
sys.modules["machine"] = Machine
sys.modules["select"], sys.modules["time"] = BoardSelect(), BoardTime()
sys.modules["micropython"] = Micropython()
sys.modules["onewire"] = Onewire
if not who["deflate"]:
    sys.modules["deflate"] = None
flash = Flash(who["image"], who["blocks"])
try:
    lfs = os.VfsLfs2(flash, progsize=256)  # as a Pico has it
except OSError:
    os.VfsLfs2.mkfs(flash, progsize=256)
    lfs = os.VfsLfs2(flash, progsize=256)
state = open("/dev/fd/{}".format(who["state"]), "wb")  # noqa: SIM115
words = open(who["words"], "r+b")  # noqa: SIM115
os.umount("/")
os.mount(lfs, "/")
os.chdir("/")
sys.path[:] = ["", ".frozen", "/lib"]
state.write(b"I")
if who["reset"]:
    write(b"MPY: soft reboot\r\n")
if who["reset"] == "raw":
    raw_repl({"__name__": "__main__"})
else:
    main_py()
while True:
    friendly_repl({"__name__": "__main__"})

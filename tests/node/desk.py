"""A board on a desk for the node's tests: virtual time, littlefs in RAM, a host on the serial line. MicroPython only.

Import it first: it brings the town's clock (tools/twin/board/virtual.py).
"""

import virtual  # noqa: I001 - before asyncio

import asyncio
import io
import json
import os
import sys

import machine
from firmware.wire import hdlc, link

port = virtual.port
UID = "0a0b0c0d"
SECRET = bytes(range(16))
KID = b"\x00\x01"


class RamDisk:
    """Flash of 4 kB blocks; `cut_after` writes or erases from now the power goes: the last one is torn in the middle."""

    def __init__(self, blocks=24):
        self.data = bytearray(blocks * 4096)
        self.blocks = blocks
        self.cut_after = None
        self.full = False
        self.operations = 0

    def _operate(self, where, new):
        self.operations += 1
        if self.full:
            raise OSError(28)
        if self.cut_after is not None:
            self.cut_after -= 1
            if self.cut_after < 0:
                half = len(new) // 2
                if self.cut_after == -1:
                    self.data[where : where + half] = new[:half]
                raise PowerCut
        self.data[where : where + len(new)] = new

    def readblocks(self, block, buf, offset=0):
        where = block * 4096 + offset
        buf[:] = self.data[where : where + len(buf)]

    def writeblocks(self, block, buf, offset=None):
        self._operate(block * 4096 + (offset or 0), buf)

    def ioctl(self, op, arg):
        if op == 4:
            return self.blocks
        if op == 5:
            return 4096
        if op == 6:
            self._operate(arg * 4096, b"\xff" * 4096)
            return 0


class PowerCut(BaseException):
    """The board is without power: nothing after this runs."""


def mount(disk, fresh=False):
    """Mount `disk` (RamDisk) at /f, formatted when `fresh`."""
    try:
        os.umount("/f")
    except OSError:
        pass
    if fresh:
        os.VfsLfs2.mkfs(disk, progsize=256)
    os.mount(os.VfsLfs2(disk, progsize=256), "/f")


class Host(io.IOBase):
    """Both ends of the serial line as the host sees them: `say(bytes)`, `heard`: list of messages, `lines`: log lines."""

    def __init__(self):
        self._to_board = bytearray()
        self._decoder = hdlc.Decoder()
        self.buffer = self
        self.heard = []
        self.lines = []
        self.on_message = None

    def ioctl(self, request, mask):
        return mask & 1 if request == 3 and self._to_board else 0

    def read(self, n):
        data = bytes(self._to_board[:n])
        self._to_board = self._to_board[n:]
        return data

    def write(self, data):
        for proto, body in self._decoder.feed(bytes(data)):
            if proto == hdlc.PROTO_LOG:
                self.lines.append(body.decode())
            elif proto == hdlc.PROTO_MESSAGE:
                message = link.parse(body)
                self.heard.append(message)
                if self.on_message:
                    self.on_message(message)
            else:
                raise ValueError("text on the line: %r" % body)
        return len(data)

    def say(self, data):
        self._to_board.extend(data)

    def of(self, number):
        """The messages of one number."""
        return [m for m in self.heard if m[0] == number]

    def taken(self):
        """{piv: reading} of the log."""
        out = {}
        for line in self.lines:
            if line.startswith("taken "):
                _, piv, reading = line.split(" ", 2)
                assert int(piv) not in out, line
                out[int(piv)] = {int(k): v for k, v in json.loads(reading).items()}
        return out


class Module:
    """Stands in sys.modules for a file that a test brings."""

    def __init__(self, **members):
        for name, value in members.items():
            setattr(self, name, value)


class Service:
    """A service whose readings a test writes down: `script` is called with now_s and returns a reading."""

    sample_s = None
    script = None
    polled = None

    def __init__(self, settings, sensors):
        pass

    async def poll(self, now_s):
        return Service.polled(now_s)

    async def report(self, now_s):
        return Service.script(now_s)


sys.modules["firmware.services.desk"] = Module(Service=Service)


def config(**changes):
    """A wired node's configuration with changes."""
    out = {
        "v": 1, "site": "desk", "board": "desk-1", "role": "node", "type": "pico", "uid": UID, "kid": "0001", "hop": False,
        "report_s": 900, "link": "serial", "radio": None, "plan": None, "service": "desk", "settings": {}, "sensors": {},
        "battery": {"adc": 28, "divider_x1000": 2000}, "led": None,
    }  # fmt: skip
    out.update(changes)
    return out


RADIO = {"chip": "desk", "antenna_dbi": 0}
PLAN = {"band": "eu868", "freq_hz": 868100000, "sf": 9, "bw_hz": 125000, "cr": 5, "power_dbm": 14, "sync": 18}


def flash(settings, secret_uid=UID, kid="0001"):
    """Write the board's two files to /f."""
    with open("/f/config.json", "w") as file:
        json.dump(settings, file)
    with open("/f/secret.json", "w") as file:
        json.dump({"kid": kid, "secret": SECRET.hex(), "uid": secret_uid}, file)


def run(app, seconds):
    """Run an application for so many seconds of virtual time."""

    async def main():
        task = asyncio.create_task(app.run())
        await asyncio.sleep(seconds)
        task.cancel()

    asyncio.run(main())
    asyncio.new_event_loop()

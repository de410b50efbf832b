"""Start of a simulated board: `micropython boot.py FD`. The twin sends one JSON line that says who this board is.

{"image": path, "blocks": n, "uid": hex, "seed": hex, "family": "rp2", "cause": 1, "memory": hex, "selects": [pins]}
"""

import json
import random
import sys

import _town
import machine
import onewire  # noqa: F401 - while its file can still be reached
import os
import virtual

_BLOCK = 4096
_PROGRAM_US = 400  # a page of 256 bytes, and a sector: W25Q16's typical times, which stop the processor
_ERASE_US = 45_000


class Flash:
    """The board's flash: an image file of the twin's, in blocks of 4 kB. Written at once, so a killed board loses nothing."""

    def __init__(self, path, blocks):
        self.file = open(path, "r+b")
        self.blocks = blocks

    def readblocks(self, block, buf, offset=0):
        self.file.seek(block * _BLOCK + offset)
        self.file.readinto(buf)

    def writeblocks(self, block, buf, offset=None):
        if offset is None:
            _town.port.now += _ERASE_US
            offset = 0
        self.file.seek(block * _BLOCK + offset)
        self.file.write(buf)
        self.file.flush()
        _town.port.now += _PROGRAM_US * ((len(buf) + 255) // 256)

    def ioctl(self, op, arg):
        if op == 4:
            return self.blocks
        if op == 5:
            return _BLOCK
        if op == 6:
            _town.port.now += _ERASE_US
            self.file.seek(arg * _BLOCK)
            self.file.write(b"\xff" * _BLOCK)
            return 0


def _start():
    _town.connect(int(sys.argv[1]))
    n = _town.port.call(_town.READY)
    who = json.loads(bytes(_town.port.line.read(n)))
    port = _town.port
    port.start = port.now
    machine._boot["uid"] = bytes.fromhex(who["uid"])
    machine._boot["cause"] = who["cause"]
    for pin in who["selects"]:
        machine._selects[pin] = machine.Select(pin)
    os._pool["seed"] = bytes.fromhex(who["seed"])
    random.seed(int.from_bytes(os.urandom(4), "big"))
    virtual.time.family = who["family"]
    flash = Flash(who["image"], who["blocks"])
    os.umount("/")
    os.mount(os.VfsLfs2(flash), "/")
    os.chdir("/")
    machine._boot["memory"] = bytes.fromhex(who["memory"])
    sys.path[:] = ["", ".frozen", "/lib"]
    sys.argv[:] = [""]


def _run():
    with open("/main.py") as file:
        program = file.read()
    exec(compile(program, "main.py", "exec"), {"__name__": "__main__"})


_code = 0
try:
    _start()
    _run()
except KeyboardInterrupt:
    _code = 1
except SystemExit:
    pass
except BaseException as error:
    sys.print_exception(error, sys.stderr)
    _code = 2
_town.port.call(_town.ENDED, _code)

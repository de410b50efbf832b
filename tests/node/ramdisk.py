"""Flash in RAM for a real littlefs, with a switch for its power. MicroPython only.

Blocks of 4096 bytes, pages of 256, as the Pico's: only what is erased can be programmed. Power can go at each program, each
erase and each sync, and the operation at which it goes is torn.
"""

import io
import os

BLOCK = 4096
PAGE = 256
# What the operation under way leaves behind: nothing of it, its first half, half of it and a torn word, all but its last byte.
TEARS = ("nothing", "half", "rubbish", "almost")
OWNERS = ("counter", "queue", "settings")  # what wear is booked to, by words in the path


class PowerCut(Exception):  # noqa: N818 - it is none
    """The board is without power: nothing after this counts."""


class RamDisk:
    """Flash of `blocks` blocks. `cut_after` operations from now the power goes, with a tear of TEARS; `full`: all are refused.

    operations: since ever; erases: of each block; overwritten: programs of bytes that were not erased. Where it was mounted
    `watched`, doing: the operation of the file system that is under way; cut_in: that in which the power went last; uses:
    {owner: [writes and removals, pages programmed, blocks erased]}, by words of OWNERS in the file's path.
    """

    def __init__(self, blocks=24):
        self.data = bytearray(blocks * BLOCK)
        self.blocks = blocks
        self.cut_after = None
        self.tear = "half"
        self.full = False
        self.operations = 0
        self.overwritten = 0
        self.doing = self.cut_in = ""
        self.clear()
        self.watched = False
        self.power = None  # the Power that the mounted file system has

    def clear(self):
        """Count erases and uses from here on."""
        self.erases = [0] * self.blocks
        self.uses = {owner: [0, 0, 0] for owner in OWNERS + ("rest",)}  # noqa: RUF005 - MicroPython
        self.use = self.uses["rest"]

    def alive(self):
        """Raise PowerCut once the power has gone."""
        if self.power is None:
            raise PowerCut

    def operate(self, where, new):
        """Put `new` at `where`, or refuse it, or lose the power meanwhile. Returns 0 or a negative error number."""
        self.operations += 1
        if self.full:
            return -28
        if self.cut_after is not None:
            self.cut_after -= 1
            if self.cut_after < 0:
                self._torn(where, new)
                self.power = None
                self.cut_in = self.doing
                return -5
        self.data[where : where + len(new)] = new
        return 0

    def _torn(self, where, new):
        n = {"nothing": 0, "almost": max(0, len(new) - 1)}.get(self.tear, len(new) // 2)
        self.data[where : where + n] = new[:n]
        if self.tear == "rubbish":
            for i in range(where + n, where + min(n + 4, len(new))):
                self.data[i] &= 0x5A


class Power:
    """The disk as one boot sees it. After the cut every access fails, also that of finalisers of that boot's files.

    It says so by a number, not by an exception: those would leave littlefs in the middle of its work.
    """

    def __init__(self, disk):
        self.disk = disk

    def readblocks(self, block, buf, offset=0):
        if self.disk.power is not self:
            return -5
        where = block * BLOCK + offset
        buf[:] = self.disk.data[where : where + len(buf)]
        return 0

    def writeblocks(self, block, buf, offset=0):
        disk = self.disk
        if disk.power is not self:
            return -5
        where, n = block * BLOCK + offset, len(buf)
        if disk.data[where : where + n] != ERASED[:n]:
            disk.overwritten += 1
        disk.use[1] += -(-n // PAGE)
        return disk.operate(where, buf)

    def ioctl(self, op, arg):
        disk = self.disk
        if op == 4:
            return disk.blocks
        if op == 5:
            return BLOCK
        if op in (3, 6):
            if disk.power is not self:
                return -5
            if op == 3:
                return disk.operate(0, b"")
            disk.erases[arg] += 1
            disk.use[2] += 1
            return disk.operate(arg * BLOCK, ERASED)
        return 0


ERASED = b"\xff" * BLOCK


class Watched:
    """A file system that says what it is doing: every call of it and of its files is named in `disk.doing`."""

    def __init__(self, disk, vfs):
        self._disk = disk
        self._vfs = vfs

    def __getattr__(self, name):
        fn = getattr(self._vfs, name)
        self._disk.doing = name
        return fn

    def _use(self, doing, path, changes):
        disk = self._disk
        disk.doing = doing
        disk.use = disk.uses["rest"]
        for owner in OWNERS:
            if owner in path:
                disk.use = disk.uses[owner]
        disk.use[0] += changes

    def remove(self, path):
        self._use("remove", path, False)
        self._vfs.remove(path)
        self._disk.use[0] += 1

    def open(self, path, mode):
        self._use("open", path, "r" not in mode)
        return File(self._disk, self._vfs.open(path, mode))


class File(io.IOBase):
    """A file of a Watched file system."""

    def __init__(self, disk, file):
        self._disk = disk
        self._file = file

    def read(self, *args):
        return self._file.read(*args)

    def readinto(self, buf):
        return self._file.readinto(buf)

    def readline(self, *args):
        return self._file.readline(*args)

    def __iter__(self):
        return iter(self._file)

    def seek(self, *args):
        return self._file.seek(*args)

    def tell(self):
        return self._file.tell()

    def ioctl(self, request, arg):
        return 0

    def write(self, data):
        self._disk.doing = "write"
        return self._file.write(data)

    def flush(self):
        self._disk.doing = "flush"
        self._file.flush()

    def close(self):
        self._disk.doing = "close"
        self._file.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def mount(disk, fresh=False, at="/f", watched=False):
    """Mount `disk` (RamDisk) at /f, formatted when `fresh`: the board is switched on."""
    try:
        os.umount(at)
    except OSError:
        pass
    disk.power = Power(disk)
    disk.watched = watched
    if fresh:
        os.VfsLfs2.mkfs(disk.power, progsize=PAGE)
    vfs = os.VfsLfs2(disk.power, progsize=PAGE)
    os.mount(Watched(disk, vfs) if watched else vfs, at)

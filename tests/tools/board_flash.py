"""The flash of a simulated board (board_repl.py)."""


class Flash:
    """A block device of `blocks` blocks of 4096 bytes, in the file at `path`."""

    def __init__(self, path, blocks):
        self.file = open(path, "r+b")  # noqa: SIM115
        self.blocks = blocks

    def readblocks(self, block, buf, offset=0):
        self.file.seek(block * 4096 + offset)
        self.file.readinto(buf)

    def writeblocks(self, block, buf, offset=0):
        self.file.seek(block * 4096 + offset)
        self.file.write(buf)
        self.file.flush()

    def ioctl(self, op, arg):
        if op == 4:
            return self.blocks
        if op == 5:
            return 4096
        if op == 6:
            return 0

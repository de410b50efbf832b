"""Frames on a serial line that also carries a REPL (README.md, section 3): RFC 1662 framing with a CRC-32."""

from binascii import crc32

from .errors import const

PROTO_LOG_TEXT = 0  # what lies between the frames: print(), tracebacks, noise
PROTO_FRAME = const(0x21)
PROTO_MESSAGE = 0x22
PROTO_LOG = 0x23
PROTO_CONSOLE = const(0x24)

RUN_MAX = 1024
_GOOD = const(0x2144DF1C)  # the CRC-32 of anything followed by its own CRC-32, little endian


def encode(proto, body):
    """Return the bytes for the line: flag, escaped proto, body and CRC, flag."""
    data = bytes((proto,)) + body
    out = bytearray(b"\x7e")
    for c in data + crc32(data).to_bytes(4, "little"):
        if c < 0x20 or 0x7D <= c <= 0x7E:
            out.append(0x7D)
            out.append(c ^ 0x20)
        else:
            out.append(c)
    out.append(0x7E)
    return bytes(out)


class Decoder:
    """Cuts a byte stream into frames and log text.

    Counters: crc_errors (a run that begins like a frame and is none; it is given out as text), overlong (runs dropped
    for their length), aborted (7D 7E). `pending`: the run that is not yet closed.
    """

    def __init__(self, max_run=RUN_MAX):
        self.max_run = max_run
        self.crc_errors = 0
        self.overlong = 0
        self.aborted = 0
        self.pending = bytearray()
        self._skip = False  # inside a run that is too long already

    def feed(self, data):
        """Take bytes as they came, return a list of (proto, body); text between frames comes as (0, bytes)."""
        out: list = []
        if b"\x7e" in data:
            runs = (self.pending + data).split(b"\x7e")
            self.pending = bytearray()
            data = runs.pop()
            for run in runs:
                if self._skip:
                    self._skip = False
                elif run:
                    self._run(bytes(run), out)
        if not self._skip:
            self.pending += data
            if len(self.pending) > self.max_run:
                self.pending = bytearray()
                self.overlong += 1
                self._skip = True
        return out

    def _unescape(self, run):
        pieces = run.split(b"\x7d")
        for i in range(1, len(pieces)):
            piece = pieces[i]
            pieces[i] = bytes((piece[0] ^ 0x20,)) + piece[1:]
        return b"".join(pieces)

    def _run(self, run, out):
        if len(run) > self.max_run:
            self.overlong += 1
        elif run[-1] == 0x7D:
            self.aborted += 1
        else:
            # Two 7D in a row are a needless escape, of 5D.
            data = self._unescape(run.replace(b"\x7d\x7d", b"\x5d")) if b"\x7d" in run else run
            if crc32(data) == _GOOD and len(data) > 4:
                out.append((data[0], data[1:-4]))
                return
            if PROTO_FRAME <= run[0] <= PROTO_CONSOLE:
                self.crc_errors += 1
            out.append((PROTO_LOG_TEXT, run))

"""The serial line's decoder at a host's speed."""

from binascii import crc32

from firmware.wire import hdlc

_MARKS = bytes(0x7D) + b"\x20" + bytes(0x82)
_GOOD = 0x2144DF1C  # the CRC-32 of anything followed by its own CRC-32, little endian
_SHORT = 500  # unescaped bytes of a run that is within the limit even if all of them were escaped


def _mask(escaped):
    # 20 where an escape stood before, for one XOR of long integers.
    return int.from_bytes(escaped.translate(_MARKS).replace(b"\x20\x00", b"\x20"), "big")


class Decoder(hdlc.Decoder):
    """As firmware.wire.hdlc.Decoder, many times as fast: a chunk is unescaped as a whole, flags and all. CPython only."""

    def feed(self, data):
        """Take bytes as they came, return a list of (proto, body); text between frames comes as (0, bytes)."""
        flag = data.rfind(b"\x7e")
        chunk = bytes(self.pending) + data[:flag]
        # What is cut short, needlessly escaped or too long is the reference's to judge.
        plain = flag >= 0 and not self._skip and b"\x7d\x7d" not in chunk and b"\x7d\x7e" not in chunk
        if not plain or chunk[-1:] == b"\x7d" or self.max_run < 2 * _SHORT:
            return super().feed(data)
        # An escaped flag is no 7E before the XOR: flags are found there.
        flipped = chunk.translate(None, b"\x7d")
        clear = (int.from_bytes(flipped, "big") ^ _mask(chunk)).to_bytes(len(flipped), "big")
        out: list = []
        at = number = 0
        for piece in flipped.split(b"\x7e"):
            end = at + len(piece)
            run = clear[at:end]
            if crc32(run) == _GOOD and 4 < len(run) <= _SHORT:
                out.append((run[0], run[1:-4]))
            elif run:
                self._run(chunk.split(b"\x7e")[number], out)
            at = end + 1
            number += 1
        self.pending = bytearray()
        rest = data[flag + 1 :]
        return out + super().feed(rest) if rest else out

    def _unescape(self, run):
        data = run.translate(None, b"\x7d")
        return (int.from_bytes(data, "big") ^ _mask(run)).to_bytes(len(data), "big")

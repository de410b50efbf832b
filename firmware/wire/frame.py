"""The frame's clear part: flags, key id, counter (README.md, section 1). Nothing here knows a key."""

from .errors import WireError, const

_VERSION = const(0x80)
_VERSION_MASK = const(0xC0)
_DOWN = const(0x20)
_HOP = const(0x10)
_LONG_KID = const(0x08)

TAG_LEN = const(8)
HOP_LEN = const(4)
HEADER_MAX = const(9)
FRAME_MAX = const(255)
LOW_RATE_MAX = const(50)  # SF10 to SF12


class Frame:
    """A frame whose form is right; whether it is authentic, `seal.unseal` says.

    buf: the whole frame, down: bool, hop: bool (a hop tag is present), kid: bytes (2 or 4), piv: int, header_len: int,
    end: where the AEAD tag ends, body: ciphertext and AEAD tag, tag: the AEAD tag (8 bytes).
    """

    def __init__(self, buf):
        """`buf` is bytes. WireError short, long, version or format, in the receiver's order."""
        size = len(buf)
        flags = buf[0] if size else 0
        kid_end = 5 if flags & _LONG_KID else 3
        self.buf = buf
        self.header_len = kid_end + (flags & 7)
        self.down = flags & _DOWN != 0
        self.hop = flags & _HOP != 0
        self.end = size - HOP_LEN if self.hop else size
        name = None
        if size < self.header_len:
            name = "short"
        elif size > FRAME_MAX:
            name = "long"
        elif flags & _VERSION_MASK != _VERSION:
            name = "version"
        # The PIV's length, then its first byte: zero is a leading zero, or PIV 0.
        elif not 0 < flags & 7 < 5 or not buf[kid_end]:
            name = "format"
        elif self.end <= self.header_len + TAG_LEN:
            name = "short"
        if name:
            raise WireError(name)
        self.kid = buf[1:kid_end]
        self.piv = int.from_bytes(buf[kid_end : self.header_len], "big")
        self.body = buf[self.header_len : self.end]
        self.tag = self.body[-TAG_LEN:]


parse = Frame


def put_header(buf, kid, piv, down, hop):
    """Write the header into `buf` (bytearray), without garbage; return its length.

    kid: 2 or 4 bytes, piv: 1 to 2^32-1, written in its shortest form.
    """
    end = len(kid) + 1
    if end not in (3, 5) or not 0 < piv < 1 << 32:
        raise ValueError("kid or PIV")
    buf[0] = _VERSION | (end - 3) << 2 | (_DOWN if down else 0) | (_HOP if hop else 0)
    buf[1:end] = kid
    shift = 24
    while not piv >> shift:
        shift -= 8
    while shift >= 0:
        buf[0] += 1
        buf[end] = piv >> shift & 255
        end += 1
        shift -= 8
    return end

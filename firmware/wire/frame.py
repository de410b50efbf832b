"""The frame's clear part: flags, key id, counter (README.md, section 1). Nothing here knows a key."""

from .errors import WireError

VERSION = 0x80
VERSION_MASK = 0xC0
DOWN = 0x20
HOP = 0x10
LONG_KID = 0x08

TAG_LEN = 8
HOP_LEN = 4
FRAME_MAX = 255
DOWNLINK_MAX = 128
LOW_RATE_MAX = 50  # SF10 to SF12


class Frame:
    """A frame whose form is right; whether it is authentic, `seal.unseal` says.

    buf: the whole frame, down: bool, hop: bool (a hop tag is present), kid: bytes (2 or 4), piv: int,
    header_len: int, end: where the AEAD tag ends, body: ciphertext and AEAD tag, tag: the AEAD tag (8 bytes).
    """

    __slots__ = ("body", "buf", "down", "end", "header_len", "hop", "kid", "piv", "tag")


def parse(buf):
    """Return the Frame in `buf` (bytes). WireError short, long, version or format, in the receiver's order."""
    size = len(buf)
    if not size:
        raise WireError("short")
    flags = buf[0]
    piv_len = flags & 7
    kid_end = 5 if flags & LONG_KID else 3
    header_len = kid_end + piv_len
    if size < header_len:
        raise WireError("short")
    if size > FRAME_MAX:
        raise WireError("long")
    if flags & VERSION_MASK != VERSION:
        raise WireError("version")
    # A first byte of zero is a leading zero, and in one byte it is PIV 0.
    if not 0 < piv_len < 5 or not buf[kid_end]:
        raise WireError("format")
    hop = flags & HOP
    end = size - HOP_LEN if hop else size
    if end < header_len + 1 + TAG_LEN:
        raise WireError("short")
    frame = Frame()
    frame.buf = buf
    frame.down = flags & DOWN != 0
    frame.hop = hop != 0
    frame.kid = buf[1:kid_end]
    frame.piv = int.from_bytes(buf[kid_end:header_len], "big")
    frame.header_len = header_len
    frame.end = end
    frame.body = buf[header_len:end]
    frame.tag = buf[end - TAG_LEN : end]
    return frame


def put_header(buf, kid, piv, down, hop):
    """Write the header into `buf` (bytearray), without garbage; return its length."""
    piv_len = 1
    while piv >> (piv_len << 3):
        piv_len += 1
    if len(kid) not in (2, 4) or piv < 1 or piv_len > 4:
        raise ValueError("kid or PIV")
    buf[0] = VERSION | piv_len | (DOWN if down else 0) | (HOP if hop else 0) | (LONG_KID if len(kid) == 4 else 0)
    at = 1
    for byte in kid:
        buf[at] = byte
        at += 1
    while piv_len:
        piv_len -= 1
        buf[at] = piv >> (piv_len << 3) & 255
        at += 1
    return at


def header(kid, piv, down=False, hop=False):
    """Return the header: flags, kid (2 or 4 bytes), PIV (1..2^32-1) in its shortest form."""
    buf = bytearray(9)
    return bytes(buf[: put_header(buf, kid, piv, down, hop)])

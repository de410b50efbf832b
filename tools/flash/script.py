"""How a script and what it brings along become bytes of the line: few, and none that a board's REPL keeps for itself."""

import re
import zlib

# A script of more bytes than this is worth deflating.
WORTH_BYTES = 200
# The window of the deflated data, as a power of two: what a board with 64 kB of heap has to spare.
WBITS = 11
# Runs first. `_inflate` opens what comes deflated; a MicroPython without that gets everything as it is, and prints nothing here.
FIRST = """
import io, os, sys
try:
    from deflate import DeflateIO
    _inflate = lambda data: DeflateIO(io.BytesIO(data))
    print(1)
except ImportError:
    _inflate = io.BytesIO
def _run(data):
    exec(_inflate(data).read(), globals())
"""
# Zero, keys of the REPL, line ends, and what ends a literal.
_SPECIAL = re.compile(rb"[\0-\4\n\r'\\]")
_ESCAPES = {b"\n": rb"\n", b"\r": rb"\r", b"'": rb"\'", b"\\": rb"\\"}


def source(script: str) -> bytes:
    """A script with one space an indentation."""
    return re.sub(r"^(?: {4})+", lambda found: " " * (len(found[0]) // 4), script.strip("\n"), flags=re.M).encode()


def packed(code: bytes) -> bytes:
    """The call that runs this code on a board that can inflate; a short one as it is."""
    return b"_run(%b)" % literal(deflated(code)) if len(code) > WORTH_BYTES else code


def deflated(data: bytes) -> bytes:
    """A zlib stream whose window a board can afford."""
    packer = zlib.compressobj(9, zlib.DEFLATED, WBITS, 9)
    return packer.compress(data) + packer.flush()


def literal(data: bytes) -> bytes:
    """A bytes literal in which all but nine of the 256 bytes stand as they are: one of Python is up to four times as long."""
    return b"b'%b'" % _SPECIAL.sub(_escaped, data)


def _escaped(found: re.Match[bytes]) -> bytes:
    plain = _ESCAPES.get(found[0])
    if plain is not None:
        return plain
    digit_follows = found.string[found.end() : found.end() + 1].isdigit()
    return b"\\%03o" % found[0][0] if digit_follows else b"\\%o" % found[0][0]

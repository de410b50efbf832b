"""The form of a frame: every named error at its boundary, and in the receiver's order."""

from wire_vectors import refused

from firmware.wire.frame import FRAME_MAX, parse, put_header

CIPHERTEXT = b"c" + b"T" * 8  # the shortest there is


def _header(kid, piv, down=False, hop=False):
    buf = bytearray(9)
    return bytes(buf[: put_header(buf, kid, piv, down, hop)])


def check_header_there_and_back():
    for kid in (b"\0\1", b"\xff\xff", b"\0\0\0\1", b"\xff\xfe\xfd\xfc"):
        for piv in (1, 255, 256, 65535, 65536, 1 << 24, (1 << 24) - 1, (1 << 32) - 1):
            for down in (False, True):
                for hop in (False, True):
                    head = _header(kid, piv, down, hop)
                    assert len(head) == 1 + len(kid) + (len(hex(piv)) - 1) // 2
                    frame = parse(head + CIPHERTEXT + (b"hop!" if hop else b""))
                    assert (frame.kid, frame.piv, frame.down, frame.hop) == (kid, piv, down, hop)
                    assert frame.body == CIPHERTEXT
                    assert frame.tag == b"T" * 8
                    assert frame.header_len == len(head)


def check_header_refuses_what_it_cannot_say():
    for kid, piv in ((b"\0", 1), (b"\0\0\0", 1), (b"\0\1", 0), (b"\0\1", 1 << 32), (b"\0\1", -1)):
        try:
            _header(kid, piv)
        except ValueError:
            continue
        raise AssertionError((kid, piv))


def check_lengths():
    for hop in (False, True):
        for kid in (b"\0\1", b"\0\0\0\1"):
            frame = _header(kid, 300, False, hop) + CIPHERTEXT + (b"hop!" if hop else b"")
            for n in range(len(frame)):
                assert refused(parse, frame[:n]) == "short", n
            assert refused(parse, frame) is None
            assert refused(parse, frame + bytes(FRAME_MAX - len(frame))) is None
            assert refused(parse, frame + bytes(FRAME_MAX + 1 - len(frame))) == "long"


def check_flags():
    for flags in range(256):
        n = flags & 7
        want = None
        if flags & 0xC0 != 0x80:
            want = "version"
        elif n == 0 or n > 4:
            want = "format"
        assert refused(parse, bytes((flags,)) + b"\1" * 40) == want, flags


def check_the_order_of_errors():
    assert refused(parse, b"") == "short"
    assert refused(parse, b"\x41\0\1") == "short"  # the version is wrong too
    assert refused(parse, b"\x41" + bytes(300)) == "long"
    assert refused(parse, b"\x40" + bytes(30)) == "version"  # n is wrong too
    assert refused(parse, b"\x81\0\1\0") == "format"  # it is too short too
    assert refused(parse, b"\x82\0\1\0\1") == "format"
    assert refused(parse, b"\x82\0\1\1\0") == "short"

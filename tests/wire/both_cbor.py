"""The codec: shortest, definite, ordered, four deep; and what link messages may say beyond that."""

from wire_vectors import refused, unhex

from firmware.wire import cbor

GOOD = (
    ({}, "a0"),
    ({0: 0}, "a10000"),
    ({1: 23, 2: 24, 3: 255, 4: 256}, "a401170218180318ff04190100"),
    ({5: 65535, 6: 65536, 7: 4294967295}, "a30519ffff061a00010000071affffffff"),
    ({5: 4294967296, 6: 18446744073709551615}, "a2051b0000000100000000061bffffffffffffffff"),
    ({1: -1, 2: -24, 3: -25, 4: -256, 5: -257}, "a5012002370338180438ff05390100"),
    ({1: -65536, 2: -65537, 3: -18446744073709551616}, "a30139ffff023a00010000033bffffffffffffffff"),
    ({1: True, 2: False}, "a201f502f4"),
    ({1: b"", 2: b"\0\xff", 3: "", 4: "é"}, "a4 0140 024200ff 0360 0462c3a9"),
    ({1: [], 2: [1, [2, [3]]], 3: {}}, "a3 0180 02820182028103 03a0"),
    (
        {23: 0, 24: 1, 255: 2, 256: 3, -1: 4, -24: 5, -25: 6, -257: 7},
        "a8 1700 181801 18ff02 19010003 2004 3705 381806 39010007",
    ),
    ({1: {2: {3: {}}}}, "a101a102a103a0"),
)

BAD = (
    "", "00", "80", "f5", "4100", "6161",  # not a map
    "a1", "a101", "a10119", "a1011901", "a2010203", "a10141", "a10162aa", "a101810100",  # cut, or more behind
    "a000", "a1010200",
    "a1011800", "a1011817", "a101190000", "a1011900ff", "a1011a0000ffff", "a1011b00000000ffffffff",  # not the shortest
    "a1013817", "a101390000", "a1180101", "a1015800", "a101580100", "a1017800", "a1019800", "a101b800",
    "b80101f5", "b9000101f5", "a1011c", "a1011d", "a1011e", "a1011f",
    "bf0101ff", "a1015f4100ff", "a1017f6161ff", "a1019f01ff", "a101bf0101ff",  # indefinite
    "a201010102", "a202010101", "a220010101", "a220012001", "a221012001", "a21818010101",
    "a101f6", "a101f7", "a101e0", "a101f0", "a101f800", "a101f814", "a101f93c00", "a101fa3f800000", "a101fb3ff0000000000000",
    "a101c000", "a101c100", "a101c24101", "a101d81800", "c0a0",  # tags
    "a1616101", "a1410101", "a1f501", "a18001", "a1a001",  # keys that are no integers
    "a10181818180", "a101a101a101a101a0", "a10162c328", "a101ff",
    "a1015affffffff", "a1019affffffff", "a101bbffffffffffffffff", "bbffffffffffffffff",  # lengths beyond the end
)  # fmt: skip


def check_good_both_ways():
    for value, text in GOOD:
        assert cbor.loads(unhex(text)) == value, text
        assert cbor.dumps(value) == unhex(text), value


def check_booleans_are_no_integers():
    found = cbor.loads(unhex("a2010102f5"))
    assert type(found[1]) is int
    assert found[2] is True


def check_bad_has_a_name():
    for text in BAD:
        assert refused(cbor.loads, unhex(text)) == "cbor", text


def check_every_cut_of_a_payload():
    whole = cbor.dumps({1: 3587, 2: [214, -3, 300], 6: "text", 9: b"bytes", 21: {1: 70000}, -8: 900})
    for n in range(len(whole)):
        assert refused(cbor.loads, whole[:n]) == "cbor", n
        assert refused(cbor.loads_link, whole[:n]) == "cbor", n


def check_what_cannot_be_said():
    wrong_keys = ({"a": 1}, {True: 1}, {b"k": 1}, {1: {"a": 1}}, {"a": 1, -1: 2})
    wrong_values = ({1: 1.5}, {1: None}, {1: {2: {3: {4: {}}}}}, {1: [[[[]]]]}, {1: 1 << 64}, {1: object()})
    for value in wrong_values + wrong_keys:
        assert refused(cbor.dumps, value) == "cbor", value


def check_link_messages_say_more():
    value = [1, None, {"b": 1, "a": [True, None]}, -5]
    assert cbor.loads_link(cbor.dumps_link(value)) == value
    pairs = [("zz", 1), ("a", 2), (5, 3), (1, 4)]
    encoded = cbor.dumps_link(cbor.Pairs(pairs))
    assert encoded == unhex("a4 627a7a01 616102 0503 0104")
    assert cbor.loads_link(encoded) == dict(pairs)
    for text in ("a2616101616102", "a201010102", "a1f501", "f7", "f93c00", "1800", "9f01ff", "c000", "8201", "82010203"):
        assert refused(cbor.loads_link, unhex(text)) == "cbor", text
    assert refused(cbor.dumps_link, [1.5]) == "cbor"


def check_into_a_buffer():
    value = {1: 3587, -8: 900, 2: [1, -1]}
    want = cbor.dumps(value)
    buf = bytearray(b"\xee" * 40)
    end = cbor.dump_into(buf, 3, value)
    assert buf[3:end] == want
    assert buf[:3] == b"\xee" * 3
    assert buf[end:] == b"\xee" * (40 - end)
    exact = bytearray(len(want))
    assert cbor.dump_into(exact, 0, value) == len(want)
    assert exact == want
    try:
        cbor.dump_into(bytearray(len(want) - 1), 0, value)
    except IndexError:
        return
    raise AssertionError("a buffer too small")


def check_larger_than_the_first_buffer():
    value = {1: b"x" * 1000, 2: "y" * 300}
    assert cbor.loads(cbor.dumps(value)) == value
    assert cbor.dumps({1: bytearray(b"ab"), 2: memoryview(b"cd")}) == unhex("a2 01426162 02426364")

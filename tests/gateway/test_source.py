from hypothesis import example, given
from hypothesis import strategies as st

from firmware.wire import hdlc
from gateway.ingress.source import LineDecoder

# Bytes that matter to the framing come often.
DIRT = st.lists(st.sampled_from(b"\x7e \x7d \x7d\x7e \x7d\x5e \x7d\x5d \x7d\x7d \x21 A".split()), max_size=12)
FRAME = st.tuples(st.sampled_from([0x21, 0x22, 0x23]), st.binary(max_size=90)).map(lambda pair: hdlc.encode(*pair))
STREAM = st.lists(FRAME | st.binary(max_size=30) | DIRT.map(b"".join), max_size=12).map(b"".join)


@given(STREAM, st.integers(1, 60), st.sampled_from([20, 64, 1024]))
@example(b"\x7e\x22\x7d", 2, 1024)
@example(b"A" * 70 + b"\x7e\x7e" + hdlc.encode(0x21, b"\x7d\x00x"), 10, 64)
def test_line_decoder_says_what_the_boards_say(stream, piece, max_run):
    ours, theirs = LineDecoder(max_run), hdlc.Decoder(max_run)
    for at in range(0, len(stream), piece):
        assert ours.feed(stream[at : at + piece]) == theirs.feed(stream[at : at + piece])
    for name in ("crc_errors", "overlong", "aborted", "pending"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert "_unescape" in vars(hdlc.Decoder), "the step that LineDecoder replaces has another name"

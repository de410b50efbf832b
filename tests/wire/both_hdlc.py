"""The serial line: any cut, noise between, damage, and a REPL's text on the same wire."""

from wire_vectors import ALL, unhex

from firmware.wire import hdlc

FRAME = unhex(ALL["serial"][0]["line"])
BODY = unhex(ALL["serial"][0]["body"])
ENTRY = (hdlc.PROTO_FRAME, BODY)


def _feed(data, step=None):
    decoder = hdlc.Decoder()
    out = []
    for i in range(0, len(data), step or len(data)):
        out += decoder.feed(data[i : i + (step or len(data))])
    return out, decoder


def _counters(decoder):
    return decoder.crc_errors, decoder.overlong, decoder.aborted


def check_no_control_byte_on_the_line():
    line = hdlc.encode(hdlc.PROTO_MESSAGE, bytes(range(256)))
    assert all(byte >= 0x20 for byte in line)
    assert line[1:-1].count(b"\x7e") == 0
    assert _feed(line)[0] == [(hdlc.PROTO_MESSAGE, bytes(range(256)))]


def check_any_cut():
    data = FRAME + FRAME[1:] + b"\x7e" + FRAME
    for step in range(1, len(data) + 1):
        out, decoder = _feed(data, step)
        assert out == [ENTRY] * 3, step
        assert _counters(decoder) == (0, 0, 0)


def check_one_flag_closes_and_opens():
    assert _feed(FRAME + FRAME[1:] + FRAME[1:])[0] == [ENTRY] * 3
    assert _feed(b"\x7e\x7e\x7e" + FRAME + b"\x7e\x7e")[0] == [ENTRY]


def check_text_between_frames_keeps_its_control_bytes():
    text = b"Traceback (most recent call last):\r\n  \x1b[31mMemoryError\x1b[0m\x03\r\n"
    out, decoder = _feed(b"boot\r\n" + FRAME + text + FRAME)
    assert out == [(0, b"boot\r\n"), ENTRY, (0, text), ENTRY]
    assert _counters(decoder) == (0, 0, 0)


def check_text_with_a_brace_inside():
    text = b'{"a": {"b": 1}, "c": 2}\r\n'
    assert _feed(text + FRAME)[0] == [(0, text), ENTRY]


def check_abort():
    out, decoder = _feed(FRAME[:20] + b"\x7d\x7e" + FRAME)
    assert out == [ENTRY]
    assert _counters(decoder) == (0, 0, 1)


def check_truncated_frames():
    for n in range(1, len(FRAME) - 1):
        out, decoder = _feed(FRAME[:n] + FRAME)
        assert out[-1] == ENTRY, n
        assert [proto for proto, _ in out[:-1]] in ([], [0]), n
        aborted = FRAME[n - 1] == 0x7D
        assert decoder.aborted == aborted
        assert decoder.crc_errors == (1 if n > 1 and not aborted else 0), n


def check_damaged_frames():
    for i in range(1, len(FRAME) - 1):
        for bit in range(8):
            wrong = bytearray(FRAME)
            wrong[i] ^= 1 << bit
            out, _ = _feed(bytes(wrong) + FRAME)
            assert out[-1] == ENTRY, (i, bit)
            assert ENTRY not in out[:-1], (i, bit)
            assert all(proto == 0 for proto, _ in out[:-1])


def check_a_damaged_frame_is_counted_and_shown():
    wrong = FRAME[:9] + b"!" + FRAME[10:]
    out, decoder = _feed(wrong)
    assert out == [(0, wrong[1:-1])]
    assert _counters(decoder) == (1, 0, 0)


def check_runs_over_the_limit_are_dropped():
    limit = hdlc.RUN_MAX
    assert limit == 1024
    for step in (1, 7, 1024, 5000):
        out, decoder = _feed(b"x" * limit + b"\x7e" + b"y" * (limit + 1) + FRAME, step)
        assert out == [(0, b"x" * limit), ENTRY], step
        assert _counters(decoder) == (0, 1, 0)
        out, decoder = _feed(b"z" * 5000 + FRAME + b"w" * 1030 + b"\x7e" + FRAME, step)
        assert out == [ENTRY, ENTRY], step
        assert _counters(decoder) == (0, 2, 0)


def check_a_run_without_end_takes_no_room():
    decoder = hdlc.Decoder()
    for _ in range(100):
        assert decoder.feed(b"n" * 300) == []
        assert len(decoder.pending) <= hdlc.RUN_MAX
    assert decoder.overlong == 1
    assert decoder.feed(FRAME) == [ENTRY]


def check_needless_escapes():
    out, _ = _feed(b"\x7e" + _escape_all(FRAME) + b"\x7e")
    assert out == [ENTRY]
    assert b"\x7d\x7d" in _escape_all(hdlc.encode(hdlc.PROTO_LOG, b"a]b"))
    assert _feed(b"\x7e" + _escape_all(hdlc.encode(hdlc.PROTO_LOG, b"a]b")) + b"\x7e")[0] == [(hdlc.PROTO_LOG, b"a]b")]


def _escape_all(line):
    out = bytearray()
    flip = 0
    for byte in line[1:-1]:
        if byte == 0x7D:
            flip = 0x20
            continue
        out.append(0x7D)
        out.append(byte ^ flip ^ 0x20)
        flip = 0
    return bytes(out)


def check_empty_body_and_foreign_protocol():
    assert _feed(hdlc.encode(0x23, b""))[0] == [(0x23, b"")]
    assert _feed(hdlc.encode(0x7E, b"a"))[0] == [(0x7E, b"a")]
    assert _feed(b"\x7e1234\x7e")[0] == [(0, b"1234")]

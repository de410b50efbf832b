"""The codec against cbor2, the decoder of the line and the readings against naive models: whatever hypothesis can think of."""

import random
from itertools import accumulate, pairwise
from zlib import crc32

import both_window
import cbor2
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from firmware.wire import cbor, hdlc, quantities, seal
from firmware.wire.errors import WireError
from firmware.wire.frame import parse
from firmware.wire.host import receiver, rows
from firmware.wire.host.errors import FRAME_ERRORS
from firmware.wire.host.hdlc import Decoder as HostDecoder
from firmware.wire.host.payload import entries
from firmware.wire.host.window import Window

FEW = examples(80)
MANY = examples(200)

integers = st.one_of(st.integers(-300, 300), st.integers(-(1 << 64), (1 << 64) - 1))
scalars = st.one_of(integers, st.booleans(), st.binary(max_size=30), st.text(max_size=30))
nested = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(integers, inner, max_size=4), max_leaves=12
)
payloads = st.dictionaries(integers, nested, max_size=6)


def _depth(value):
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


def _in_order(value):
    """The same value with its maps in bytewise order of the encoded keys, for an encoder that keeps the order it is given."""
    if isinstance(value, dict):
        return {key: _in_order(value[key]) for key in sorted(value, key=cbor2.dumps)}
    return [_in_order(item) for item in value] if isinstance(value, list) else value


def _try(function, *args):
    """(what it returns, None), or (None, the name of its WireError)."""
    try:
        return function(*args), None
    except WireError as error:
        return None, error.name


def _same(one, two):
    """Equal in value and in type: True is not 1."""
    return repr(one) == repr(two)


@MANY
@given(payloads)
def test_encodes_as_cbor2_does(value):
    if _depth(value) > cbor.DEPTH_MAX:
        with pytest.raises(WireError, match="cbor"):
            cbor.dumps(value)
        return
    encoded = cbor.dumps(value)
    assert encoded == cbor2.dumps(_in_order(value))
    assert _same(cbor.loads(encoded), _in_order(value))
    buf = bytearray(len(encoded) + 5)
    assert cbor.dump_into(buf, 5, value) == len(buf)
    assert buf[5:] == encoded


@MANY
@given(payloads, st.randoms())
def test_any_other_order_of_the_keys_is_refused(value, rng):
    keys = list(value)
    rng.shuffle(keys)
    shuffled = {key: value[key] for key in keys}
    encoded = cbor2.dumps(shuffled)
    if _depth(value) <= cbor.DEPTH_MAX and encoded == cbor.dumps(value):
        return
    with pytest.raises(WireError, match="cbor"):
        cbor.loads(encoded)


def _damaged(data):
    return st.lists(st.tuples(st.integers(0, len(data) - 1), st.integers(0, 255)), min_size=1, max_size=3).map(
        lambda edits: bytes(dict(edits).get(i, byte) for i, byte in enumerate(data))
    )


@MANY
@given(st.one_of(st.binary(max_size=40), payloads.map(cbor2.dumps).flatmap(_damaged)))
def test_whatever_is_accepted_is_what_cbor2_reads_and_has_one_form(data):
    value, name = _try(cbor.loads, data)
    if name:
        assert name == "cbor"
        return
    assert _same(value, cbor2.loads(data))
    assert cbor.dumps(value) == data


@MANY
@given(st.recursive(
    st.one_of(scalars, st.none()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.one_of(integers, st.text(max_size=5)), inner, max_size=4),
    max_leaves=12,
))  # fmt: skip
def test_link_messages_against_cbor2(value):
    if _depth(value) > cbor.DEPTH_MAX:
        with pytest.raises(WireError, match="cbor"):
            cbor.dumps_link(value)
        with pytest.raises(WireError, match="cbor"):
            cbor.loads_link(cbor2.dumps(value))
        return
    assert cbor.dumps_link(value) == cbor2.dumps(value)
    assert _same(cbor.loads_link(cbor2.dumps(value)), value)


def _cut(data, cuts):
    at = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(at)]


def _naive(data, max_run=hdlc.RUN_MAX):
    """The decoder of the protocol's text, a byte at a time."""
    out = []
    for run in data.split(b"\x7e")[:-1]:
        if not run or len(run) > max_run or run[-1] == 0x7D:
            continue
        plain, flip, escaped = bytearray(), 0, False
        for byte in run:
            if byte == 0x7D and not escaped:
                flip, escaped = 0x20, True
                continue
            plain.append(byte ^ flip)
            flip, escaped = 0, False
        fits = len(plain) > 4 and crc32(plain[:-4]) == int.from_bytes(plain[-4:], "little")
        out.append((plain[0], bytes(plain[1:-4])) if fits else (0, run))
    return out


noise = st.one_of(
    st.binary(max_size=30),
    st.lists(st.sampled_from(b"\x7d\x7e\x5d\x5e\x21\x00a"), max_size=30).map(bytes),
    st.integers(1020, 1030).map(lambda n: b"x" * n),
    st.sampled_from([b"}\r\n", b"\x7d\x7e", b"\x7e", b"log\r\n\x03", b"\x7d\x7d"]),
)
lines = st.builds(hdlc.encode, st.sampled_from([0x21, 0x22, 0x23]), st.binary(max_size=60))
pieces = st.one_of(lines, noise, lines.flatmap(lambda line: st.integers(0, len(line)).map(lambda n: line[:n])))


@MANY
@given(st.lists(pieces, max_size=8).map(b"".join), st.lists(st.integers(0, 10000), max_size=8))
def test_the_line_cut_anywhere_with_noise_between(data, cuts):
    want = _naive(data)
    for decoder in (hdlc.Decoder(), HostDecoder()):
        got = []
        for piece in _cut(data, cuts):
            got += decoder.feed(piece)
        assert got == want


_bodies = st.tuples(st.sampled_from([0x21, 0x22, 0x23]), st.binary(max_size=255))


@FEW
@given(st.lists(_bodies, max_size=5), st.lists(st.integers(0, 5000)))
def test_every_frame_sent_arrives(bodies, cuts):
    data = b"".join(hdlc.encode(proto, body) for proto, body in bodies)
    for decoder in (hdlc.Decoder(), HostDecoder()):
        assert [item for piece in _cut(data, cuts) for item in decoder.feed(piece)] == bodies


KEYS = seal.derive(bytes(range(16)), b"\0\1")


@FEW
@given(
    st.binary(min_size=16, max_size=16),
    st.one_of(st.binary(min_size=2, max_size=2), st.binary(min_size=4, max_size=4)),
    st.integers(1, (1 << 32) - 1),
    st.binary(min_size=1, max_size=200),
    st.booleans(),
    st.booleans(),
)
def test_what_is_sealed_opens(secret, kid, piv, payload, down, hop):  # noqa: PLR0917
    keys = seal.derive(secret, kid)
    frame = parse(seal.seal(keys, piv, payload, down, hop))
    assert (frame.kid, frame.piv, frame.down, frame.hop) == (kid, piv, down, hop)
    assert seal.unseal(keys, frame) == payload


@MANY
@given(st.one_of(st.binary(max_size=300), st.binary(min_size=8, max_size=60).map(lambda b: b"\x81\0\1" + b)))
def test_noise_has_a_name(data):
    with pytest.raises(WireError) as caught:
        receiver.receive({KEYS.kid: receiver.Context(KEYS, Window())}, data)
    assert caught.value.name in FRAME_ERRORS


_pivs = st.integers(1, 2**32 - 1) | st.integers(1, 600)
_harm = st.tuples(st.integers(0, 80), st.binary(max_size=1), st.integers(0, 2))


@MANY
@given(_pivs, st.binary(min_size=1, max_size=40), st.booleans(), st.booleans(), st.none() | _harm, st.integers(-2, 2))
def test_the_usual_frame_is_judged_as_any(piv, payload, down, hop, harm, ahead):  # noqa: PLR0917
    data = seal.seal(KEYS, piv, payload, down, hop)
    if harm:
        at, put, drop = harm
        data = data[:at] + put + data[at + drop :]
    context = receiver.Context(KEYS, Window())
    if 0 < piv + ahead < 1 << 32:
        context.window.accept(piv + ahead, bytes(8))

    def judged():
        found, name = _try(receiver.authenticate, {KEYS.kid: context}, data)
        fields = ("kid", "piv", "tag", "down", "hop", "header_len", "end", "body", "buf")
        return name or (
            found.context,
            found.payload,
            found.map,
            found.error,
            found.entries,
            [getattr(found.frame, f) for f in fields],
        )

    with pytest.MonkeyPatch.context() as patch:
        quick = judged()
        patch.setattr(receiver, "_usual", lambda *_: None)
        assert judged() == quick


_keys = st.one_of(st.sampled_from(sorted(rows.BY_KEY)), st.integers(-30, 40))
_values = st.one_of(scalars, st.lists(st.one_of(st.integers(-5, 5), st.booleans()), max_size=5), st.integers(0, 100))


@MANY
@given(st.dictionaries(_keys, _values, max_size=6), st.integers(1, 100))
def test_a_payload_is_readings_or_value(payload, piv):
    found, name = _try(entries, payload, piv)
    if name:
        assert name == "value"
        return
    assert found[-1][:3] == (piv, "direct", 0)
    for key, value in payload.items():
        if key in rows.BY_KEY and key > 0 and key != quantities.AGE:
            last = found[-1][3][key]
            assert last == (sum(value) if isinstance(value, list) and type(value[0]) is int else last)


@FEW
@given(st.integers(2, 48), st.integers(1, 3600), st.data())
def test_batches_against_running_sums(n, step_s, data):
    temperatures = data.draw(st.lists(st.integers(-600, 2000), min_size=n, max_size=n))
    tilted = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    repeats = data.draw(st.integers(0, n - 1))
    deltas = [temperatures[0], *(b - a for a, b in pairwise(temperatures))]
    assert list(accumulate(deltas)) == temperatures
    payload = {1: 3600, 2: deltas, 5: tilted, -8: step_s} | ({-9: repeats} if repeats else {})
    piv = 1000
    found = entries(cbor.loads(cbor.dumps(payload)), piv)
    assert [e[2] for e in found] == [(n - 1 - i) * step_s for i in range(n)]
    assert [e[3][2] for e in found] == temperatures
    assert [e[3][5] for e in found] == tilted
    assert [e[0] for e in found] == [piv - repeats + i if i < repeats else piv for i in range(n)]
    assert [e[1] for e in found] == ["repeat"] * repeats + ["direct"] * (n - repeats)
    assert [e[3].get(1) for e in found] == [None] * (n - 1) + [3600]


def test_the_window_against_a_set():
    random.seed(99)
    both_window._walk(64, 3000, 7)
    both_window._walk(64, 3000, 90)
    both_window._walk(1024, 3000, 300)

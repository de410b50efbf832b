"""The quick reading of payloads says what the reference says: same map, same readings, same error."""

import cbor2
from examples import examples
from hypothesis import example, given
from hypothesis import strategies as st

from firmware.wire import cbor, quantities
from firmware.wire.host import receiver, rows, window
from firmware.wire.seal import Keys
from gateway import quick

KEYS = st.sampled_from([*rows.BY_KEY, 22, 24, 300, -14, -30])
SCALAR = st.integers(-70000, 70000) | st.integers(0, 100) | st.booleans() | st.binary(max_size=9) | st.none() | st.floats()
DELTAS = st.lists(st.integers(-20, 90), min_size=1, max_size=5) | st.lists(st.booleans(), min_size=1, max_size=5)
LIKELY = st.fixed_dictionaries(
    {1: st.lists(st.integers(0, 4000), min_size=2, max_size=4), -8: st.integers(0, 900)},
    optional={
        3: st.lists(st.integers(-3, 100), min_size=2, max_size=4),
        6: st.booleans(),
        14: st.integers(0, 9),
        -9: st.integers(0, 5),
    },
)
ANY = st.dictionaries(KEYS, SCALAR | DELTAS, max_size=6)


def _accepted(payload, piv=70, seen=(69, 67)):
    context = receiver.Context(Keys(b"\0\1"), window.Window())
    for old in seen:
        context.window.accept(old, bytes(8))
    frame = type("Frame", (), {"piv": piv, "tag": bytes(8)})()
    return receiver.Accepted(context, frame, payload)


def _same(payload, piv=70):
    one, other = _accepted(payload, piv), _accepted(payload, piv)
    quick.read(one)
    receiver.understand(other)
    assert (one.error, one.entries) == (other.error, other.entries)
    if one.error is None:
        assert all(one.map.get(key) == other.map.get(key) for key in (quantities.AGE, *range(-20, 0)))
        assert [list(map(type, e[3].values())) for e in one.entries] == [list(map(type, e[3].values())) for e in other.entries]


@examples(400)
@given(ANY | LIKELY, st.sampled_from([1, 2, 70, 2**32 - 1]))
@example({1: [3700, 1], -8: 900, -9: 1}, 70)
@example({1: [3700, 1], -8: 900, -9: 1}, 1)
@example({True: 1}, 70)
@example({1.0: 1}, 70)
@example({6: [True, False], 1: 3700, -8: 60}, 70)
@example({6: [True, 0], -8: 60}, 70)
@example({}, 70)
def test_maps(payload, piv):
    """Canonical and otherwise, in range and out of it."""
    try:
        strict = cbor.dumps(payload)
    except Exception:
        strict = None
    for data in {cbor2.dumps(payload), cbor2.dumps(payload, canonical=True), strict} - {None}:
        _same(data, piv)


@examples(400)
@given(st.binary(max_size=40))
@example(bytes.fromhex("bf0102ff"))  # indefinite
@example(bytes.fromhex("a201020103"))  # a key twice
@example(bytes.fromhex("a1011802"))  # not the shortest
@example(bytes.fromhex("a1010200"))  # something after it
@example(bytes.fromhex("a203000100"))  # not in order
@example(bytes.fromhex("a101c24102"))  # a bignum
def test_bytes(payload):
    _same(payload)


def test_usual_payloads_never_reach_the_reference(monkeypatch):
    monkeypatch.setattr(quick, "understand", None)
    for payload in ({1: 3700, 2: -12, 6: True}, {1: 3700, 2: [214, -1], 3: [73, 1], -8: 900, -9: 1}, {12: 4864820, 13: -282260}):
        accepted = _accepted(cbor.dumps(payload))
        quick.read(accepted)
        assert accepted.entries[-1][:3] == (70, "direct", 0)

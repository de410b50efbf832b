"""The quick reading of payloads says what the reference says: same map, same readings, same error."""

import cbor2
from examples import examples
from hypothesis import example, given
from hypothesis import strategies as st

from firmware.wire import cbor, quantities
from firmware.wire.errors import WireError
from firmware.wire.host import rows
from firmware.wire.host.payload import entries
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


def _reference(payload, piv):
    known = cbor.loads(payload)
    return known, entries(known, piv)


def _read(read, payload, piv):
    """(error, map, entries)."""
    try:
        return None, *read(payload, piv)
    except WireError as error:
        return error.name, None, None


def _same(payload, piv=70):
    (one, known, found), (other, reference, wanted) = _read(quick.parse, payload, piv), _read(_reference, payload, piv)
    assert (one, found) == (other, wanted)
    if one is None:
        assert all(known.get(key) == reference.get(key) for key in (quantities.AGE, *range(-20, 0)))
        assert [list(map(type, e[3].values())) for e in found] == [list(map(type, e[3].values())) for e in wanted]
        if (values := quick.said(payload)) is not None:
            assert [(piv, "direct", 0, values)] == found
            assert repr(values) == repr(found[0][3])


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
    monkeypatch.setattr(quick, "loads", None)
    for payload in ({1: 3700, 2: -12, 6: True}, {1: 3700, 2: [214, -1], 3: [73, 1], -8: 900, -9: 1}, {12: 4864820, 13: -282260}):
        assert quick.parse(cbor.dumps(payload), 70)[1][-1][:3] == (70, "direct", 0)

"""What a relay and a street gateway let pass: the vectors by role, the limit for what nothing proves, windows left alone."""

import json
import string
from pathlib import Path

import gatedesk as desk
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.wire import frame, seal
from firmware.wire.errors import WireError
from firmware.wire.host.receiver import Context
from firmware.wire.host.window import Window
from gateway.street import Bucket, Sieve

VECTORS = json.loads((Path(seal.__file__).parent / "vectors/frame-v1.json").read_text())
FORM = ("short", "long", "version", "format")
_ALL = {bytes.fromhex(v["kid"]): bytes.fromhex(v["secret"]) for v in VECTORS["vectors"]}


def _contexts(kids=_ALL):
    """As a street gateway knows them: k_hop and nothing else."""
    held = {kid: seal.Keys(kid, k_hop=seal.derive(secret, kid).k_hop) for kid, secret in kids.items()}
    return {kid: Context(keys, Window()) for kid, keys in held.items()}


def _name(sieve, buf, now_s=0.0, **more):
    try:
        return sieve.judge(buf, "bridge", now_s, **more)
    except WireError as error:
        return error.name


def _tagged(n, piv, payload=b"\xa1\x03\x05"):
    return seal.seal(desk.keys(n), piv, payload, hop=True)


def _street(per_min=10, n=1):
    contexts = {desk.keys(n).kid: Context(seal.Keys(desk.keys(n).kid, k_hop=desk.keys(n).k_hop), Window())}
    return Sieve("street", contexts, per_min), contexts[desk.keys(n).kid].window


@pytest.mark.parametrize("role", ["relay", "street"])
def test_the_good_vectors_pass_as_they_are(role):
    for vector in VECTORS["vectors"]:
        buf = bytes.fromhex(vector["frame"])
        found = _name(Sieve(role, _contexts(), 10), buf)
        if role == "street" and frame.parse(buf).down:
            assert found == "dir", vector["name"]
            continue
        assert found.frame.buf == buf
        # Only a hop tag proves a frame, and only a street gateway can tell.
        assert (found.context is not None) == (role == "street" and vector["hop"])


@pytest.mark.parametrize("role", ["relay", "street"])
def test_the_bad_vectors_fail_where_the_role_can_see_it(role):
    """Form for both; key id, direction and hop tag for the street; seal and payload are a reader's to judge."""
    for vector in VECTORS["negative"]:
        buf = bytes.fromhex(vector["frame"])
        found = _name(Sieve(role, _contexts(), 10), buf)
        want = vector["error"]
        if want in FORM:
            assert found == want, vector["name"]
        elif role == "relay":
            assert found.frame.buf == buf, vector["name"]
        elif want == "hop":
            assert found == "hop", vector["name"]
        elif want != "kid":
            assert found == "dir" if frame.parse(buf).down else found.context is None, vector["name"]


def test_a_key_id_that_is_not_held():
    sieve, _ = _street()
    assert _name(sieve, _tagged(2, 1)) == "kid"


def test_a_street_gateway_drops_duplicates_and_forgeries():
    sieve, window = _street()
    whole = _tagged(1, 7)
    passed = _name(sieve, whole)
    assert (passed.frame.buf, passed.doubt) == (whole, "")
    passed.context.window.accept(7, passed.frame.tag)
    assert _name(sieve, whole) == "duplicate"
    before = window.pack()
    forged = bytearray(_tagged(1, 8))
    forged[-1] ^= 1
    assert _name(sieve, bytes(forged)) == "hop"
    forged = bytearray(_tagged(1, 9))
    forged[6] ^= 1
    assert _name(sieve, bytes(forged)) == "hop"
    assert window.pack() == before


@pytest.mark.produces("rate")
def test_frames_without_hop_tag_pass_at_a_rate_and_move_no_window():
    sieve, window = _street(per_min=10)
    forged = [seal.seal(desk.keys(1), piv, b"\xa0")[:-1] + b"?" for piv in range(2**32 - 100, 2**32)]
    names = [_name(sieve, buf, 100.0) for buf in forged]
    assert sum(name != "rate" for name in names) == 10
    assert names[10:] == ["rate"] * 90
    assert window.highest == 0, "a forger must not silence the board"
    assert _name(sieve, forged[0], 106.1) != "rate", "one more after six seconds"
    assert _name(sieve, forged[0], 106.2) == "rate"
    assert _name(sieve, _tagged(1, 1), 106.2).context is not None, "what is proven passes at any rate"
    assert sieve.judge(forged[0], "other", 106.2), "each channel has a rate of its own"
    assert _name(sieve, forged[0], 106.2, limited=False) != "rate", "another gateway has limited these"
    sieve.again()
    assert _name(sieve, forged[0], 106.2) != "rate"


def test_recorded_frames_are_passed_on_in_doubt_and_at_the_rate():
    """An old or a reused counter is an alarm of the reader's, so it must hear of it; it moves no window here either."""
    sieve, window = _street(per_min=3)
    window.accept(100, frame.parse(_tagged(1, 100)).tag)
    before = window.pack()
    assert _name(sieve, _tagged(1, 100, b"\xa0")).doubt == "reuse"
    assert _name(sieve, _tagged(1, 36)).doubt == "old"
    assert _name(sieve, _tagged(1, 36)).context is None
    assert _name(sieve, _tagged(1, 36)) == "rate"
    assert window.pack() == before


def test_a_street_gateway_can_neither_read_nor_forge():
    keys = seal.Keys(desk.keys(1).kid, k_hop=desk.keys(1).k_hop)
    whole = frame.parse(_tagged(1, 7))
    for call in (lambda: seal.unseal(keys, whole), lambda: seal.seal(keys, 8, b"\xa0", hop=True)):
        with pytest.raises(WireError, match="kid"):
            call()


@given(st.integers(1, 20), st.lists(st.floats(0, 30, allow_nan=False), max_size=200))
def test_a_bucket_never_passes_more_than_its_rate(per_min, steps):
    bucket = Bucket(per_min)
    now_s, passed = 0.0, []
    for step in steps:
        now_s += step
        if bucket.take(now_s):
            passed.append(now_s)
    for i, start in enumerate(passed):
        for j in range(i, len(passed)):
            assert j - i + 1 <= per_min + (passed[j] - start) * per_min / 60 + 1e-6


@given(st.lists(st.floats(-1e3, 1e3, allow_nan=False), max_size=50))
def test_a_bucket_survives_a_clock_that_goes_back(times):
    bucket = Bucket(3)
    span = max(times, default=0) - min(times, default=0)
    assert sum(bucket.take(now_s) for now_s in times) <= 3 + span / 20 + 1


@given(st.binary(max_size=300))
def test_any_bytes_are_judged(buf):
    for role in ("relay", "street"):
        found = _name(Sieve(role, _contexts(), 1), buf)
        assert set(found) <= set(string.ascii_lowercase) if isinstance(found, str) else found.frame.buf == buf

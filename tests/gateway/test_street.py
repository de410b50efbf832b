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
from firmware.wire.hdlc import PROTO_FRAME
from firmware.wire.host.receiver import Context
from firmware.wire.host.window import Window
from gateway import fold
from gateway.fold import Kid
from gateway.ingress.source import Source
from gateway.receive import Receiver
from gateway.store import Store
from gateway.street import Bucket, Sieve
from gateway.uplink import SEALED

VECTORS = json.loads((Path(seal.__file__).parent / "vectors/frame-v1.json").read_text())
FORM = ("short", "long", "version", "format")
_ALL = {bytes.fromhex(v["kid"]): bytes.fromhex(v["secret"]) for v in VECTORS["vectors"]}


def _contexts(kids=_ALL):
    """As a street gateway knows them: k_hop and nothing else."""
    held = {kid: seal.Keys(kid, k_hop=seal.derive(secret, kid).k_hop) for kid, secret in kids.items()}
    return {kid: Context(keys, Window()) for kid, keys in held.items()}


def _name(sieve, buf, now_s=0.0):
    try:
        return sieve.judge(buf, "bridge", now_s)
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


def test_a_quiet_year_saves_up_one_minute():
    bucket = Bucket(5)
    assert bucket.take(0.0)
    assert sum(bucket.take(3e7) for _ in range(50)) == 5


class Bench:
    """The receiver of a gateway over a store, with the keys that its role needs."""

    def __init__(self, folder, role):
        self.role = role
        self.path = folder / "store.db"
        self.store = None
        self.open()

    def open(self):
        """A new life over the same store."""
        if self.store:
            self.store.close()
        self.store = Store(self.path)
        keys = [desk.keys(n) for n in (1, 2)] if self.role != "relay" else []
        if self.role == "street":
            keys = [seal.Keys(k.kid, k_hop=k.k_hop) for k in keys]
        kids = [Kid(k, f"bin-{k.kid[1]}") for k in keys]
        self.source = Source("bridge")
        self.receiver = Receiver(self.store, kids, [self.source], "boot-1", True, role=self.role, per_min=50)

    def take(self, *frames):
        """What was said of frames that came one by one: the kinds of the events, or the name where there is one."""
        said = []
        for buf in frames:
            self.receiver.judge([(self.source, 5000.0, PROTO_FRAME, buf)], 1_800_000_000.0, 5000.0)
            taken = self.receiver.commit(self.receiver.seal(), 1_800_000_000.0, 5000.0)
            said += [e.get("name") or e["ev"] for e in taken.events]
        return said

    def rows(self):
        return self.store.rows(0, 2**63 - 1, 1000)


def test_a_street_gateways_window_is_a_fold_of_its_rows(tmp_path):
    """Killed without a word, it knows what it had passed on, and nothing that nothing proved."""
    bench = Bench(tmp_path, "street")
    window = bench.receiver.kids[b"\0\1"].window
    bare = seal.seal(desk.keys(1), 2**32 - 1, b"\xa0")
    frames = [_tagged(1, piv) for piv in (5, 3, 70, 6, 7)]
    assert bench.take(*frames[:3], bare, frames[3]) == ["passed"] * 5
    assert window.highest == 70
    before = window.pack()
    bench.open()
    assert bench.receiver.kids[b"\0\1"].window.pack() == before
    assert bench.take(frames[0], frames[2], frames[4]) == ["passed", "duplicate", "passed"]
    assert [row.frame for row in bench.rows()] == [*frames[:3], bare, frames[3], frames[0], frames[4]]
    assert [row.kid for row in bench.rows()] == [b"\0\1"] * 3 + [b""] * 3 + [b"\0\1"]
    assert {(row.kind, row.payload, row.readings) for row in bench.rows()} == {(SEALED, None, 0)}
    stored = {kid.hex(): known.stored for kid, known in bench.receiver.kids.items()}
    rows = [known.row for known in bench.receiver.kids.values()]
    assert stored == {"0001": 4, "0002": 0, "": 3}, "only what its key proves is counted as of the board"
    bench.open()
    assert [known.row for known in bench.receiver.kids.values()] == rows


def test_a_street_gateway_raises_alarms_of_what_its_key_proves(tmp_path):
    bench = Bench(tmp_path, "street")
    bench.take(_tagged(1, 100))
    assert bench.take(_tagged(1, 100, b"\xa0")) == ["passed", "reuse"]
    assert bench.take(*(_tagged(1, piv) for piv in range(1, 5))).count("old") == 1


def test_a_relay_keeps_no_key_id_of_what_it_passes_on(tmp_path):
    """Else whoever invents them would make its books grow for ever."""
    bench = Bench(tmp_path, "relay")
    strangers = [b"\x89" + n.to_bytes(4, "big") + b"\x07" + bytes(12) for n in range(20)]
    assert bench.take(*strangers) == ["passed"] * 20
    assert {row.kid for row in bench.rows()} == {b""}
    assert [row.frame for row in bench.rows()] == strangers
    bench.receiver.commit(bench.receiver.seal(folded=True), 0, 0)
    assert bench.store.read("SELECT kid, stored FROM context") == [(b"", 20)]


@pytest.mark.parametrize("role", ["street", "reader"])
def test_an_alarm_waits_for_no_company(tmp_path, role):
    """However long a group may wait to save writes, it is written when an alarm is raised; once raised, nothing hurries."""
    bench = Bench(tmp_path, role)
    bench.take(_tagged(1, 100))
    for hurries in (True, False):
        bench.receiver.judge([(bench.source, 5000.0, PROTO_FRAME, _tagged(1, 100, b"\xa0"))], 1_800_000_000.0, 5000.0)
        assert bench.receiver.urgent == hurries
        bench.receiver.commit(bench.receiver.seal(), 1_800_000_000.0, 5000.0)


@pytest.mark.parametrize("held", [("k_up", "iv", "k_hop"), ("k_up", "iv")])
@pytest.mark.parametrize("hop", [True, False])
def test_a_reader_makes_each_frame_again_byte_by_byte(tmp_path, held, hop):
    """From counter, payload and tag; with hop tag whether or not it could check that."""
    store, source = Store(tmp_path / "store.db"), Source("bridge")
    keys = seal.Keys(desk.keys(1).kid, **{name: getattr(desk.keys(1), name) for name in held})
    receiver = Receiver(store, [Kid(keys, "bin-1")], [source], "boot-1")
    whole = seal.seal(desk.keys(1), 300, b"\xa1\x03\x05", hop=hop)
    receiver.judge([(source, 5000.0, PROTO_FRAME, whole)], 1_800_000_000.0, 5000.0)
    receiver.commit(receiver.seal(), 1_800_000_000.0, 5000.0)
    (row,) = store.rows(0, 10, 10)
    assert row.frame is None
    assert fold.frame(row, keys) == whole
    assert fold.frame(row, desk.keys(2)) is None
    store.close()


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

"""What goes upstream, byte by byte: SenML (RFC 8428) and frames."""

from decimal import Decimal
from fractions import Fraction

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.wire.host.rows import BOOL, BY_KEY, BYTES, INT, ROWS
from firmware.wire.quantities import ALARM
from gateway import fold
from gateway.uplink import FILLS, OPAQUE, PLAIN, REPEAT, Row
from gateway.upstream import frames, senml
from gateway.upstream.account import Account, tally
from gateway.values import named, primary

# RFC 8428 section 12.1 (and 8798), as far as the table of quantities uses them.
SENML_UNITS = {"V", "Cel", "/", "m", "s", "lat", "lon", "%RH", "count", "m3", "m3/s"}


def row(values, *, kind=PLAIN, piv=7, unix_ms=1_800_000_000_000, rssi_dbm=-101, snr_x4=-22, kid=b"\0\1"):
    payload = None if values is None else cbor2.dumps(values)
    tag, frame = (None, None) if kind == REPEAT else (bytes(8), b"frame %d" % piv)
    take = kind in (PLAIN, REPEAT)
    return Row(1, kid, piv, kind, take, 0, unix_ms, 200, None, rssi_dbm, snr_x4, "bridge", None, payload, tag, frame)


def reading(said, base_name):
    """The records of one row."""
    return cbor2.loads(senml.pack([said], lambda _: base_name))


def plain(row, base_name):
    """The same, the plain way: a dict a record."""
    found = []
    for key, value in cbor2.loads(row.payload).items():
        _, name, kind, _, _, _, unit, divisor = BY_KEY.get(key, (key, str(key), None, 0, 0, "", "", 1))
        if key == ALARM:
            found += [{0: f"alarm{bit}", 4: True} for bit in range(value.bit_length()) if value >> bit & 1]
        elif type(value) is bool:
            found.append({0: name, 4: value})
        elif kind is None:
            label = {int: 2, bytes: 8}.get(type(value), 3)
            found.append({0: name, label: value if type(value) in (int, bytes, str) else repr(value)})
        elif kind == BYTES or unit == "vs":
            found.append({0: name, 3: value.hex() if kind == BYTES else str(value)})
        else:
            found.append({0: name, 1: unit, 2: primary(value, divisor)})
    if row.kind != REPEAT:
        found += [{0: "rssi", 1: "dBW", 2: row.rssi_dbm - 30}] if row.rssi_dbm is not None else []
        found += [{0: "snr", 1: "dB", 2: row.snr_x4 / 4}] if row.snr_x4 is not None else []
    found.append({0: "frame", 8: row.kid + row.piv.to_bytes(4, "big")})
    seconds, ms = divmod(row.unix_ms, 1000)
    found[0] |= {-2: base_name, -3: row.unix_ms / 1000 if ms else seconds}
    return found


def resolve(pack):
    """RFC 8428 section 4.6, as a consumer does it: each record with its full name and absolute time."""
    base, found = {"n": "", "t": 0}, []
    for record in cbor2.loads(pack):
        base = {"n": record.get(senml.BN, base["n"]), "t": record.get(senml.BT, base["t"])}
        assert set(record) <= {-2, -3, 0, 1, 2, 3, 4, 8}
        values = [record[key] for key in (2, 3, 4, 8) if key in record]
        assert len(values) == 1, "a record has exactly one value"
        assert base["t"] > 2**28, "an absolute time"
        found.append((base["n"] + record[0], base["t"], record.get(1), values[0]))
    return found


def test_a_pack_of_two_boards():
    rows = [row({1: 3712, 3: 73, 6: True}), row({9: -123}, kid=b"\0\2", unix_ms=1_800_000_000_250, kind=REPEAT, piv=0x10000)]
    a, b = "urn:dev:org:1-plage-bin-1_", "urn:dev:org:1-plage-buoy_"
    assert resolve(senml.pack(rows, lambda kid: a if kid == b"\0\1" else b)) == [
        (a + "battery", 1_800_000_000, "V", 3.712),
        (a + "fill", 1_800_000_000, "/", 0.73),
        (a + "occupied", 1_800_000_000, None, True),
        (a + "rssi", 1_800_000_000, "dBW", -131),
        (a + "snr", 1_800_000_000, "dB", -5.5),
        (a + "frame", 1_800_000_000, None, bytes.fromhex("000100000007")),
        (b + "water_temperature", 1_800_000_000.25, "Cel", -1.23),
        (b + "frame", 1_800_000_000.25, None, bytes.fromhex("000200010000")),
    ]


def test_the_bytes_of_one_reading():
    """Written down by hand from RFC 8428 table 4 and RFC 8949: labels, shortest floats, an integer time."""
    want = (
        "83a5 00 6466696c6c 01 612f 02 f93800 21 6278 5f 22 1a6b49d200".replace("6278 5f", "62785f")
        + "a3 00 6472737369 01 63644257 02 3882"
        "a2 00 656672616d65 08 46000100000007"
    )
    found = senml.pack([row({3: 50}, snr_x4=None)], lambda _: "x_")
    assert found.hex() == want.replace(" ", "")


@pytest.mark.parametrize("quantity", ROWS, ids=lambda q: q[1])
def test_every_quantity_of_the_table(quantity):
    key, name, kind, lowest, highest, _, unit, divisor = quantity
    if name == "age":
        return
    value = {BOOL: True, BYTES: bytes(range(4))}.get(kind, min(highest, 2**31))
    for one in {value, lowest if kind == INT else value}:
        (record, *more) = reading(row({key: one}, rssi_dbm=None, snr_x4=None), "x_")[:-1]
        if key == ALARM:
            assert (record[0], record[4]) == ("alarm31", True)
        elif unit in ("vb", "vs"):
            assert record[0] == name
            assert record[4 if unit == "vb" else 3] == (one.hex() if kind == BYTES else one if kind == BOOL else str(one))
        else:
            assert more == []
            assert unit in SENML_UNITS
            assert (record[0], record[1]) == (name, unit)
            assert Fraction(record[2]) == Fraction(one, divisor) or record[2] == float(Fraction(one, divisor))


def test_an_alarm_is_one_record_a_bit():
    found = reading(row({19: 0b1000_0101}, rssi_dbm=None, snr_x4=None), "x_")
    assert [(r[0], r.get(4)) for r in found] == [("alarm0", True), ("alarm2", True), ("alarm7", True), ("frame", None)]
    assert [r[0] for r in reading(row({19: 0}, rssi_dbm=None, snr_x4=None), "x_")] == ["frame"]


def test_a_reading_without_quantities_is_still_known_by_its_frame():
    (record,) = reading(row({}, rssi_dbm=None, snr_x4=None), "x_")
    assert record == {-2: "x_", -3: 1_800_000_000, 0: "frame", 8: bytes.fromhex("000100000007")}


def test_unknown_keys_are_forwarded_by_their_number():
    values = {22: 5, 23: True, 24: b"\1", 25: "word", 26: [1, 2], -99: 1}
    found = reading(row(values, rssi_dbm=None, snr_x4=None), "x_")[:-1]
    plain = [{key: value for key, value in record.items() if key >= 0} for record in found]
    assert plain[:3] == [{0: "22", 2: 5}, {0: "23", 4: True}, {0: "24", 8: b"\1"}]
    assert plain[3:] == [{0: "25", 3: "word"}, {0: "26", 3: "[1, 2]"}, {0: "-99", 2: 1}]


VALUES = {BOOL: st.booleans(), BYTES: st.binary(min_size=4, max_size=8)}
KNOWN = st.sampled_from([row for row in ROWS if row[1] != "age"]).flatmap(
    lambda row: st.tuples(
        st.just(row[0]), VALUES[row[2]] if row[2] in VALUES else st.integers(row[3], row[4]) | st.integers(0, min(row[4], 70))
    )
)
UNKNOWN = st.tuples(
    st.integers(22, 40) | st.integers(-40, -15),
    st.recursive(
        st.booleans() | st.integers(-(2**63), 2**63) | st.binary(max_size=9) | st.text(max_size=9), st.lists, max_leaves=4
    ),
)
SAID = st.builds(
    row,
    st.lists(KNOWN | UNKNOWN, max_size=6, unique_by=lambda pair: pair[0]).map(dict),
    kind=st.sampled_from([PLAIN, REPEAT, FILLS]),
    piv=st.integers(1, 2**32 - 1),
    unix_ms=st.integers(-(2**60), 2**60)
    | st.integers(1_700_000_000_000, 4_300_000_000_000)
    | st.integers(0, 2**40).map(lambda s: 1000 * s),
    rssi_dbm=st.none() | st.integers(-(2**31), 2**31 - 1) | st.integers(-140, 0),
    snr_x4=st.none() | st.integers(-(2**31), 2**31 - 1) | st.integers(-80, 60),
    kid=st.sampled_from([b"\0\1", b"\0\2", b"\1\2\3\4"]),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(SAID, max_size=30))
def test_the_bytes_are_those_of_the_plain_way(rows):
    want = [record for one in rows for record in plain(one, f"x-{one.kid.hex()}_")]
    assert senml.pack(rows, lambda kid: f"x-{kid.hex()}_").hex() == cbor2.dumps(want, canonical=True).hex()


def test_a_pack_of_every_size():
    for n in (0, 1, 11, 12, 127, 128, 2000):  # each has two records
        found = cbor2.loads(senml.pack([row({3: 1}, rssi_dbm=None, snr_x4=None)] * n, lambda _: "x_"))
        assert len(found) == 2 * n


def test_an_opaque_frame_is_nothing_in_senml_and_whole_in_frames():
    rows = [row(None, kind=OPAQUE), row({3: 1}, kind=REPEAT), row({3: 1}, kind=FILLS, piv=8)]
    assert [r[0] for r in cbor2.loads(senml.pack(rows, lambda _: "x_"))].count("frame") == 2
    assert cbor2.loads(frames.pack([(one, fold.frame(one, None)) for one in rows], "poste", 12)) == [
        1, "poste", 12,
        [[1_800_000_000_200, b"frame 7", -101, -22, "bridge"], [1_800_000_000_200, b"frame 8", -101, -22, "bridge"]],
    ]  # fmt: skip
    assert tally(Account("senml", False), rows) == {b"\0\1": [1, 1, 0, 0]}
    assert tally(Account("frames", True), rows) == {b"\0\1": [2, 1, 0, 0]}


@given(st.integers(-(2**40), 2**40), st.sampled_from([row[7] for row in BY_KEY.values() if row[7] > 1]))
def test_numbers_are_the_double_nearest_to_the_exact_decimal(value, divisor):
    number = primary(value, divisor)
    exact = Decimal(value) / Decimal(divisor)
    if divisor != 3_600_000:
        assert number == float(str(exact))
    assert cbor2.loads(cbor2.dumps([number], canonical=True)) == [number], "the shortest form loses nothing"


def test_values_by_name():
    assert named({1: 3712, 6: False, 16: 5, 21: b"\xab\xcd\xef\x01", 77: 3}) == {
        "battery": 3.712, "occupied": False, "people": 5, "token": "abcdef01", "77": 3
    }  # fmt: skip

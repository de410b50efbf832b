"""The rows, and readings taken out of payloads: batches and repeats."""

from wire_vectors import good, refused

from firmware.wire import cbor, quantities
from firmware.wire.host.payload import entries, validate
from firmware.wire.host.rows import BY_KEY, CONTROL_ROWS, ROWS, check


def check_rows_are_sane():
    assert [row[0] for row in ROWS] == list(range(1, 22))
    assert [row[0] for row in CONTROL_ROWS] == list(range(-1, -15, -1))
    names = set()
    for row in ROWS + CONTROL_ROWS:
        key, name, kind, lowest, highest, unit, senml, divisor = row
        assert BY_KEY[key] is row
        assert name not in names
        names.add(name)
        # The constant by which firmware names the key.
        assert getattr(quantities, name.upper()) == key
        assert kind in ("uint", "int", "bool", "bytes", "any")
        assert lowest <= highest
        assert (kind == "int") == (lowest < 0)
        assert divisor >= 1
        assert type(unit) is str
        assert (senml == "") == (key < 0 or key == quantities.AGE), name


def check_ranges():
    for row in ROWS + CONTROL_ROWS:
        key, _, kind, lowest, highest = row[:5]
        if kind in ("uint", "int"):
            assert refused(check, row, lowest) is None
            assert refused(check, row, highest) is None
            for wrong in (lowest - 1, highest + 1, True, False, "1", b"1", [1], {}):
                assert refused(check, row, wrong) == "value", (key, wrong)
        elif kind == "bool":
            assert refused(check, row, True) is None
            for wrong in (0, 1, "t", b"t", []):
                assert refused(check, row, wrong) == "value", (key, wrong)
        elif kind == "bytes":
            for n in range(lowest, highest + 1):
                assert refused(check, row, bytes(n)) is None
            for wrong in (bytes(lowest - 1), bytes(highest + 1), "text", lowest, True):
                assert refused(check, row, wrong) == "value", (key, wrong)
        else:
            for value in (0, -1, True, b"", "", [], {}):
                assert refused(check, row, value) is None


def check_the_table_of_the_protocol():
    ranges = {row[1]: row[3:5] for row in ROWS}
    assert ranges["battery"] == (0, 65535)
    assert ranges["temperature"] == (-600, 2000)
    assert ranges["state_time"] == (0, 1 << 31)
    assert ranges["water_temperature"] == (-500, 5000)
    assert ranges["wave_height"] == (0, 3000)
    assert ranges["latitude"] == (-9000000, 9000000)
    assert ranges["longitude"] == (-18000000, 18000000)
    assert ranges["token"] == (4, 8)


def check_one_reading():
    assert entries({1: 3587, 3: 73, 5: False}, 9) == [(9, "direct", 0, {1: 3587, 3: 73, 5: False})]


def check_control_and_age_are_no_values():
    payload = {3: 73, 14: 60, -1: 1767225600, -4: 2, -5: True, -7: 1, -8: 900}
    assert entries(payload, 9) == [(9, "direct", 0, {3: 73})]
    assert entries({-5: True}, 9) == [(9, "direct", 0, {})]


def check_unknown_keys_are_kept():
    odd = {3: 73, 99: [1, 2, 3], 100: "text", -50: {1: 2}}
    assert entries(odd, 9) == [(9, "direct", 0, odd)]
    batch = {3: [70, 1], 99: "x", -8: 60}
    assert entries(batch, 9) == [(9, "direct", 60, {3: 70}), (9, "direct", 0, {3: 71, 99: "x"})]


def check_a_batch():
    payload = {1: 3587, 2: [214, -1, -2, 0], 5: [False, True, True, False], -8: 900}
    assert entries(payload, 256) == [
        (256, "direct", 2700, {2: 214, 5: False}),
        (256, "direct", 1800, {2: 213, 5: True}),
        (256, "direct", 900, {2: 211, 5: True}),
        (256, "direct", 0, {1: 3587, 2: 211, 5: False}),
    ]


def check_repeats():
    payload = {2: [10, 1, 1, 1], -8: 60, -9: 2}
    assert entries(payload, 50) == [
        (48, "repeat", 180, {2: 10}),
        (49, "repeat", 120, {2: 11}),
        (50, "direct", 60, {2: 12}),
        (50, "direct", 0, {2: 13}),
    ]


def check_the_batch_of_the_vectors():
    _, _, payload = good("U4")
    found = entries(cbor.loads(payload), 256)
    assert len(found) == 8
    assert [entry[2] for entry in found] == [6300, 5400, 4500, 3600, 2700, 1800, 900, 0]
    assert found[-1][3] == {1: 3587, 2: 209, 4: 375, 5: False}
    assert len(good("U4")[1]) == 48


def check_wrong_batches():
    for payload in (
        {2: [1, 1]},  # no step
        {2: [1], -8: 60},  # one is no batch
        {2: [], -8: 60},
        {2: [1] * 49, -8: 60},
        {2: [1, 1], 3: [1, 1, 1], -8: 60},
        {3: [100, 1], -8: 60},  # leaves the range
        {3: [0, -1, 1], -8: 60},
        {3: [1, True], -8: 60},
        {3: [True, 1], -8: 60},
        {3: [1, "1"], -8: 60},
        {5: [True, 1], -8: 60},
        {5: [1, 1], -8: 60},
        {3: [[1], [1]], -8: 60},
        {12: [1, 1], -8: 60},
        {13: [1, 1], -8: 60},
        {14: [1, 1], -8: 60},
        {19: [1, 1], -8: 60},
        {20: [1, 1], -8: 60},
        {21: [b"1234", b"1234"], -8: 60},
        {3: [1, 1], -8: [60, 0]},
        {3: [1, 1], -7: [1, 1], -8: 60},
        {3: [1, 1], -8: 0},
        {3: [1, 1], -8: 60, -9: 0},
        {3: [1, 1], -8: 60, -9: 2},
        {3: [1, 1], -8: 60, -9: True},
        {3: 1, -9: 1},
    ):
        assert refused(validate, payload) == "value", payload
        assert refused(entries, payload, 99) == "value", payload
    assert refused(validate, {2: [1] * 48, -8: 60}) is None
    assert validate({2: [1, 2, 3], 1: 5, -8: 60}) == ({2: [1, 3, 6]}, 3)


def check_repeats_before_the_first_frame():
    assert refused(entries, {3: [1, 1], -8: 60, -9: 1}, 1) == "value"
    assert refused(entries, {3: [1, 1], -8: 60, -9: 1}, 2) is None

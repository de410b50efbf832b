"""The receiver's order with its state: what moves the window, what repeats give, what each role checks."""

from wire_vectors import good, refused

from firmware.wire import cbor, seal
from firmware.wire.downlink import accept_downlink
from firmware.wire.host import receiver
from firmware.wire.host.window import Window

KEYS = seal.derive(bytes(range(16)), b"\0\1")


def _contexts(keys=KEYS):
    return {keys.kid: receiver.Context(keys, Window())}


def _frame(piv, payload, hop=False):
    return seal.seal(KEYS, piv, cbor.dumps(payload) if type(payload) is dict else payload, False, hop)


def _readings(accepted):
    return [(piv, origin) for piv, origin, _, _ in accepted.entries]


def check_nothing_moves_before_the_commit():
    contexts = _contexts()
    frame = _frame(1, {3: 73})
    first = receiver.receive(contexts, frame)
    again = receiver.receive(contexts, frame)
    assert contexts[KEYS.kid].window.highest == 0
    assert first.map == again.map == {3: 73}
    first.commit()
    assert refused(receiver.receive, contexts, frame) == "duplicate"


def check_what_is_accepted():
    keys, frame, payload = good("U3")
    accepted = receiver.receive(_contexts(keys), frame)
    assert accepted.payload == payload
    assert accepted.frame.piv == 86400
    assert accepted.error is None
    assert accepted.map[12] == 5138472
    assert accepted.entries == [(86400, "direct", 0, accepted.map)]


def check_refused_frames_leave_the_window_alone():
    contexts = _contexts()
    window = contexts[KEYS.kid].window
    receiver.receive(contexts, _frame(100, {3: 1})).commit()
    before = window.pack()
    forged = bytearray(_frame(101, {3: 2}))
    forged[-1] ^= 1
    for frame in (bytes(forged), _frame(100, {3: 2}), _frame(30, {3: 2}), _frame(100, {3: 1})):
        assert refused(receiver.receive, contexts, frame) in ("auth", "reuse", "old", "duplicate")
        assert window.pack() == before


def check_late_but_within_the_window():
    contexts = _contexts()
    receiver.receive(contexts, _frame(64, {3: 1})).commit()
    late = receiver.receive(contexts, _frame(1, {3: 2}))
    late.commit()
    assert _readings(late) == [(1, "direct")]
    assert contexts[KEYS.kid].window.highest == 64


def check_authentic_but_not_understood():
    contexts = _contexts()
    for piv, payload, error in ((1, b"\xff", "cbor"), (2, cbor.dumps({3: 101}), "value")):
        accepted = receiver.receive(contexts, _frame(piv, payload))
        assert (accepted.error, accepted.payload, accepted.entries) == (error, payload, [])
        accepted.commit()
        assert refused(receiver.receive, contexts, _frame(piv, payload)) == "duplicate"


def check_repeats_of_frames_that_came_are_dropped():
    batch = {3: [10, 1, 1, 1], -8: 60, -9: 3}
    for came in range(8):
        contexts = _contexts()
        for j in (3, 2, 1):
            if came >> (j - 1) & 1:
                receiver.receive(contexts, _frame(10 - j, {3: 13 - j})).commit()
        accepted = receiver.receive(contexts, _frame(10, batch))
        want = [(10 - j, "repeat") for j in (3, 2, 1) if not came >> (j - 1) & 1]
        assert _readings(accepted) == want + [(10, "direct")], came  # noqa: RUF005
        accepted.commit()
        # A repeat touches neither bit nor tag: the frame itself is still welcome.
        for j in (3, 2, 1):
            seen = contexts[KEYS.kid].window.seen(10 - j)
            assert seen == bool(came >> (j - 1) & 1)
            name = refused(receiver.receive, contexts, _frame(10 - j, {3: 13 - j}))
            assert name == ("duplicate" if seen else None)


def check_a_repeat_below_the_window_is_given():
    contexts = _contexts()
    receiver.receive(contexts, _frame(101, {3: 5})).commit()
    accepted = receiver.receive(contexts, _frame(38, {3: [1, 1], -8: 60, -9: 1}))
    assert _readings(accepted) == [(37, "repeat"), (38, "direct")]


def check_a_stored_tag_under_other_bytes_is_a_forgery():
    contexts = _contexts()
    frame = _frame(1, {3: 73}, True)
    receiver.receive(contexts, frame).commit()
    forged = bytearray(frame)
    forged[5] ^= 1
    assert refused(receiver.receive, contexts, bytes(forged)) == "auth"
    # The copy whose hop tag suffered on its way is the same reading.
    worn = bytearray(frame)
    worn[-1] ^= 1
    assert refused(receiver.receive, contexts, bytes(worn)) == "duplicate"


def check_a_relay_looks_at_the_form_alone():
    frame = bytearray(_frame(1, {3: 73}))
    frame[-1] ^= 1
    accepted = receiver.receive({}, bytes(frame), "relay")
    assert (accepted.payload, accepted.map, accepted.entries) == (None, None, [])
    accepted.commit()
    assert refused(receiver.receive, {}, bytes(frame)[:9], "relay") == "short"


def check_a_street_gateway():
    contexts = _contexts(seal.Keys(KEYS.kid, k_hop=KEYS.k_hop))
    tagged = _frame(1, {3: 73}, True)
    accepted = receiver.receive(contexts, tagged, "street")
    assert (accepted.payload, accepted.map) == (None, None)
    accepted.commit()
    assert refused(receiver.receive, contexts, tagged, "street") == "duplicate"
    forged = bytearray(_frame(2, {3: 73}, True))
    forged[-1] ^= 1
    assert refused(receiver.receive, contexts, bytes(forged), "street") == "hop"
    assert refused(receiver.receive, contexts, _frame(3, {3: 73}), "street") is None
    assert refused(receiver.receive, contexts, good("D2")[1], "street") == "dir"


def check_a_reader_without_k_hop():
    reader = seal.Keys(KEYS.kid, k_up=KEYS.k_up, iv=KEYS.iv)
    accepted = receiver.receive(_contexts(reader), _frame(7, {3: 73}, True))
    assert accepted.map == {3: 73}


def check_a_board_accepts_its_answer():
    keys, frame, _ = good("D1")
    assert accept_downlink(keys, frame, 4660) == {-1: 1767225600, -2: 900}
    for last in (None, 0, 4659, 4661):
        assert refused(accept_downlink, keys, frame, last) == "stale"
    assert refused(accept_downlink, good("U1")[0], frame, 4660) == "kid"
    assert refused(accept_downlink, keys, good("U2")[1], 4660) == "dir"


def check_a_board_refuses_a_wrong_answer():
    def answer(payload):
        return seal.seal(KEYS, 9, payload, True)

    assert refused(accept_downlink, KEYS, answer(bytes(117)), 9) == "long"
    assert refused(accept_downlink, KEYS, answer(bytes(116)), 9) == "cbor"
    assert refused(accept_downlink, KEYS, answer(cbor.dumps({-2: -1})), 9) == "value"
    assert refused(accept_downlink, KEYS, answer(cbor.dumps({-3: 1})), 9) == "value"
    assert accept_downlink(KEYS, answer(cbor.dumps({-3: True, 77: "new"})), 9) == {-3: True, 77: "new"}
    hop = bytearray(seal.seal(KEYS, 9, b"\xa0", True, True))
    assert accept_downlink(KEYS, bytes(hop), 9) == {}
    hop[-1] ^= 1
    assert refused(accept_downlink, KEYS, bytes(hop), 9) == "hop"

"""Messages between board and daemon."""

from wire_vectors import refused

from firmware.wire import cbor, hdlc, link


def _message(line):
    ((proto, body),) = hdlc.Decoder().feed(line)
    assert proto == hdlc.PROTO_MESSAGE
    return link.parse(body)


def check_every_builder():
    assert _message(link.heard(9, b"frame", -117, -22, 4294967295)) == [1, 9, b"frame", -117, -22, 4294967295]
    assert _message(link.heard(9, b"frame", None, None, 1)) == [1, 9, b"frame", None, None, 1]
    assert _message(link.handled(70000)) == [7, 70000]
    assert _message(link.send(3, b"f", 0, {"freq_hz": 868100000, "sf": 9})) == [2, 3, b"f", 0, {"freq_hz": 868100000, "sf": 9}]
    assert _message(link.sent(3, link.LATE, 0)) == [3, 3, "late", 0]
    assert _message(link.configure(4, [("sf", 7), ("iq", "normal")])) == [4, 4, {"sf": 7, "iq": "normal"}]
    assert _message(link.configured(4, link.OK)) == [5, 4, "ok"]
    assert _message(link.hello("1.0", "e660", 3, 5, 6, 7)) == [6, "1.0", "e660", 3, 5, 6, 7]
    assert _message(link.ask_hello()) == [6]


def check_statuses():
    assert (link.OK, link.LATE, link.BUSY, link.DUTY) == ("ok", "late", "busy", "duty")


def check_unknown_and_longer_messages_pass():
    assert link.parse(cbor.dumps_link([99, "new"])) == [99, "new"]
    assert link.parse(cbor.dumps_link([7, 5, "more"])) == [7, 5, "more"]


def check_what_is_no_message():
    for value in ([], {}, 7, "text", ["7"], [None], [True], [[7]]):
        assert refused(link.parse, cbor.dumps_link(value)) == "cbor", value
    for body in (b"", b"\x82\x07", b"\x82\x07\x07\x07", b"\xff", b"\x9f\x07\xff"):
        assert refused(link.parse, body) == "cbor", body


def check_a_message_fits_an_esp32():
    radio = {"freq_hz": 868100000, "sf": 12, "power_dbm": 14, "iq": "inverted"}
    assert len(link.send(4294967295, bytes(40), 4294967295, radio)) <= 260

"""Every known answer of frame-v1.json."""

from wire_vectors import ALL, FRAMES, good, refused, registered_kid, unhex

from firmware.wire import cbor, frame, hdlc, link, seal
from firmware.wire.downlink import accept_downlink
from firmware.wire.host import receiver
from firmware.wire.host.window import Window


def _contexts(secret, kid):
    return {kid: receiver.Context(seal.derive(unhex(secret), kid), Window())}


def check_the_file_is_whole():
    assert (len(FRAMES), len(ALL["negative"]), len(ALL["state"]), len(ALL["serial"])) == (8, 28, 8, 5)


def check_key_schedule():
    for v in FRAMES:
        keys = seal.derive(unhex(v["secret"]), unhex(v["kid"]))
        assert keys.k_up == unhex(v["k_up"]), v["name"]
        assert keys.k_dn == unhex(v["k_dn"]), v["name"]
        assert keys.iv == unhex(v["common_iv"]), v["name"]
        assert keys.k_hop == unhex(v["k_hop"]), v["name"]
        assert keys.nonce(v["ctr"]) == unhex(v["nonce"]), v["name"]


def check_sealing_gives_the_very_bytes():
    for v in FRAMES:
        keys = seal.derive(unhex(v["secret"]), unhex(v["kid"]))
        down = v["direction"] == "down"
        buf = bytearray(9)
        n = frame.put_header(buf, keys.kid, v["ctr"], down, v["hop"])
        assert buf[:n] == unhex(v["header"]), v["name"]
        sealed = seal.seal(keys, v["ctr"], unhex(v["payload"]), down, v["hop"])
        assert sealed == unhex(v["frame"]), v["name"]
        assert len(sealed) == v["len"]


def check_encoding_gives_the_very_bytes():
    for v in FRAMES:
        payload = unhex(v["payload"])
        assert cbor.dumps(cbor.loads(payload)) == payload, v["name"]


def check_opening():
    for v in FRAMES:
        keys = seal.derive(unhex(v["secret"]), unhex(v["kid"]))
        found = frame.parse(unhex(v["frame"]))
        assert found.down == (v["direction"] == "down")
        assert (found.kid, found.piv, found.hop) == (keys.kid, v["ctr"], v["hop"])
        assert found.buf[: found.header_len] == unhex(v["header"])
        assert found.body == unhex(v["ct_tag"])
        assert found.tag == unhex(v["ct_tag"])[-8:]
        assert seal.unseal(keys, found) == unhex(v["payload"]), v["name"]


def check_bad_frames_at_a_gateway():
    for v in ALL["negative"]:
        data = unhex(v["frame"])
        want = v.get("error_at_gateway", v["error"])
        kid = b"\0\1" if want == "kid" else registered_kid(data)
        contexts = _contexts(v.get("secret", "00" * 16), kid)
        if v["name"].startswith("P"):
            accepted = receiver.receive(contexts, data)
            assert accepted.error == want, v["name"]
            assert accepted.payload == unhex(v["plaintext"]), v["name"]
            assert accepted.entries == []
            accepted.commit()
            assert contexts[kid].window.highest == accepted.frame.piv, v["name"]
        else:
            assert refused(receiver.receive, contexts, data) == want, v["name"]
            assert contexts[kid].window.highest == 0


def check_bad_frames_with_one_secret_and_no_registry():
    for v in ALL["negative"]:
        if v["name"].startswith("P"):
            continue
        data = unhex(v["frame"])

        def decode(data=data, v=v):
            found = frame.parse(data)
            seal.unseal(seal.derive(unhex(v["secret"]), found.kid), found)

        assert refused(decode) == v.get("error_without_registry", v["error"]), v["name"]


def check_states():
    seen = 0
    for v in ALL["state"]:
        frames = [unhex(text) for text in v["received"]]
        if v.get("role") == "device":
            keys = seal.derive(unhex(v["secret"]), frame.parse(frames[0]).kid)
            assert [refused(accept_downlink, keys, data, v["last_sent_piv"]) for data in frames] == v["verdicts"], v["name"]
            continue
        contexts = _contexts(v["secret"], frame.parse(frames[0]).kid)
        verdicts = []
        readings = {}
        for data in frames:
            try:
                accepted = receiver.receive(contexts, data)
            except receiver.WireError as error:
                verdicts.append(error.name)
                continue
            verdicts.append("ok")
            for piv, origin, _, _ in accepted.entries:
                if readings.get(piv) != "direct":
                    readings[piv] = origin
            accepted.commit()
        assert verdicts == v["verdicts"], v["name"]
        if "readings" in v:
            assert sorted(readings.items()) == [tuple(pair) for pair in v["readings"]], v["name"]
            seen += 1
    assert seen == 3


def check_window():
    window = Window()
    accepted = []
    for piv in ALL["window"]["sequence"]:
        accepted.append(window.verdict(piv) is None)
        if accepted[-1]:
            window.accept(piv, bytes(8))
    assert accepted == ALL["window"]["accept"]


def check_serial_lines():
    decoder = hdlc.Decoder()
    for v in ALL["serial"]:
        body = unhex(v["body"])
        assert hdlc.encode(v["proto"], body) == unhex(v["line"]), v["name"]
        assert decoder.feed(unhex(v["line"])) == [(v["proto"], body)], v["name"]


def check_serial_messages():
    heard, handled, send = [unhex(v["line"]) for v in ALL["serial"] if v["proto"] == hdlc.PROTO_MESSAGE]
    u1 = good("U1")[1]
    d2 = good("D2")[1]
    assert link.heard(7, u1, -117, -22, 123456) == heard
    assert link.handled(7) == handled
    radio = [("freq_hz", 868100000), ("sf", 9), ("power_dbm", 14), ("iq", "inverted")]
    assert link.send(1, d2, 124456, radio) == send

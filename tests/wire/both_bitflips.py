"""A frame with one wrong bit is never accepted, and always has a name."""

from wire_vectors import FRAMES, good, refused, unhex

from firmware.wire import frame, seal
from firmware.wire.downlink import accept_downlink
from firmware.wire.host import receiver
from firmware.wire.host.window import Window


def _flips(data):
    for bit in range(8 * len(data)):
        wrong = bytearray(data)
        wrong[bit >> 3] ^= 1 << (bit & 7)
        yield bytes(wrong)


def _kids(data, keys):
    # The registry also knows the kids that a flip can lead to, so that the tag has to find it.
    kids = [keys.kid]
    for wrong in _flips(keys.kid):
        kids.append(wrong)
    return kids


def check_at_a_gateway():
    for v in FRAMES:
        if v["direction"] != "up":
            continue
        secret = unhex(v["secret"])
        keys = seal.derive(secret, unhex(v["kid"]))
        contexts = {kid: receiver.Context(keys, Window()) for kid in _kids(v, keys)}
        names = set()
        for wrong in _flips(unhex(v["frame"])):
            name = refused(receiver.receive, contexts, wrong)
            assert name in ("short", "version", "format", "kid", "dir", "hop", "auth"), (v["name"], wrong)
            names.add(name)
        assert "auth" in names
        assert "dir" in names
        assert "version" in names
        assert ("hop" in names) == v["hop"] or "kid" in names


def check_with_a_wrong_bit_in_the_secret():
    keys, data, _ = good("U1")
    for wrong in _flips(bytes(range(16))):
        other = seal.derive(wrong, keys.kid)
        assert refused(seal.unseal, other, frame.parse(data)) == "auth"


def check_at_a_board():
    for name in ("D1", "D2"):
        keys, data, _ = good(name)
        piv = frame.parse(data).piv
        assert refused(accept_downlink, keys, data, piv) is None
        for wrong in _flips(data):
            error = refused(accept_downlink, keys, wrong, piv)
            assert error in ("short", "version", "format", "kid", "dir", "stale", "hop", "auth"), (name, wrong)

"""Key schedule, sealing, opening: published answers and the roles' missing keys."""

from wire_vectors import FRAMES, good, refused, unhex

from firmware.wire import cbor, seal
from firmware.wire.frame import FRAME_MAX, HOP_LEN, TAG_LEN, parse
from firmware.wire.service import service_key


def check_hmac_rfc_4231():
    # Test cases 1, 2 and 3.
    for key, message, want in (
        (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (b"\xaa" * 20, b"\xdd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
    ):
        assert seal.hmac_sha256(key, message) == unhex(want)


def check_hkdf_rfc_5869():
    # Test case 3, of which 32 bytes are one block: empty salt, empty info.
    want = unhex("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d")
    for length in (13, 16, 32):
        assert seal.hkdf_sha256(b"\x0b" * 22, b"", length) == want[:length]


def check_nonce_of_rfc_8613():
    # Appendix C.1.1: the client's sender nonce, whose id is empty, and the server's, whose id is 01, for PIV 0.
    iv = unhex("4622d4dd6d944168eefb54987c")
    assert seal.Keys(b"", iv=iv).nonce(0) == iv
    assert seal.Keys(b"\1", iv=iv).nonce(0) == unhex("4722d4dd6d944169eefb54987c")
    assert seal.Keys(b"", iv=iv).nonce(0x14) == unhex("4622d4dd6d944168eefb549868")


def check_a_sealer_again_and_again():
    sealers = []
    for v in FRAMES:
        keys = seal.derive(unhex(v["secret"]), unhex(v["kid"]))
        sealers.append((v, seal.Sealer(keys, v["hop"], v["direction"] == "down")))
    buf = bytearray(64)
    for _ in range(3):
        for v, sealer in sealers:
            n = cbor.dump_into(buf, 0, cbor.loads(unhex(v["payload"])))
            assert bytes(sealer.seal(v["ctr"], buf, n)) == unhex(v["frame"]), v["name"]
            n = cbor.dump_into(sealer.room, 0, cbor.loads(unhex(v["payload"])))
            assert bytes(sealer.seal(v["ctr"], sealer.room, n)) == unhex(v["frame"]), v["name"]


def check_every_length():
    for name in ("U1", "U3"):
        keys, _, _ = good(name)
        for hop in (False, True):
            room = FRAME_MAX - len(keys.kid) - 2 - TAG_LEN - (HOP_LEN if hop else 0)
            for n in range(1, room + 1):
                payload = bytes((n + i) & 255 for i in range(n))
                frame = parse(seal.seal(keys, 200, payload, False, hop))
                assert seal.unseal(keys, frame) == payload
            assert len(frame.buf) == FRAME_MAX
            assert refused(seal.seal, keys, 200, bytes(room + 1), False, hop) == "long"


def check_roles_without_a_key():
    keys, frame, payload = good("U1")
    down = parse(good("D2")[1])
    frame = parse(frame)
    reader = seal.Keys(keys.kid, k_up=keys.k_up, iv=keys.iv, k_hop=keys.k_hop)
    assert seal.unseal(reader, frame) == payload
    assert refused(seal.unseal, reader, down) == "kid"
    street = seal.Keys(keys.kid, k_hop=keys.k_hop)
    assert refused(seal.unseal, street, frame) == "kid"
    assert refused(seal.seal, reader, 1, b"x", True) == "kid"


def check_the_hop_tag():
    keys, frame, payload = good("U3")
    street = seal.Keys(keys.kid, k_hop=keys.k_hop)
    assert refused(seal.check_hop, street, parse(frame)) is None
    for i in range(1, HOP_LEN + 1):
        wrong = bytearray(frame)
        wrong[-i] ^= 1
        wrong = parse(bytes(wrong))
        assert refused(seal.check_hop, street, wrong) == "hop"
        assert refused(seal.unseal, keys, wrong) == "hop"
        # Who holds no k_hop, or has no use for it, reads on.
        reader = seal.Keys(keys.kid, k_up=keys.k_up, iv=keys.iv)
        assert seal.unseal(reader, wrong) == payload
        assert seal.unseal(keys, wrong, False) == payload


def check_another_secret_or_kid_cannot_read():
    keys, frame, _ = good("U1")
    secret = bytes(range(16))
    assert refused(seal.unseal, seal.derive(secret, b"\0\2"), parse(frame)) == "auth"
    assert refused(seal.unseal, seal.derive(bytes(16), keys.kid), parse(frame)) == "auth"
    assert refused(seal.unseal, seal.derive(secret, b"\0\0\0\1"), parse(frame)) == "auth"


def check_the_service_key():
    secret = bytes(range(16))
    assert service_key(secret, b"\0\1") == unhex("62e4fea18321075e9f11f96315b735ce")
    assert service_key(secret, b"\xab\xcd\xef\1") == unhex("57169d5eeb68ea3f7b5ddc014c5a8a49")

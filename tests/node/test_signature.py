"""The board's check of a signature, against everything that is not exactly one: forgeries made with the key itself."""

import hashlib
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from releases import Signer

TEXT = b"a manifest\n"
DIGEST = hashlib.sha256(TEXT).digest()
INFO = bytes.fromhex("3031300d060960864801650304020105000420")  # DigestInfo of SHA-256, RFC 8017 section 9.2
FILL = 384 - 3 - len(INFO) - 32
GOOD = b"\0\1" + b"\xff" * FILL + b"\0" + INFO + DIGEST

CHECK = """
import sys
from firmware.node.update import hash_of, is_signed
from binascii import unhexlify
folder = sys.argv[1]
digest = hash_of(folder + "/text")
with open(folder + "/signatures") as file:
    for line in file:
        with open(folder + "/one", "wb") as one:
            one.write(unhexlify(line.strip()))
        print(int(is_signed(folder + "/trust", digest, folder + "/one")), end="")
"""


@pytest.fixture(scope="module")
def signer():
    return Signer()


@pytest.fixture
def judged(mp, tmp_path):
    """`judged(trust, signatures)`: what the board says of each, a list of booleans."""

    def run(trust, signatures, text=TEXT):
        (tmp_path / "text").write_bytes(text)
        (tmp_path / "trust").write_bytes(trust)
        (tmp_path / "signatures").write_text("".join(signature.hex() + "\n" for signature in signatures))
        out = mp(CHECK, args=(tmp_path,))
        assert len(out) == len(signatures)
        return [letter == "1" for letter in out]

    return run


def test_the_right_one(judged, signer):
    other = Signer()
    good = signer.sign(TEXT)
    assert signer.raw(GOOD) == good
    assert judged(signer.modulus, [good]) == [True]
    assert judged(other.modulus + signer.modulus, [good, other.sign(TEXT)]) == [True, True]
    assert judged(other.modulus, [good]) == [False]
    assert judged(b"", [good]) == [False]
    assert judged(signer.modulus[:-1], [good]) == [False]
    assert judged(bytes(384), [good, bytes(384)]) == [False, False]


def test_every_part_of_the_encoded_message_counts(judged, signer):
    """A bit of it, signed with the key itself: padding and hash in steps, all the rest byte by byte."""
    places = [*range(4), *range(4, FILL, 41), *range(FILL, 384 - 32), *range(384 - 32, 384, 5), 383]
    flipped = [bytes(byte ^ (1 << i % 8) * (at == i) for i, byte in enumerate(GOOD)) for at in places]
    assert all(message != GOOD for message in flipped)
    assert judged(signer.modulus, [signer.raw(message) for message in flipped]) == [False] * len(places)
    good = signer.sign(TEXT)
    damaged = [bytes(byte ^ (at == i) for i, byte in enumerate(good)) for at in range(0, 384, 7)]
    assert not any(judged(signer.modulus, damaged))


def _info(oid: str, size: int, *, null=True) -> bytes:
    algorithm = bytes([0x06, len(oid) // 2]) + bytes.fromhex(oid) + (b"\x05\0" if null else b"")
    inner = bytes([0x30, len(algorithm)]) + algorithm + bytes([4, size])
    return bytes([0x30, len(inner) + size]) + inner


def _filled(tail: bytes, kind=1) -> bytes:
    return bytes([0, kind]) + b"\xff" * (384 - 3 - len(tail)) + b"\0" + tail


SHA256 = "608648016503040201"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("the shortest padding, garbage behind", b"\0\1" + b"\xff" * 8 + b"\0" + INFO + DIGEST + b"\xa5" * (FILL - 8)),
        ("one byte of padding less, one of garbage", b"\0\1" + b"\xff" * (FILL - 1) + b"\0" + INFO + DIGEST + b"\0"),
        ("no padding", b"\0\1\0" + INFO + DIGEST + bytes(FILL)),
        ("garbage between the padding and the hash", b"\0\1" + b"\xff" * 100 + b"\0" + bytes(FILL - 100) + INFO + DIGEST),
        ("garbage in the algorithm", _filled(b"\x30\x41\x30\x1d" + INFO[4:17] + b"\4\x0e" + bytes(14) + b"\4\x20" + DIGEST)),
        ("the hash alone", _filled(DIGEST)),
        ("padding of encryption", _filled(INFO + DIGEST, kind=2)),
        ("padding of zeros", _filled(INFO + DIGEST, kind=0)),
        ("SHA-256 without its NULL", _filled(_info(SHA256, 32, null=False) + DIGEST)),
        ("SHA-224 as the algorithm", _filled(_info("608648016503040204", 32) + DIGEST)),
        ("SHA-512", _filled(_info("608648016503040203", 64) + hashlib.sha512(TEXT).digest())),
        ("SHA-1", _filled(_info("2b0e03021a", 20) + hashlib.sha1(TEXT).digest())),
        ("MD5", _filled(_info("2a864886f70d0205", 16) + hashlib.md5(TEXT).digest())),
        ("another text", _filled(INFO + hashlib.sha256(TEXT + b"!").digest())),
        ("the message shifted by a byte", b"\0\0\1" + GOOD[2:-1]),
    ],
)
def test_forged_padding(judged, signer, name, message):
    assert len(message) == 384, name
    signature = signer.raw(message)
    assert pow(int.from_bytes(signature, "big"), 65537, signer.n) == int.from_bytes(message, "big")
    assert judged(signer.modulus, [signature, signer.raw(GOOD)]) == [False, True], name


def test_sizes_and_other_schemes(judged, signer):
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    good = signer.sign(TEXT)
    pss = signer.private.sign(TEXT, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    largest = int.from_bytes(good, "big") + signer.n
    wrong = [b"", good[:-1], good + b"\0", b"\0" + good[:-1], good[1:] + b"\0", good + good, bytes(384), b"\xff" * 384,
             bytes(383) + b"\1", (signer.n - 1).to_bytes(384, "big"), (signer.n).to_bytes(384, "big"), GOOD, pss,
             (-int.from_bytes(good, "big") % signer.n).to_bytes(384, "big"), _root(GOOD, 3), _root(GOOD, 65537)]  # fmt: skip
    wrong += [largest.to_bytes(384, "big")] if largest < 1 << 3072 else []
    assert not any(judged(signer.modulus, wrong))


def test_a_signature_has_one_form(judged, signer):
    """s and s + n open to the same message; where both fit into 384 bytes, the smaller one alone is accepted."""
    for number in range(1000):
        text = b"text %d" % number
        signature = int.from_bytes(signer.sign(text), "big")
        if signature + signer.n < 1 << 3072:
            break
    else:
        pytest.fail("no signature is small enough")
    assert pow(signature + signer.n, 65537, signer.n) == pow(signature, 65537, signer.n)
    pair = [number.to_bytes(384, "big") for number in (signature, signature + signer.n)]
    assert judged(signer.modulus, pair, text) == [True, False]


def _root(message: bytes, exponent: int) -> bytes:
    """What a verifier with a small exponent and a lax parser would take: a root of the message, rounded."""
    target = int.from_bytes(message, "big")
    low, high = 0, 1 << (3072 // exponent + 1)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if middle**exponent < target else (low, middle)
    return low.to_bytes(384, "big")


COST = """
import gc, sys, time
from firmware.node.update import hash_of, is_signed
folder = sys.argv[1]
digest = hash_of(folder + "/text")
def once():
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    start = time.ticks_us()
    assert is_signed(folder + "/trust", digest, folder + "/one")
    spent = time.ticks_diff(time.ticks_us(), start)
    made = gc.mem_alloc() - before
    gc.enable()
    return made, spent
once()
print(*once())
"""


def test_what_a_check_costs(mp, tmp_path, signer):
    """Garbage of one check on the 64-bit port, more than a board's; the time is this machine's."""
    (tmp_path / "text").write_bytes(TEXT)
    (tmp_path / "trust").write_bytes(signer.modulus)
    (tmp_path / "one").write_bytes(signer.sign(TEXT))
    made, spent_us = map(int, mp(COST, args=(tmp_path,)).split())
    print(f"{made} B of garbage, {spent_us} us")
    assert made < 4096

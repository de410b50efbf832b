"""AES-CCM on boards and hosts: NIST's answers, `cryptography` and a real MicroPython against each other."""

import json
import random
from pathlib import Path

import host_vectors
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from firmware.wire.errors import WireError
from firmware.wire.host.ccm import Ccm as HostCcm

HERE = Path(__file__).parent
BoardCcm = host_vectors.board_ccm()
NIST = host_vectors.nist_ccm()


def _random_cases(n):
    rng = random.Random(11)
    keys = [rng.randbytes(16) for _ in range(5)]
    cases = []
    for i in range(n):
        # The interesting lengths first: around the blocks of additional data (2 bytes of length in front) and of data.
        aad = rng.randbytes(1 + i % 46)
        plain = rng.randbytes(rng.choice((0, 1, 15, 16, 17, 31, 32, 33, 255, rng.randrange(256))))
        key, nonce = rng.choice(keys), rng.randbytes(13)
        sealed = AESCCM(key, 8).encrypt(nonce, plain, aad)
        cases.append({"key": key, "nonce": nonce, "aad": aad, "plain": plain, "sealed": sealed})
    return [{name: value.hex() for name, value in case.items()} for case in cases]


def _run(mp, tmp_path, cases):
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    return int(mp(HERE / "mp_ccm.py", args=[str(tmp_path / "cases.json")], heap_kb=2000))


def test_nist_has_what_we_use():
    assert len(NIST) == 10


@pytest.mark.parametrize("ccm", [BoardCcm, HostCcm])
def test_nist(ccm):
    for case in NIST:
        key, nonce, aad, plain, sealed = (bytes.fromhex(case[n]) for n in ("key", "nonce", "aad", "plain", "sealed"))
        buf = bytearray(aad + plain + bytes(8))
        assert ccm(key).seal_into(nonce, b"", buf, len(aad), len(plain)) == len(buf)
        assert buf[len(aad) :] == sealed
        assert ccm(key).open(nonce, aad, sealed, 0, len(sealed)) == plain


def test_nist_in_micropython(mp, tmp_path):
    assert _run(mp, tmp_path, NIST) == len(NIST)


def test_random_in_micropython(mp, tmp_path):
    assert _run(mp, tmp_path, _random_cases(460)) == 460


_messages = st.tuples(st.binary(min_size=13, max_size=13), st.binary(min_size=1, max_size=46), st.binary(max_size=255))


@examples(60)
@given(st.binary(min_size=16, max_size=16), st.lists(_messages, max_size=4))
def test_boards_seal_as_hosts_do(key, messages):
    """One object for all messages of a key, as on a board: what the CBC object remembers must not show."""
    board, host = BoardCcm(key), HostCcm(key)
    for nonce, aad, plain in messages:
        one, two = bytearray(aad + plain + bytes(8)), bytearray(aad + plain + bytes(8))
        assert board.seal_into(nonce, b"", one, len(aad), len(plain)) == host.seal_into(nonce, b"", two, len(aad), len(plain))
        assert one == two
        assert board.open(nonce, aad, bytes(one[len(aad) :]), 0, len(plain) + 8) == plain


@pytest.mark.parametrize("ccm", [BoardCcm, HostCcm])
@pytest.mark.produces("auth")
def test_a_wrong_bit_anywhere(ccm):
    key, nonce, aad, plain = b"k" * 16, b"n" * 13, b"header", b"twenty bytes of data"
    buf = bytearray(aad + plain + bytes(8))
    ccm(key).seal_into(nonce, b"", buf, len(aad), len(plain))
    for bit in range(8 * len(buf)):
        wrong = bytearray(buf)
        wrong[bit // 8] ^= 1 << bit % 8
        with pytest.raises(WireError, match="auth"):
            ccm(key).open(nonce, b"", bytes(wrong), len(aad), len(buf))


def test_an_interrupted_message_does_not_spoil_the_next():
    """Ctrl-C in the middle of a board's CBC leaves object and chain apart; the next message starts anew."""
    key, nonce = b"k" * 16, b"n" * 13
    ccm = BoardCcm(key)
    want = bytearray(b"h" + b"data" + bytes(8))
    ccm.seal_into(nonce, b"", want, 1, 4)

    class Interrupting:
        def __init__(self, cbc):
            self.cbc = cbc

        def encrypt(self, data, out):
            self.cbc.encrypt(data, out)
            raise KeyboardInterrupt

    ccm._cbc = Interrupting(ccm._cbc)
    with pytest.raises(KeyboardInterrupt):
        ccm.seal_into(nonce, b"", bytearray(b"h" + b"data" + bytes(8)), 1, 4)
    for _ in range(2):
        buf = bytearray(b"h" + b"data" + bytes(8))
        ccm.seal_into(nonce, b"", buf, 1, 4)
        assert buf == want

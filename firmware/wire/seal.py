"""Keys, nonce and the sealed frame (README.md, section 1). One code for boards and hosts."""

import hashlib

from .ccm import Ccm
from .errors import WireError
from .frame import FRAME_MAX, HOP_LEN, TAG_LEN, header

try:
    from hmac import digest as _hmac_c
except ImportError:
    _hmac_c = None

# The Enc_structure of RFC 9052 as far as it is always the same: ["Encrypt0", h'', ...
_AAD = b"\x83\x68Encrypt0\x40"
_AADS = tuple(_AAD + bytes((0x40 | n,)) for n in range(10))


def _hmac_sha256(key, message):
    # RFC 2104 for keys of at most 64 bytes; boards have no hmac module.
    pad = key + bytes(64 - len(key))
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in pad))
    inner.update(message)
    outer = hashlib.sha256(bytes(b ^ 0x5C for b in pad))
    outer.update(inner.digest())
    return outer.digest()


def hmac_sha256(key, message):
    """Return HMAC-SHA256 (32 bytes) of `message` (bytes) under a key of at most 64 bytes."""
    return _hmac_c(key, message, "sha256") if _hmac_c else _hmac_sha256(key, message)


def hkdf_sha256(secret, info, length):
    """Return `length` (at most 32) bytes by HKDF-SHA256 (RFC 5869) with an empty salt."""
    return hmac_sha256(hmac_sha256(bytes(32), secret), info + b"\x01")[:length]


class Keys:
    """A key context: what one role holds of one kid. k_up, k_dn, k_hop are 16 bytes, iv 13; None: not held."""

    def __init__(self, kid, k_up=None, k_dn=None, iv=None, k_hop=None):
        self.kid = kid
        self.k_up = k_up
        self.k_dn = k_dn
        self.iv = iv
        self.k_hop = k_hop
        self._up = None
        self._dn = None
        # RFC 8613 section 5.2: (length, kid on 7, PIV on 5) XOR iv; all but the PIV is the same for ever.
        self._base = 0
        if iv:
            self._base = int.from_bytes(iv, "big") ^ (len(kid) << 96) ^ (int.from_bytes(kid, "big") << 40)

    def nonce(self, piv):
        """Return the 13-byte nonce of a counter."""
        return (self._base ^ piv).to_bytes(13, "big")

    def aead(self, down):
        """Return the AES-CCM of one direction (made at its first use); WireError("kid") if the role holds no such key."""
        ccm = self._dn if down else self._up
        if ccm is None:
            key = self.k_dn if down else self.k_up
            if key is None:
                raise WireError("kid")
            ccm = Ccm(key)
            if down:
                self._dn = ccm
            else:
                self._up = ccm
        return ccm


def derive(secret, kid):
    """Return all Keys of a device: `secret` 16 bytes, `kid` 2 or 4 bytes."""

    def key(ident, kind, length):
        info = b"\x85" + bytes((0x40 | len(ident),)) + ident + b"\x44jdn1\x0a"
        info += bytes((0x60 | len(kind),)) + kind + bytes((length,))
        return hkdf_sha256(secret, info, length)

    return Keys(kid, key(kid, b"Key", 16), key(b"", b"Key", 16), key(b"", b"IV", 13), key(kid, b"Hop", 16))


def hop_tag(keys, data):
    """Return the 4-byte hop tag over header, ciphertext and AEAD tag."""
    return hmac_sha256(keys.k_hop, data)[:HOP_LEN]


def check_hop(keys, frame):
    """Raise WireError("hop") when a frame with hop tag carries a wrong one."""
    # Not in constant time: 4 bytes against a flood, at a place that an attacker cannot time.
    if hop_tag(keys, frame.buf[: frame.end]) != frame.buf[frame.end :]:
        raise WireError("hop")


def seal(keys, piv, payload, down=False, hop=False):
    """Return the frame (bytes) with `payload` (bytes, at least 1). WireError("long") over 255 bytes."""
    head = header(keys.kid, piv, down, hop)
    n = len(payload)
    size = len(head) + n + TAG_LEN
    if size + (HOP_LEN if hop else 0) > FRAME_MAX:
        raise WireError("long")
    buf = bytearray(size)
    buf[: len(head)] = head
    buf[len(head) : len(head) + n] = payload
    keys.aead(down).seal_into(keys.nonce(piv), _AADS[len(head)] + head, buf, len(head), n)
    done = bytes(buf)
    return done + hop_tag(keys, done) if hop else done


def unseal(keys, frame):
    """Return the payload (bytes) of a Frame. WireError hop (only with k_hop held), then auth."""
    if frame.hop and keys.k_hop is not None:
        check_hop(keys, frame)
    n = frame.header_len
    plain = keys.aead(frame.down).open(keys.nonce(frame.piv), _AADS[n] + frame.buf[:n], frame.body)
    if plain is None:
        raise WireError("auth")
    return plain


class Sealer:
    """A board's sealing of uplinks into one buffer that is made once.

    `seal(piv, payload, n)` returns a memoryview of the frame, valid until the next call. Without hop tag it leaves less
    than 512 bytes of garbage, `cbor.dump_into` of the payload included.
    """

    def __init__(self, keys, hop=False):
        self._keys = keys
        self._hop = hop
        self._ccm = keys.aead(False)
        self._out = bytearray(FRAME_MAX)
        self._view = memoryview(self._out)

    def seal(self, piv, payload, n):
        """Seal payload[0:n] (n >= 1) under `piv`. WireError("long") when the frame would exceed 255 bytes."""
        keys = self._keys
        out = self._out
        head = header(keys.kid, piv, False, self._hop)
        at = len(head)
        size = at + n + TAG_LEN
        if size + (HOP_LEN if self._hop else 0) > FRAME_MAX:
            raise WireError("long")
        out[:at] = head
        for i in range(n):
            out[at + i] = payload[i]
        self._ccm.seal_into(keys.nonce(piv), _AADS[at] + head, out, at, n)
        if self._hop:
            out[size : size + HOP_LEN] = hop_tag(keys, self._view[:size])
            size += HOP_LEN
        return self._view[:size]

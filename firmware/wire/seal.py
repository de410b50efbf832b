"""Keys, nonce and the sealed frame (README.md, section 1). One code for boards and hosts."""

from hashlib import sha256

from .errors import WireError
from .frame import FRAME_MAX, HEADER_MAX, HOP_LEN, TAG_LEN, put_header

try:
    from .host.ccm import Ccm
except ImportError:
    from .ccm import Ccm  # type: ignore[assignment]

# The Enc_structure of RFC 9052 up to the header, by the header's length, which is 4 to 9: ["Encrypt0", h'', header].
PREFIXES = [b"\x83\x68Encrypt0\x40" + bytes((0x40 | n,)) for n in range(4, 10)]


def hmac_sha256(key, message):
    """Return HMAC-SHA256 (RFC 2104; 32 bytes) of `message` under a key of at most 64 bytes. Boards have no hmac module."""
    key = int.from_bytes(key + bytes(64 - len(key)), "big")
    for pad in (b"\x36", b"\x5c"):
        message = sha256((key ^ int.from_bytes(pad * 64, "big")).to_bytes(64, "big") + message).digest()
    return message


def hkdf_sha256(secret, info, length):
    """Return `length` (at most 32) bytes by HKDF-SHA256 (RFC 5869) with an empty salt."""
    return hmac_sha256(hmac_sha256(b"", secret), info + b"\x01")[:length]


class Keys:
    """A key context: what one role holds of one kid. k_up, k_dn, k_hop are 16 bytes, iv 13; None: not held."""

    def __init__(self, kid, k_up=None, k_dn=None, iv=None, k_hop=None):
        self.kid = kid
        self.k_up = k_up
        self.k_dn = k_dn
        self.iv = iv
        self.k_hop = k_hop
        self._ccms = {}
        # RFC 8613 section 5.2: (length, kid on 7, PIV on 5) XOR iv; all but the PIV is the same for ever.
        self._base = int.from_bytes(iv or b"", "big") ^ (len(kid) << 96) ^ (int.from_bytes(kid, "big") << 40)

    def nonce(self, piv):
        """Return the 13-byte nonce of a counter."""
        return (self._base ^ piv).to_bytes(13, "big")

    def ccm(self, down):
        """Return the AES-CCM of one direction, made at its first use. WireError("kid") when the role has no such key."""
        if down not in self._ccms:
            key = self.k_dn if down else self.k_up
            if not key:
                raise WireError("kid")
            self._ccms[down] = Ccm(key)
        return self._ccms[down]


def derive_key(secret, ident, end):
    """Return the key of `secret` for [ident, h'6a646e31', 10, type, length], of which `end` is the CBOR of the last two."""
    return hkdf_sha256(secret, b"\x85" + bytes((0x40 | len(ident),)) + ident + b"\x44jdn1\x0a" + end, end[-1])


def derive(secret, kid):
    """Return all Keys of a device: `secret` 16 bytes, `kid` 2 or 4 bytes."""
    up, dn = derive_key(secret, kid, b"\x63Key\x10"), derive_key(secret, b"", b"\x63Key\x10")
    return Keys(kid, up, dn, derive_key(secret, b"", b"\x62IV\x0d"), derive_key(secret, kid, b"\x63Hop\x10"))


def hop_tag(keys, data):
    """Return the 4-byte hop tag over header, ciphertext and AEAD tag."""
    return hmac_sha256(keys.k_hop, data)[:HOP_LEN]


def check_hop(keys, frame):
    """Raise WireError("hop") when a frame with hop tag carries a wrong one."""
    # Not in constant time: 4 bytes against a flood, at a place that an attacker cannot time.
    if hop_tag(keys, frame.buf[: frame.end]) != frame.buf[frame.end :]:
        raise WireError("hop")


def unseal(keys, frame, hop=True):
    """Return the payload (bytes) of a Frame. WireError hop (with k_hop held, and unless hop is False), then auth."""
    if hop and frame.hop and keys.k_hop:
        check_hop(keys, frame)
    at = frame.header_len
    return keys.ccm(frame.down).open(keys.nonce(frame.piv), PREFIXES[at - 4], frame.buf, at, frame.end)


class Sealer:
    """Sealing of one direction into one buffer that is made once: a board's uplinks.

    `seal(piv, payload, n)` returns a memoryview of the frame, valid until the next call. Without hop tag it leaves less
    than 512 bytes of garbage, `cbor.dump_into` of the payload included. room: where a payload may be put together, the
    place of any header left free.
    """

    def __init__(self, keys, hop=False, down=False):
        self._keys = keys
        self._hop = hop
        self._down = down
        self._out = bytearray(FRAME_MAX)
        self._view = memoryview(self._out)
        self.room = self._view[HEADER_MAX:]

    def seal(self, piv, payload, n):
        """Seal payload[:n] (n >= 1) under `piv`. WireError("long") when the frame would exceed 255 bytes."""
        keys = self._keys
        out = self._out
        hop = self._hop
        at = put_header(out, keys.kid, piv, self._down, hop)
        if at + n + TAG_LEN + (HOP_LEN if hop else 0) > FRAME_MAX:
            raise WireError("long")
        for i in range(n):
            out[at + i] = payload[i]
        end = keys.ccm(self._down).seal_into(keys.nonce(piv), PREFIXES[at - 4], out, at, n)
        if hop:
            out[end : end + HOP_LEN] = hop_tag(keys, bytes(out[:end]))
            end += HOP_LEN
        return self._view[:end]


def seal(keys, piv, payload, down=False, hop=False):
    """Return the frame (bytes) with `payload` (bytes, at least 1). WireError("long") over 255 bytes."""
    return bytes(Sealer(keys, hop, down).seal(piv, payload, len(payload)))

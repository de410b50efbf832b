"""AES-CCM-16-64-128 (RFC 3610 with a 13-byte nonce and an 8-byte tag) out of what boards have: ECB and CBC.

The additional data is `prefix` + buf[:at], together 1 to 46 bytes; the data at most 255 bytes. A host takes the whole
mode from `cryptography` (host/ccm.py), with the same face.
"""

from cryptolib import aes

from .errors import WireError

# Shared by all keys, so that sealing allocates nothing per block: A0, A1, ... and B0, additional data, data.
_stream = bytearray(16 + 256)
_blocks = bytearray(16 + 48 + 256)


def _append(end, data, start, stop):
    # Copy data[start:stop] into the blocks and fill the last one with zeros; return its end.
    while start < stop or end & 15:
        _blocks[end] = data[start] if start < stop else 0
        start += 1
        end += 1
    return end


class Ccm:
    """CTR out of ECB, CBC-MAC out of CBC.

    A cryptolib CBC object cannot be started again, and a new one costs 320 bytes. So one is kept, and the first block
    of each message cancels what the object still holds from the last one (`_chain`).
    """

    def __init__(self, key):
        self._key = key
        self._ecb = aes(key, 1)
        self._cbc = None
        self._chain = bytearray(16)

    def _run(self, nonce, prefix, buf, at, n, opening):  # noqa: PLR0917
        # En- or decrypts in place and puts the tag behind.
        end = (n + 31) & 0x1F0
        for i in range(0, end, 16):
            _stream[i] = 1
            _stream[i + 1 : i + 14] = nonce
            _stream[i + 14] = 0
            _stream[i + 15] = i >> 4
        view = memoryview(_stream)[:end]
        self._ecb.encrypt(view, view)

        _blocks[0] = 0x59  # additional data, an 8-byte tag, a 2-byte length
        _blocks[1:14] = nonce
        _blocks[14] = _blocks[16] = 0
        _blocks[15] = n
        end = 18 + len(prefix)
        _blocks[17] = end - 18 + at
        _blocks[18:end] = prefix
        end = _append(end, buf, 0, at)
        if not opening:
            end = _append(end, buf, at, at + n)
        for i in range(n):
            buf[at + i] ^= _stream[16 + i]
        if opening:
            end = _append(end, buf, at, at + n)

        chain = self._chain
        cbc = self._cbc
        if cbc is None:
            cbc = aes(self._key, 2, bytes(16))
            chain[:] = bytes(16)
        for i in range(16):
            _blocks[i] ^= chain[i]
        view = memoryview(_blocks)[:end]
        # An interrupt between these lines leaves object and chain apart; then the next message makes a new object.
        self._cbc = None
        cbc.encrypt(view, view)
        chain[:] = view[end - 16 :]
        self._cbc = cbc
        end = at + n
        for i in range(8):
            buf[end + i] = _stream[i] ^ chain[i]
        return end + 8

    def seal_into(self, nonce, prefix, buf, at, n):
        """Encrypt buf[at:at+n] in place (bytearray), put the tag behind it and return where that ends."""
        return self._run(nonce, prefix, buf, at, n, False)

    def open(self, nonce, prefix, buf, at, end):
        """Return the plaintext of buf[at:end], ciphertext and tag. WireError("auth")."""
        plain = bytearray(buf)
        end -= 8
        self._run(nonce, prefix, plain, at, end - at, True)
        # Not in constant time: who sends by radio cannot time it.
        if plain[end : end + 8] != buf[end : end + 8]:
            raise WireError("auth")
        return bytes(plain[at:end])

"""AES-CCM-16-64-128 (RFC 3610 with a 13-byte nonce and an 8-byte tag), on what the interpreter has.

Boards have only ECB and CBC in `cryptolib`; a host has the whole mode in `cryptography`. Both give the same class.
`Ccm(key)`: `seal_into(nonce, aad, buf, start, n)` encrypts buf[start:start+n] in place and writes the tag behind it;
`open(nonce, aad, body)` returns the plaintext of body = ciphertext + tag, or None when the tag is bad.
"""

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESCCM
except ImportError:
    from cryptolib import aes

    AESCCM = None

# Room of the board's construction: B0, the AAD's two or three blocks, and at most 255 bytes, which is a whole frame.
_AAD_MAX = 46
_DATA_MAX = 255
_ZERO = bytes(16)


class _HostCcm:
    def __init__(self, key):
        aead = AESCCM(key, 8)
        self._encrypt = aead.encrypt
        self._decrypt = aead.decrypt

    def seal_into(self, nonce, aad, buf, start, n):
        buf[start : start + n + 8] = self._encrypt(nonce, bytes(buf[start : start + n]), aad)

    def open(self, nonce, aad, body):
        try:
            return self._decrypt(nonce, body, aad)
        except InvalidTag:
            return None


class _BoardCcm:
    """CTR out of ECB, CBC-MAC out of CBC, without an allocation per block: the scratch is shared by all keys.

    A cryptolib CBC object cannot be started again, and a new one costs 320 bytes. So one is kept, and the first block
    of each message cancels what the object still holds from the last one (`_chain`).
    """

    _blocks = None  # B0, AAD, data; made when the first key is
    _stream = None  # A0, A1, ...

    def __init__(self, key):
        self._key = key
        self._ecb = aes(key, 1)
        self._cbc = None
        self._chain = bytearray(16)
        if _BoardCcm._blocks is None:
            _BoardCcm._blocks = bytearray(16 + 48 + 256)
            _BoardCcm._stream = bytearray(16 + 256)

    def _keystream(self, nonce, n):
        stream = self._stream
        for i in range((n + 31) >> 4):
            at = i << 4
            stream[at] = 1
            stream[at + 1 : at + 14] = nonce
            stream[at + 14] = 0
            stream[at + 15] = i
        view = memoryview(stream)[: at + 16]
        self._ecb.encrypt(view, view)

    def _xor(self, buf, start, n):
        stream = self._stream
        for i in range(n):
            buf[start + i] ^= stream[16 + i]

    def _mac(self, nonce, aad, buf, start, n):
        # Leaves the tag in the first 8 bytes of the stream, where A0's block is.
        blocks = self._blocks
        blocks[0] = 0x59  # AAD present, 8-byte tag, 2-byte length
        blocks[1:14] = nonce
        blocks[14] = 0
        blocks[15] = n
        blocks[16] = 0
        blocks[17] = len(aad)
        end = 18 + len(aad)
        blocks[18:end] = aad
        while end & 15:
            blocks[end] = 0
            end += 1
        for i in range(n):
            blocks[end + i] = buf[start + i]
        end += n
        while end & 15:
            blocks[end] = 0
            end += 1
        if self._cbc is None:
            self._cbc = aes(self._key, 2, _ZERO)
            self._chain[:] = _ZERO
        chain = self._chain
        for i in range(16):
            blocks[i] ^= chain[i]
        view = memoryview(blocks)[:end]
        # An interrupt between these lines would leave object and chain apart; then the next message starts anew.
        cbc = self._cbc
        self._cbc = None
        cbc.encrypt(view, view)
        stream = self._stream
        for i in range(16):
            chain[i] = blocks[end - 16 + i]
        for i in range(8):
            stream[i] ^= chain[i]
        self._cbc = cbc

    def seal_into(self, nonce, aad, buf, start, n):
        if n > _DATA_MAX or not 0 < len(aad) <= _AAD_MAX:
            raise ValueError("length")
        self._keystream(nonce, n)
        self._mac(nonce, aad, buf, start, n)
        self._xor(buf, start, n)
        stream = self._stream
        for i in range(8):
            buf[start + n + i] = stream[i]

    def open(self, nonce, aad, body):
        n = len(body) - 8
        if not 0 <= n <= _DATA_MAX or not 0 < len(aad) <= _AAD_MAX:
            raise ValueError("length")
        plain = bytearray(body)
        self._keystream(nonce, n)
        self._xor(plain, 0, n)
        self._mac(nonce, aad, plain, 0, n)
        stream = self._stream
        wrong = 0
        for i in range(8):
            wrong |= stream[i] ^ body[n + i]
        return None if wrong else bytes(plain[:n])


Ccm = _HostCcm if AESCCM else _BoardCcm

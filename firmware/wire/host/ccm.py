"""AES-CCM-16-64-128 of `cryptography`, with the face of the boards' own (firmware/wire/ccm.py)."""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from firmware.wire.errors import WireError


class Ccm:
    def __init__(self, key):
        self._aead = AESCCM(key, 8)

    def seal_into(self, nonce, prefix, buf, at, n):
        """Encrypt buf[at:at+n] in place (bytearray), put the tag behind it and return where that ends."""
        end = at + n + 8
        buf[at:end] = self._aead.encrypt(nonce, bytes(buf[at : at + n]), prefix + bytes(buf[:at]))
        return end

    def open(self, nonce, prefix, buf, at, end):
        """Return the plaintext of buf[at:end], ciphertext and tag. WireError("auth")."""
        try:
            return self._aead.decrypt(nonce, buf[at:end], prefix + buf[:at])
        except InvalidTag:
            raise WireError("auth")

"""Who may ask a board's service console (README.md, section 6). Boards load it for a talk alone."""

from .seal import derive_key, hmac_sha256

MAC_LEN = 8


def service_key(secret, kid):
    """Return the key (16 bytes) of a board's service console: `secret` 16 bytes, `kid` 2 or 4 bytes."""
    return derive_key(secret, kid, b"\x63Svc\x10")


def request_mac(key, nonce, body):
    """Return the MAC of a request whose bytes before the MAC are `body`, under the board's `nonce`."""
    return hmac_sha256(key, nonce + body)[:MAC_LEN]

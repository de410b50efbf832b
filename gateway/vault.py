"""An encrypted file that is written and read as a stream: a passphrase, and chunks that cannot be cut, swapped or changed.

Layout, integers big endian:

    "JDNBAK01" | log2 n 1 | r 1 | p 1 | salt 16 | check 16 | crc32 4 |  chunk 0 | chunk 1 | ...
    chunk      AES-256-GCM of 65536 bytes (the last one: 0 to 65536) with its tag of 16
    keys       scrypt(passphrase, salt, n, r, p) -> 32 bytes to encrypt with, 32 to check with
    check      first 16 bytes of HMAC-SHA256 (second key, everything before it): tells a wrong passphrase from damage
    nonce      number of the chunk 11 | last 1; the key is of this file alone
    AAD        everything before chunk 0 | number 8 | last 1

A file of no chunk is damaged: even an empty one has its last chunk.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import os
import zlib
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from gateway.errors import HostError

MAGIC = b"JDNBAK01"
CHUNK = 1 << 16
COST = (16, 8, 1)  # log2 n, r, p: 64 MB of memory and about 0.2 s, which a Raspberry Pi has and a guesser lacks
_COST_MAX = 1 << 28  # bytes that a file may ask of whoever opens it
SALT = 16
_TAG = 16
_CHECK = 16
_HEAD = len(MAGIC) + 3 + SALT + _CHECK + 4


def affordable(cost: tuple[int, int, int]) -> bool:
    """Does a file ask for no more than its reader should pay? Whoever changed it must not get all the memory."""
    log_n, r, p = cost
    return 1 <= log_n <= 24 and r >= 1 and 1 <= p <= 4 and 128 * r << log_n <= _COST_MAX


def keys(passphrase: str, cost: tuple[int, int, int], salt: bytes) -> tuple[AESGCM, bytes]:
    """The cipher of a passphrase, and the key of `check`."""
    log_n, r, p = cost
    made = Scrypt(salt=salt, length=64, n=1 << log_n, r=r, p=p).derive(passphrase.encode())
    return AESGCM(made[:32]), made[32:]


def check(key: bytes, head: bytes) -> bytes:
    """16 bytes that tell a wrong passphrase from a damaged file."""
    return hmac.new(key, head, hashlib.sha256).digest()[:_CHECK]


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes((last,))


def _aad(head: bytes, number: int, last: bool) -> bytes:
    return head + number.to_bytes(8, "big") + bytes((last,))


class Writer(io.RawIOBase):
    """Encrypts what is written into `file`, which stays open; whole only after `finish`."""

    def __init__(self, file: BinaryIO, passphrase: str, cost: tuple[int, int, int] = COST) -> None:
        self._file = file
        salt = os.urandom(SALT)
        self._cipher, key = keys(passphrase, cost, salt)
        head = MAGIC + bytes(cost) + salt
        head += check(key, head)
        self._head = head + zlib.crc32(head).to_bytes(4, "big")
        self._waiting = bytearray()
        self._number = 0
        file.write(self._head)

    def writable(self) -> bool:
        return True

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]
        self._waiting += data
        while len(self._waiting) > CHUNK:  # a full one waits: it may be the last
            self._chunk(bytes(self._waiting[:CHUNK]), last=False)
            del self._waiting[:CHUNK]
        return len(data)

    def finish(self) -> None:
        """Write the last chunk, without which the file is refused. A writer that is only closed leaves a damaged file."""
        self._chunk(bytes(self._waiting), last=True)

    def _chunk(self, data: bytes, *, last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._number, last), data, _aad(self._head, self._number, last)))
        self._number += 1


class Reader(io.RawIOBase):
    """What a Writer wrote into `file`, of which `where` is the name to say.

    Raises HostError bad_backup (no such file of ours, cut, changed) or bad_passphrase, here and at every read: what `read` has
    given is authentic, and it is whole once `read` gives nothing more.
    """

    def __init__(self, file: BinaryIO, passphrase: str, where: str = "") -> None:
        self._file = file
        self._where = where
        self._head = file.read(_HEAD)
        if len(self._head) < _HEAD or not self._head.startswith(MAGIC):
            raise self._bad("this is no backup of ours", "name a file that `jourdain gateway backup` wrote")
        if zlib.crc32(self._head[:-4]) != int.from_bytes(self._head[-4:], "big"):
            raise self._bad("its first bytes are damaged")
        at = len(MAGIC)
        cost = (self._head[at], self._head[at + 1], self._head[at + 2])
        if not affordable(cost):
            raise self._bad("it asks for more memory than a backup needs")
        signed = self._head[: -4 - _CHECK]
        self._cipher, key = keys(passphrase, cost, signed[-SALT:])
        if not hmac.compare_digest(check(key, signed), self._head[-4 - _CHECK : -4]):
            hint = "try again; without the passphrase nobody can open it"
            raise HostError("bad_passphrase", "this backup has another passphrase", where, hint)
        self._number = 0
        self._ahead = file.read(CHUNK + _TAG)
        self._given = memoryview(b"")
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        if not self._given and not self._ended:
            self._given = memoryview(self._chunk())
        n = min(len(buffer), len(self._given))
        buffer[:n] = self._given[:n]
        self._given = self._given[n:]
        return n

    def _chunk(self) -> bytes:
        sealed, self._ahead = self._ahead, b""
        if len(sealed) == CHUNK + _TAG:
            self._ahead = self._file.read(CHUNK + _TAG)
        last = not self._ahead
        try:
            found = self._cipher.decrypt(_nonce(self._number, last), sealed, _aad(self._head, self._number, last))
        except (InvalidTag, ValueError):
            place = len(self._head) + self._number * (CHUNK + _TAG)
            what = f"it is cut or damaged in the {len(sealed)} bytes from {place} on"
            raise self._bad(what, "take another copy of it, or an older backup") from None
        self._number += 1
        self._ended = last
        return found

    def _bad(self, what: str, hint: str = "take another copy of it, or an older backup") -> HostError:
        return HostError("bad_backup", what, self._where, hint)

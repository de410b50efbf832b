"""A small JSON document under a passphrase, which is written often and opened once.

    {"jourdain": "sealed", "version": 1, "kdf": "scrypt", "cost": [16, 8, 1], "salt": hex 16 bytes, "check": hex 16 bytes,
     "cipher": "aes-256-gcm", "nonce": hex 12 bytes, "data": base64 of the document and its tag of 16 bytes}

Keys as in gateway/vault.py. The check is made of everything before it. Everything but `data` is bound to it as associated
data: its JSON with sorted keys and no blanks. A new salt is drawn with each new passphrase, a new nonce with each writing.
"""

import base64
import hmac
import json
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway import vault
from gateway.errors import HostError
from tools.i18n import _

_FIXED = {"jourdain": "sealed", "version": 1, "kdf": "scrypt", "cipher": "aes-256-gcm"}
_NONCE = 12


class Lock(NamedTuple):
    """What opens and closes the document: `head`, all of it that stays the same, and the cipher of its passphrase."""

    head: dict[str, Any]
    cipher: AESGCM


def new(passphrase: str) -> Lock:
    """A lock for a new document, or one with a new passphrase. Takes the time of one guess, about 0.2 s."""
    head = {**_FIXED, "cost": list(vault.COST), "salt": os.urandom(vault.SALT).hex()}
    cipher, key = _keys(head, passphrase)
    return Lock({**head, "check": vault.check(key, _bytes(head)).hex()}, cipher)


def unlock(document: Mapping[str, Any], passphrase: str, where: str) -> Lock:
    """The lock of a document. Raises HostError: bad_passphrase, bad_keys (damaged, or of a version that comes after ours)."""
    head = {name: value for name, value in document.items() if name not in ("nonce", "data")}
    if head.get("version") != _FIXED["version"]:
        what = _("this file is of version {version}, which this jourdain does not know").format(version=head.get("version"))
        raise HostError("bad_keys", what, where, _("install the newest jourdain"))
    signed = {name: value for name, value in head.items() if name != "check"}
    try:
        right = {name: head.get(name) for name in _FIXED} == _FIXED and vault.affordable(_cost(head))
        wanted = bytes.fromhex(head["check"])
        cipher, key = _keys(signed, passphrase) if right else (None, b"")
    except (KeyError, TypeError, ValueError):
        cipher = None
    if cipher is None:
        raise damaged(where)
    if not hmac.compare_digest(vault.check(key, _bytes(signed)), wanted):
        hint = _("try again; without the passphrase nobody can open it")
        raise HostError("bad_passphrase", _("the passphrase is another one"), where, hint)
    return Lock(head, cipher)


def seal(lock: Lock, data: bytes) -> dict[str, Any]:
    """The document that holds `data`."""
    head = {**lock.head, "nonce": os.urandom(_NONCE).hex()}
    return {**head, "data": base64.b64encode(lock.cipher.encrypt(bytes.fromhex(head["nonce"]), data, _bytes(head))).decode()}


def unseal(lock: Lock, document: Mapping[str, Any], where: str) -> bytes:
    """What `seal` was given. Raises HostError (bad_keys): damaged."""
    head = {name: value for name, value in document.items() if name != "data"}
    try:
        nonce, data = bytes.fromhex(document["nonce"]), base64.b64decode(document["data"], validate=True)
        return lock.cipher.decrypt(nonce, data, _bytes(head))
    except (KeyError, TypeError, ValueError, InvalidTag):
        raise damaged(where) from None


def damaged(where: str) -> HostError:
    """The error of a file that is not as it was written."""
    return HostError("bad_keys", _("the file of secrets is damaged"), where, _("restore it from its backup"))


def _cost(head: Mapping[str, Any]) -> tuple[int, int, int]:
    log_n, r, p = head["cost"]
    if not all(type(value) is int for value in (log_n, r, p)):
        raise TypeError
    return log_n, r, p


def _keys(head: Mapping[str, Any], passphrase: str) -> tuple[AESGCM, bytes]:
    return vault.keys(passphrase, _cost(head), bytes.fromhex(head["salt"]))


def _bytes(head: Mapping[str, Any]) -> bytes:
    return json.dumps(head, sort_keys=True, separators=(",", ":")).encode()

"""The release key: RSA with 3072 bits, made and used offline; what boards trust is its public half.

The private half lies in a PEM file under a passphrase (PKCS #8), the public half in one beside it; a file of several
public halves, one after the other, is a file of trusted keys.
"""

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key

from gateway.errors import HostError
from tools.i18n import _

BITS = 3072
EXPONENT = 65537
PASSPHRASE_MIN = 12
_PEM = re.compile(rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----\n?", re.DOTALL)


def make(path: Path, passphrase: str) -> RSAPrivateKey:
    """Make a key: its private half in `path` under the passphrase, the public one beside it (.pub). Overwrites nothing.

    Raises HostError (bad_keys, disk_error).
    """
    if len(passphrase) < PASSPHRASE_MIN:
        what = _("the passphrase has {count} characters, at least {least} are needed")
        raise HostError("bad_keys", what.format(count=len(passphrase), least=PASSPHRASE_MIN), str(path),
                        _("take several words"))  # fmt: skip
    for there in (path, public_path(path)):
        if there.exists():
            raise HostError("bad_keys", _("this file is there already, and is not overwritten"), str(there),
                            _("name another file"))  # fmt: skip
    key = generate_private_key(EXPONENT, BITS)
    kept = serialization.BestAvailableEncryption(passphrase.encode())
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, kept)
    _create(path, private, 0o600)
    _create(public_path(path), public_pem(key.public_key()), 0o644)
    return key


def public_path(path: Path) -> Path:
    """Where the public half of a private key lies."""
    return path.with_name(path.stem + ".pub")


def public_pem(key: RSAPublicKey) -> bytes:
    """A public key as PEM."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _create(path: Path, data: bytes, mode: int) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        what = _("cannot write: {error}").format(error=error)
        raise HostError("disk_error", what, str(path), _("make room, or name another place")) from None


def load(path: Path, passphrase: str) -> RSAPrivateKey:
    """The private key of a file that nobody else may read. Raises HostError (bad_keys)."""
    try:
        mode = path.stat().st_mode
        key = serialization.load_pem_private_key(path.read_bytes(), passphrase.encode())
    except OSError as error:
        raise HostError("bad_keys", _("the key cannot be read: {error}").format(error=error.strerror), str(path),
                        _("make one: jourdain release key")) from None  # fmt: skip
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise HostError("bad_keys", _("this is no release key, or its passphrase is another one"), str(path),
                        _("try again; a lost passphrase cannot be restored")) from None  # fmt: skip
    if mode & 0o077:
        what = _("the key can be read by other users of this machine")
        raise HostError("bad_keys", what, str(path), f"chmod 600 {path}")
    if not isinstance(key, RSAPrivateKey):
        raise HostError("bad_keys", _("this is no RSA key"), str(path), _("make one: jourdain release key"))
    _check(key.public_key(), path)
    return key


def trusted(paths: Iterable[Path]) -> list[RSAPublicKey]:
    """The public keys of files that hold one or several each. Raises HostError (bad_keys)."""
    found = []
    for path in paths:
        try:
            blocks = _PEM.findall(path.read_bytes())
            keys = [serialization.load_pem_public_key(block) for block in blocks]
        except (OSError, ValueError, UnsupportedAlgorithm) as error:
            raise HostError("bad_keys", _("no public key can be read: {error}").format(error=error), str(path),
                            _("name the .pub file that `jourdain release key` wrote")) from None  # fmt: skip
        if not keys:
            raise HostError("bad_keys", _("there is no public key in this file"), str(path),
                            _("name the .pub file that `jourdain release key` wrote"))  # fmt: skip
        found += [_check(key, path) for key in keys]
    return found


def _check(key: object, path: Path) -> RSAPublicKey:
    if not isinstance(key, RSAPublicKey) or key.key_size != BITS or key.public_numbers().e != EXPONENT:
        what = _("this is no RSA key of {bits} bits with the exponent {exponent}").format(bits=BITS, exponent=EXPONENT)
        raise HostError("bad_keys", what, str(path), _("make one: jourdain release key"))
    return key


def modulus(key: RSAPublicKey) -> bytes:
    """What a board keeps of a trusted key: 384 bytes."""
    return key.public_numbers().n.to_bytes(BITS // 8, "big")


def fingerprint(key: RSAPublicKey) -> str:
    """The name of a key on screens: the first 16 hexadecimal digits of its modulus' SHA-256."""
    return hashlib.sha256(modulus(key)).hexdigest()[:16]


def sign(key: RSAPrivateKey, manifest: bytes) -> bytes:
    """The signature of a manifest: 384 bytes, PKCS #1 v1.5 with SHA-256."""
    return key.sign(manifest, padding.PKCS1v15(), hashes.SHA256())


def signer(keys: Iterable[RSAPublicKey], manifest: bytes, signature: bytes) -> RSAPublicKey | None:
    """The one of `keys` that made the signature, or None."""
    for key in keys:
        try:
            key.verify(signature, manifest, padding.PKCS1v15(), hashes.SHA256())
            return key
        except InvalidSignature:
            continue
    return None

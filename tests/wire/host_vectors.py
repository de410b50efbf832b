"""What only CPython's tests share: NIST's CCM answers, and the boards' CCM over a cryptolib made of `cryptography`."""

import importlib
import re
import sys
import types
from pathlib import Path

import cryptography_vectors
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


def nist_ccm():
    """NIST CAVP's cases with 16-byte key, 13-byte nonce and 8-byte tag: dicts of hex key, nonce, aad, plain, sealed, good."""
    folder = Path(cryptography_vectors.__file__).parent / "ciphers/AES/CCM"
    cases = []
    for path in sorted(folder.glob("*128.rsp")):
        sizes, case = {}, {}
        for line in path.read_text().splitlines():
            for name, size in re.findall(r"(\w+) = (\d+)\b(?=[,\]])", line) if line.startswith("[") else ():
                sizes[name] = int(size)
            found = re.match(r"(\w+) = (\S+)$", line)
            if not found:
                continue
            name, value = found.groups()
            if name in ("Alen", "Plen", "Nlen", "Tlen"):
                sizes[name] = int(value)
            case[name] = value
            if name == "CT" and sizes.get("Nlen") == 13 and sizes.get("Tlen") == 8 and "Payload" in case:
                aad = case["Adata"] if sizes["Alen"] else ""
                plain = case["Payload"] if sizes["Plen"] else ""
                cases.append({"key": case["Key"], "nonce": case["Nonce"], "aad": aad, "plain": plain, "sealed": value})
    return cases


class _Aes:
    def __init__(self, key, mode, iv=None):
        how = {1: modes.ECB, 2: modes.CBC}[mode]
        self._encryptor = Cipher(algorithms.AES(key), how(iv) if iv else how()).encryptor()

    def encrypt(self, data, out):
        out[:] = self._encryptor.update(bytes(data))


def board_ccm():
    """The class Ccm of firmware/wire/ccm.py, importable under CPython thanks to a cryptolib with ECB and CBC alone."""
    sys.modules.setdefault("cryptolib", types.SimpleNamespace(aes=_Aes))
    return importlib.import_module("firmware.wire.ccm").Ccm

"""Releases for the updater's tests: made and signed here, written as numbered parts that MicroPython reads."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa

from gateway import bundle
from tools.release import keys

KIND = "pico node bin radio sx126x a02yyuw"
BITS = 3072


def code(name: str, size: int) -> bytes:
    """Something with the first two bytes of bytecode."""
    return (b"M\x06" + name.encode() * size)[:size]


OLD = {
    "firmware/__init__.mpy": code("init", 70),
    "firmware/node/app.mpy": code("app", 700),
    "firmware/node/gone.mpy": code("gone", 90),
    "firmware/radio/old/make.mpy": code("make", 40),
    "firmware/wire/cbor.mpy": code("cbor", 1500),
    "modules": b"firmware.wire.cbor\nfirmware.node.app\n",
}
# One file is new, one has changed, three are gone, and two are the same.
NEW = {
    "firmware/__init__.mpy": OLD["firmware/__init__.mpy"],
    "firmware/node/app.mpy": code("app2", 690),
    "firmware/wire/cbor.mpy": OLD["firmware/wire/cbor.mpy"],
    "firmware/wire/more/new.mpy": code("new", 128),
    "modules": b"firmware.wire.cbor\nfirmware.wire.more.new\nfirmware.node.app\n",
}


class Signer:
    """A release key, and the raw operation of RSA with it."""

    def __init__(self) -> None:
        self.private = rsa.generate_private_key(65537, BITS)
        self.modulus = keys.modulus(self.private.public_key())
        self.n = int.from_bytes(self.modulus, "big")
        self.numbers = self.private.private_numbers()

    def sign(self, manifest: bytes) -> bytes:
        return keys.sign(self.private, manifest)

    def raw(self, encoded: bytes) -> bytes:
        """encoded ^ d mod n: what a verifier opens to exactly `encoded`."""
        numbers, c = self.numbers, int.from_bytes(encoded, "big")
        m1, m2 = pow(c, numbers.dmp1, numbers.p), pow(c, numbers.dmq1, numbers.q)
        return (m2 + (numbers.iqmp * (m1 - m2) % numbers.p) * numbers.q).to_bytes(BITS // 8, "big")


def manifest(files=NEW, release=2, kind=KIND, mpy=6):
    """A manifest, whatever it says."""
    return bundle.compose(kind, release, "0.2.0", files).replace(b"\nmpy 6\n", b"\nmpy %d\n" % mpy)


def put(folder: Path, text: bytes, signature: bytes, files=NEW, trust=b"") -> Path:
    """Write the parts into a folder, and beside them what the board trusts."""
    folder.mkdir(parents=True)
    for number, data in enumerate((text, signature, *(data for _, data in sorted(files.items())))):
        (folder / str(number)).write_bytes(data)
    (folder / "trust").write_bytes(trust)
    return folder

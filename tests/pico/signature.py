"""The check of a release's signature on the chip: RSA-3072, PKCS#1 v1.5, SHA-256, by pow() over the whole encoded message."""

import json
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from emulator import Pico
from image import disk

MANIFEST = b"".join(b"%064x %d firmware/node/module%d.mpy\n" % (i, 1000 + i, i) for i in range(40))
MAIN = b"""
import gc, hashlib, json, time
HEAD = b"\\x30\\x31\\x30\\x0d\\x06\\x09\\x60\\x86\\x48\\x01\\x65\\x03\\x04\\x02\\x01\\x05\\x00\\x04\\x20"
def check(n, signature, message):
    want = b"\\0\\1" + b"\\xff" * 330 + b"\\0" + HEAD + hashlib.sha256(message).digest()
    return pow(int.from_bytes(signature, "big"), 65537, int.from_bytes(n, "big")).to_bytes(384, "big") == want
def measure(signature):
    gc.collect()
    gc.disable()
    before, begun = gc.mem_alloc(), time.ticks_us()
    right = check(n, signature, message)
    return right, time.ticks_diff(time.ticks_us(), begun), gc.mem_alloc() - before
n, signature, message = [open(name, "rb").read() for name in ("n", "signature", "manifest")]
false = bytes([signature[0] ^ 1]) + signature[1:]
print("rsa", json.dumps([measure(signature), measure(false)]))
"""


def signature_check(uf2: Path) -> list[list[float]]:
    """[accepted, ms of chip time, bytes of garbage] for a good signature and for a false one."""
    key = rsa.generate_private_key(65537, 3072)
    signature = key.sign(MANIFEST, padding.PKCS1v15(), hashes.SHA256())
    n = key.public_key().public_numbers().n.to_bytes(384, "big")
    pico = Pico(uf2, disk({"main.py": MAIN, "n": n, "signature": signature, "manifest": MANIFEST}))
    pico.run(lambda: "rsa " in pico.text and ">>>" in pico.text, chip_s=10, wall_s=120)
    found = json.loads(pico.text.partition("rsa ")[2].splitlines()[0])
    return [[accepted, us / 1000, garbage] for accepted, us, garbage in found]

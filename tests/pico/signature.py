"""The check of a release's signature on the chip, by the board's own updater out of its own slot."""

import json
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from emulator import Pico
from image import disk

from gateway.inventory import Inventory
from tools.flash.build import build_slot

MANIFEST = b"".join(b"%064x %d firmware/node/module%d.mpy\n" % (i, 1000 + i, i) for i in range(40))
MAIN = b"""
import gc, json, sys, time
sys.path.insert(0, "/a")
from firmware.node.update import hash_of, is_signed
def measure(signature):
    digest = hash_of("/manifest")
    gc.collect()
    gc.disable()
    before, begun = gc.mem_alloc(), time.ticks_us()
    right = is_signed("/trust", digest, signature)
    return right, time.ticks_diff(time.ticks_us(), begun), gc.mem_alloc() - before
print("rsa", json.dumps([measure("/signature"), measure("/false")]))
"""


class Check(NamedTuple):
    """One check: chip time in ms, garbage in bytes."""

    accepted: bool
    ms: float
    garbage_bytes: int


def signature_check(uf2: Path, fleet: Inventory, name: str) -> list[Check]:
    """A good signature and one with a wrong bit, each checked by the slot of a board of the fleet; one key is trusted."""
    key = rsa.generate_private_key(65537, 3072)
    signature = key.sign(MANIFEST, padding.PKCS1v15(), hashes.SHA256())
    files = {
        **build_slot(fleet.boards[name]),
        "main.py": MAIN,
        "trust": key.public_key().public_numbers().n.to_bytes(384, "big"),
        "manifest": MANIFEST,
        "signature": signature,
        "false": signature[:-1] + bytes([signature[-1] ^ 1]),
    }
    pico = Pico(uf2, disk(files))
    pico.run(lambda: "rsa " in pico.text and ">>>" in pico.text, chip_s=10, wall_s=120)
    found = json.loads(pico.text.partition("rsa ")[2].splitlines()[0])
    return [Check(accepted, us / 1000, garbage) for accepted, us, garbage in found]

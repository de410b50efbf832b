"""Run in MicroPython: argv[1] is a JSON list of cases; prints how many sealed and opened right on the boards' AES-CCM."""

import json
import sys

from firmware.wire.ccm import Ccm
from firmware.wire.errors import WireError

with open(sys.argv[1]) as file:
    CASES = json.load(file)


def opens(ccm, nonce, buf, at):
    try:
        return ccm.open(nonce, b"", buf, at, len(buf))
    except WireError as error:
        return error.name


done = 0
ccms = {}
for case in CASES:
    key, nonce, aad, plain, sealed = [bytes.fromhex(case[name]) for name in ("key", "nonce", "aad", "plain", "sealed")]
    if key not in ccms:
        ccms[key] = Ccm(key)
    ccm = ccms[key]
    cut = len(plain) % (len(aad) + 1)
    buf = bytearray(aad[cut:] + plain + bytes(8))
    at = len(aad) - cut
    end = ccm.seal_into(nonce, aad[:cut], buf, at, len(plain))
    assert end == len(buf)
    assert bytes(buf[at:]) == sealed, case
    assert opens(ccm, nonce, aad + sealed, len(aad)) == plain, case
    wrong = bytearray(aad + sealed)
    wrong[done * 7 % len(wrong)] ^= 1 << (done & 7)
    assert opens(ccm, nonce, bytes(wrong), len(aad)) == "auth", case
    done += 1
print(done)

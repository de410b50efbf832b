"""What a board accepts as the answer to its uplink (README.md, section 1, Downlink)."""

from .cbor import loads
from .errors import WireError
from .frame import DOWNLINK_MAX, parse
from .quantities import BY_KEY, check
from .seal import unseal


def accept_downlink(keys, buf, last_piv):
    """Return the payload (dict) of the one answer that a board waits for; last_piv: the PIV it has just sent.

    WireError: the form's names, long (over 128), kid, dir, stale, hop, auth, cbor, value. After it returned, or sent
    again, the caller forgets last_piv (None: nothing is awaited).
    """
    frame = parse(buf)
    if len(buf) > DOWNLINK_MAX:
        raise WireError("long")
    if frame.kid != keys.kid:
        raise WireError("kid")
    if not frame.down:
        raise WireError("dir")
    if frame.piv != last_piv:
        raise WireError("stale")
    answer = loads(unseal(keys, frame))
    for key in answer:
        if key in BY_KEY:
            check(BY_KEY[key], answer[key])
    return answer

"""What a board accepts as the answer to its uplink (README.md, section 1, Downlink)."""

from .cbor import loads
from .errors import WireError, const
from .frame import parse
from .quantities import COMMAND, INTERVAL, MORE, TIME
from .seal import unseal

_DOWNLINK_MAX = const(128)
# What an answer can ask of a board. Other keys are for a later firmware, which judges them itself.
_TYPES: dict = {TIME: int, INTERVAL: int, MORE: bool, COMMAND: int}


def accept_downlink(keys, buf, last_piv):
    """Return the payload (dict) of the one answer that a board waits for; last_piv: the PIV it has just sent.

    WireError: the form's names, long (over 128), kid, dir, stale, hop, auth, cbor, value. After it returned, or sent
    again, the caller forgets last_piv (None: nothing is awaited).
    """
    frame = parse(buf)
    name = None
    if len(buf) > _DOWNLINK_MAX:
        name = "long"
    elif frame.kid != keys.kid:
        name = "kid"
    elif not frame.down:
        name = "dir"
    elif frame.piv != last_piv:
        name = "stale"
    if name:
        raise WireError(name)
    answer = loads(unseal(keys, frame))
    for key, kind in _TYPES.items():
        value = answer.get(key, kind())
        if type(value) is not kind or value < 0:
            raise WireError("value")
    return answer

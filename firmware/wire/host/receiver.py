"""The receiver's order (firmware/wire/README.md, section 1, Receiver): from bytes to an accepted frame, or a named error."""

from firmware.wire.cbor import loads
from firmware.wire.errors import WireError
from firmware.wire.frame import FRAME_MAX, TAG_LEN, parse
from firmware.wire.seal import PREFIXES, check_hop, unseal

from .payload import REPEAT, entries

RELAY = "relay"
STREET = "street"


class Context:
    """A kid as one gateway knows it: `keys` (seal.Keys), `window` (window.Window)."""

    def __init__(self, keys, window):
        self.keys = keys
        self.window = window


class Accepted:
    """A frame that passed. The window is moved by `commit()` only, after the caller's transaction.

    context (None for a relay), frame, payload (bytes; None where the role cannot read), map (dict or None),
    error (None, "cbor" or "value": authentic, but not to be understood), entries (as payload.entries gives them, without
    repeats of frames that were seen themselves).
    """

    __slots__ = ("context", "entries", "error", "frame", "map", "payload")

    def __init__(self, context, frame, payload=None):
        self.context = context
        self.frame = frame
        self.payload = payload
        self.map = None
        self.error = None
        self.entries = []

    def commit(self):
        """Move the window: the frame is stored."""
        if self.context:
            self.context.window.accept(self.frame.piv, self.frame.tag)


def receive(contexts, buf, role="reader"):
    """Return what is Accepted of `buf` (bytes), or raise WireError with the first name in the receiver's order.

    contexts: mapping of kid (bytes) to Context. role: "relay" looks at the form alone, "street" checks the hop tag where
    there is one (the caller limits the rate of the others), "reader" and "controller" open the frame.
    """
    accepted = authenticate(contexts, buf, role)
    if accepted.payload is not None:
        understand(accepted)
    return accepted


def authenticate(contexts, buf, role="reader"):
    """The first half of `receive`: all but the meaning of the payload."""
    if role not in (RELAY, STREET):
        accepted = _usual(contexts, buf)
        if accepted:
            return accepted
    frame = parse(buf)
    if role == RELAY:
        return Accepted(None, frame)
    context = contexts.get(frame.kid)
    if not context:
        raise WireError("kid")
    if frame.down:
        raise WireError("dir")
    window = context.window
    piv = frame.piv
    same = piv <= window.highest and window.duplicate(piv, frame.tag)
    if role == STREET:
        if same:
            raise WireError("duplicate")
        if frame.hop:
            check_hop(context.keys, frame)
        return Accepted(context, frame)
    # The tag seen before, but under other bytes, is a forgery: only what opens is a duplicate.
    payload = unseal(context.keys, frame, not same)
    if same:
        raise WireError("duplicate")
    verdict = window.verdict(piv)
    if verdict:
        raise WireError(verdict)
    return Accepted(context, frame, payload)


class _Usual:
    """What a firmware.wire.frame.Frame says, without the judging."""

    __slots__ = ("body", "buf", "down", "end", "header_len", "hop", "kid", "piv", "tag")

    def __init__(self, buf, at, kid, piv):
        self.buf = buf
        self.header_len = at
        self.down = self.hop = False
        self.end = len(buf)
        self.kid = kid
        self.piv = piv
        self.body = buf[at:]
        self.tag = buf[-TAG_LEN:]


def _usual(contexts, buf):
    # An uplink with a short kid and no hop tag that is newer than all of its kid: nothing to refuse but its tag. Half the work.
    size = len(buf)
    at = (buf[0] & 7) + 3 if size else 0
    if not (4 <= at < 8 and at + TAG_LEN < size <= FRAME_MAX and buf[0] & 0xF8 == 0x80 and buf[3]):
        return None
    kid = buf[1:3]
    context = contexts.get(kid)
    piv = int.from_bytes(buf[3:at], "big")
    if not context or piv <= context.window.highest:
        return None
    frame = _Usual(buf, at, kid, piv)
    keys = context.keys
    return Accepted(context, frame, keys.ccm(False).open(keys.nonce(piv), PREFIXES[at - 4], buf, at, size))


def understand(accepted):
    """The second half of `receive`: sets map and entries, or error, from the payload."""
    try:
        accepted.map = loads(accepted.payload)
        found = entries(accepted.map, accepted.frame.piv)
        if len(found) > 1:
            seen = accepted.context.window.seen
            found = [e for e in found if e[1] != REPEAT or not seen(e[0])]
        accepted.entries = found
    except WireError as error:
        accepted.error = error.name

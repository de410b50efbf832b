"""The receiver's order (firmware/wire/README.md, section 1, Receiver): from bytes to an accepted frame, or a named error."""

from firmware.wire.cbor import loads
from firmware.wire.errors import WireError
from firmware.wire.frame import parse
from firmware.wire.seal import check_hop, unseal

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

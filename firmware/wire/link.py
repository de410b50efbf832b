"""Messages between board or radio bridge and daemon (README.md, section 3): builders and the parser.

Each builder returns the complete bytes for the serial line. t_ms and at_ms are the board's monotonic ms, unsigned 32 bit;
a radio is a dict, or a list of (name, value), of freq_hz sf bw_hz cr power_dbm iq sync.
"""

from .cbor import Pairs, dumps_link, loads_link
from .errors import WireError
from .hdlc import PROTO_MESSAGE, encode

HEARD = 1
SEND = 2
SENT = 3
CONFIGURE = 4
CONFIGURED = 5
HELLO = 6
HANDLED = 7

OK = "ok"
LATE = "late"
BUSY = "busy"
DUTY = "duty"


def _message(*items):
    return encode(PROTO_MESSAGE, dumps_link(items))


def _builder(number):
    return lambda *items: _message(number, *items)


# heard(seq, frame, rssi_dbm, snr_x4, t_ms): a frame was heard; a wired board gives None for rssi and snr.
heard = _builder(HEARD)

# handled(seq): every frame up to seq is on disk.
handled = _builder(HANDLED)

# sent(ident, status, toa_us): answer to send; OK, LATE, BUSY or DUTY, and the time on air in us.
sent = _builder(SENT)

# configured(ident, status): answer to configure.
configured = _builder(CONFIGURED)

# hello(firmware, uid, caps, t_ms, heard, overflow): who the board is, and how many frames it has heard and lost since its
# boot. ask_hello() asks for it.
hello = ask_hello = _builder(HELLO)


def send(ident, frame, at_ms, radio):
    """Send `frame` when the board's clock shows at_ms (0: now)."""
    return _message(SEND, ident, frame, at_ms, Pairs(radio))


def configure(ident, radio):
    """Set the radio."""
    return _message(CONFIGURE, ident, Pairs(radio))


def parse(body):
    """Return the message in `body` (bytes) as a list, its first element the message's number. WireError("cbor")."""
    message = loads_link(body)
    if type(message) is not list or not message or type(message[0]) is not int:
        raise WireError("cbor")
    return message

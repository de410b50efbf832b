"""Messages between board or radio bridge and daemon (README.md, section 3): builders and the parser.

Each builder returns the complete bytes for the serial line.
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


def _radio(radio):
    return radio if isinstance(radio, dict) else Pairs(radio)


def heard(seq, frame, rssi_dbm, snr_x4, t_ms):
    """A frame was heard. t_ms: the bridge's monotonic ms, unsigned 32 bit; a wired board gives None for rssi and snr."""
    return _message(HEARD, seq, frame, rssi_dbm, snr_x4, t_ms)


def handled(seq):
    """Every frame up to `seq` is on disk."""
    return _message(HANDLED, seq)


def send(ident, frame, at_ms, radio):
    """Send `frame` when the bridge's clock shows at_ms (0: now). radio: list of (name, value), or a dict."""
    return _message(SEND, ident, frame, at_ms, _radio(radio))


def sent(ident, status, toa_us):
    """Answer to `send`: status OK, LATE, BUSY or DUTY, time on air in us."""
    return _message(SENT, ident, status, toa_us)


def configure(ident, radio):
    """Set the radio: list of (name, value), or a dict; names freq_hz sf bw_hz cr power_dbm iq sync."""
    return _message(CONFIGURE, ident, _radio(radio))


def configured(ident, status):
    """Answer to `configure`."""
    return _message(CONFIGURED, ident, status)


def hello(firmware, uid, caps, t_ms, heard, overflow):  # noqa: PLR0917
    """Who the board is; `heard` and `overflow` count frames since its boot."""
    return _message(HELLO, firmware, uid, caps, t_ms, heard, overflow)


def ask_hello():
    """Ask for a hello."""
    return _message(HELLO)


def parse(body):
    """Return the message in `body` (bytes) as a list, its first element the message's number. WireError("cbor")."""
    message = loads_link(body)
    if type(message) is not list or not message or type(message[0]) is not int:
        raise WireError("cbor")
    return message

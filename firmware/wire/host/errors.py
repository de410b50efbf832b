"""Names that no board needs as a list: why a frame is refused, and what goes wrong on a host, the daemon and the tools.

With what a board reports of itself (firmware/wire/errors.py) they are one table. The class of HOST_ERRORS is
gateway.errors.HostError.
"""

from firmware.wire.errors import CODES

# number under key -7 -> name.
_WORDS = CODES.split()
DEVICE_ERRORS = {int(_WORDS[i]): _WORDS[i + 1] for i in range(0, len(_WORDS), 2)}

# Why a frame is not accepted, in the order of the receiver's checks (firmware/wire/README.md, section 1, Receiver), then the
# board's own `stale`. `rate` and `retired` are a gateway's own rules; `cbor` and `value` judge the payload of a frame that is
# authentic.
FRAME_ERRORS = (
    "short", "long", "version", "format", "kid", "dir", "duplicate", "hop", "rate", "auth", "reuse", "old", "retired",
    "cbor", "value", "stale",
)  # fmt: skip

HOST_ERRORS = (
    "no_port", "port_busy", "disk_full", "disk_error", "bad_store", "bad_config", "bad_inventory", "broker_refused",
    "mismatch", "ambiguous", "no_device", "transfer", "bad_keys", "test_key", "timeout", "unknown_board",
    "bad_release", "device_fault", "missing_tool", "compile", "unexpected", "restored", "no_controller", "never_heard",
    "unknown_command", "no_store", "excess_keys", "no_clock",
    "file_exists", "bad_backup", "bad_passphrase", "bad_certificate", "no_windows",
    "disk_readonly", "newer_store", "bad_record", "repl_closed", "no_image", "bad_image", "bad_bundle",
    "partial", "unconfirmed",
)  # fmt: skip

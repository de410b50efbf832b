"""Names of what goes wrong on a host: the daemon and the tools. The class is gateway.errors.HostError.

They belong to the table of firmware/wire/errors.py, but no board carries them.
"""

HOST_ERRORS = (
    "no_port", "port_busy", "disk_full", "disk_error", "bad_store", "bad_config", "bad_inventory", "broker_refused",
    "mismatch", "ambiguous", "no_device", "transfer", "bad_keys", "test_key", "timeout", "unknown_board",
    "device_fault", "missing_tool", "compile", "unexpected",
)  # fmt: skip

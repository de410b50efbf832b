"""Frees what only the start needs, this module too: on a board that is a tenth of the application."""

import gc
import sys

# What is inside a package comes before it.
_START = (
    "firmware.node.start", "firmware.node.config", "firmware.node.hardware", "firmware.node.plan", "firmware.node.forget",
    "firmware.node.watched", "firmware.node.absent", "firmware.node.safe",
    "firmware.node.update_radio", "firmware.node.update", "firmware.node.manifest", "firmware.node.restore",
    "firmware.node.settings", "firmware.node.pair", "firmware.node.orders", "firmware.wire.downlink",
    "firmware.services.calibration",
    "firmware.bridge.start", "firmware.radio.sx126x.make", "firmware.sensors.buses", "firmware.sensors",
    "firmware.ports.unix", "firmware.ports.rp2", "firmware.ports.esp32", "firmware.ports",
)  # fmt: skip


def forget_start():
    """Free the modules that only the start needs."""
    for path in _START:
        if sys.modules.pop(path, None):
            package, _, name = path.rpartition(".")
            delattr(sys.modules[package], name)
    gc.collect()

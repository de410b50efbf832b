"""Frames as they came, byte by byte, for whoever holds the keys further up."""

from __future__ import annotations

from collections.abc import Iterable

import cbor2

from gateway.uplink import Row

CONTENT_TYPE = "application/cbor"
VERSION = 1


def pack(rows: Iterable[tuple[Row, bytes | None]], gateway: str, batch: int) -> bytes:
    """[1, gateway, batch, [[unix_ms, frame, rssi_dbm, snr_x4, channel], ...]]; unix_ms: when the reception ended."""
    frames = [[row.heard_ms, frame, row.rssi_dbm, row.snr_x4, row.channel] for row, frame in rows if frame is not None]
    return cbor2.dumps([VERSION, gateway, batch, frames])

"""SenML (RFC 8428) in CBOR: one pack a batch, in primary units.

Numbers: what has a divisor is divided once, which gives the double nearest to the exact decimal (3712 mV -> 3.712 V); it is
written in the shortest of CBOR's float forms that holds it. Counts and seconds stay integers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import cbor2

from firmware.wire.host.rows import BOOL, BY_KEY, BYTES
from firmware.wire.quantities import ALARM
from gateway.store import REPEAT, Row
from gateway.values import primary

CONTENT_TYPE = "application/senml+cbor"
BN, BT, N, U, V, VS, VB, VD = -2, -3, 0, 1, 2, 3, 4, 8

Record = dict[int, Any]


def pack(rows: Iterable[Row], base_name: Callable[[bytes], str]) -> bytes:
    """A SenML pack of these readings; `base_name` of a key id ends with "_". Opaque frames say nothing here."""
    records: list[Record] = []
    for row in rows:
        if row.payload is not None:
            records += reading(row, base_name(row.kid))
    return cbor2.dumps(records, canonical=True)


def reading(row: Row, base_name: str) -> list[Record]:
    """The records of one reading: its quantities, its link, and the frame it is known by."""
    assert row.payload is not None
    found: list[Record] = []
    for key, value in cbor2.loads(row.payload).items():
        found += _records(key, value)
    if row.kind != REPEAT and row.rssi_dbm is not None:
        found.append({N: "rssi", U: "dBW", V: row.rssi_dbm - 30})
    if row.kind != REPEAT and row.snr_x4 is not None:
        found.append({N: "snr", U: "dB", V: row.snr_x4 / 4})
    found.append({N: "frame", VD: row.kid + row.piv.to_bytes(4, "big")})
    seconds, ms = divmod(row.unix_ms, 1000)
    found[0] = {BN: base_name, BT: row.unix_ms / 1000 if ms else seconds, **found[0]}
    return found


def _records(key: int, value: Any) -> list[Record]:
    """One record a quantity; of an alarm, one a bit that is set. A key that we do not know goes by its number."""
    row = BY_KEY.get(key)
    if row is None:
        return [_unknown(str(key), value)]
    _, name, kind, _, _, _, unit, divisor = row
    if key == ALARM:
        return [{N: f"{name}{bit}", VB: True} for bit in range(int(value).bit_length()) if value >> bit & 1]
    if kind == BOOL:
        return [{N: name, VB: value}]
    if kind == BYTES:
        return [{N: name, VS: value.hex()}]
    if unit == "vs":
        return [{N: name, VS: str(value)}]
    return [{N: name, U: unit, V: primary(value, divisor)}]


def _unknown(name: str, value: Any) -> Record:
    if type(value) is bool:
        return {N: name, VB: value}
    if type(value) is int:
        return {N: name, V: value}
    if isinstance(value, bytes):
        return {N: name, VD: value}
    return {N: name, VS: value if isinstance(value, str) else repr(value)}

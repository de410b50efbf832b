"""A row of the table `uplink`: one accepted frame (schema/003.sql says what each column means)."""

from __future__ import annotations

from typing import NamedTuple

PLAIN, FILLS, REPEAT, OPAQUE, SEALED = range(5)


class Row(NamedTuple):
    """The columns in their order, `channel` by its name."""

    id: int
    kid: bytes
    piv: int
    kind: int
    take: int
    urgent: int
    unix_ms: int
    late_ms: int
    boot: int | None
    rssi_dbm: int | None
    snr_x4: int | None
    channel: str
    seq: int | None
    payload: bytes | None
    tag: bytes | None
    frame: bytes | None

    @property
    def heard_ms(self) -> int:
        """When the reception of the frame ended."""
        return self.unix_ms + self.late_ms

    @property
    def readings(self) -> int:
        """Readings that were not known before."""
        return self.take.bit_count()

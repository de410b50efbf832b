"""What a batch looks like on the line: its format, and what of it can be said in that."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from firmware.wire.seal import Keys
from gateway import fold
from gateway.config import Upstream
from gateway.quick import Entries
from gateway.uplink import REPEAT, Row
from gateway.upstream import frames, senml

ENTRIES = 4000  # rows whose payload is not read a second time


class Names(NamedTuple):
    """How we are called upstream: gateway, its site, and the board of each key id; and the keys that are held."""

    gateway: str
    site: str
    boards: Mapping[bytes, str]
    keys: Mapping[bytes, Keys] = MappingProxyType({})


class Packs:
    """Packs for one upstream."""

    def __init__(self, config: Upstream, names: Names) -> None:
        self._config = config
        self._names = names
        self._senml = config.format == "senml"
        self._packer = senml.Packer(self._base_name)
        self._entries: dict[int, Entries] = {}  # of rows that were stored just now, by id: what their payloads say
        self.content_type = senml.CONTENT_TYPE if self._senml else frames.CONTENT_TYPE

    def know(self, rows: Sequence[Row], entries: Sequence[Entries]) -> None:
        """What the payloads of rows say, which will be packed soon."""
        if self._senml and len(self._entries) < ENTRIES:
            self._entries.update(zip([row.id for row in rows], entries, strict=True))

    def forget(self) -> None:
        """Those rows come from the disk, if at all."""
        self._entries.clear()

    def sort(self, rows: list[Row]) -> tuple[list[Row], list[Row], list[Row]]:
        """Rows to send, rows that have nothing to say here, and rows that can never be sent."""
        if self._senml:
            ready = [row for row in rows if row.kind <= REPEAT and row.payload is not None]
            if len(ready) == len(rows):
                return ready, [], []
            return ready, [row for row in rows if row.kind > REPEAT or row.payload is None], []
        keys = self._names.keys
        whole = [row._replace(frame=fold.frame(row, keys.get(row.kid))) for row in rows if row.tag is not None]
        ready = [row for row in whole if row.frame is not None]
        return ready, [row for row in rows if row.tag is None], [row for row in whole if row.frame is None]

    def pack(self, rows: list[Row], number: int) -> bytes:
        """The payload of a batch of rows that are ready."""
        if self._senml:
            payload = self._packer.pack(self._readings(rows))
        else:
            payload = frames.pack([(row, row.frame) for row in rows], self._names.gateway, number)
        return zlib.compress(payload, 9) if self._config.metered else payload

    def _readings(self, rows: list[Row]) -> Iterator[senml.Reading]:
        known = self._entries.pop
        for row in rows:
            found = known(row.id, None)
            if found is not None and len(found) == 1:  # nearly always
                yield senml.Reading(row.kid, row.piv, row.unix_ms, found[0][3], row.rssi_dbm, row.snr_x4)
            else:
                for entry in fold.entries(row, found):
                    yield senml.reading(row, entry)

    def _base_name(self, kid: bytes) -> str:
        return f"{self._config.prefix}{self._names.site}-{self._names.boards.get(kid, kid.hex())}_"

"""Listening on a board's serial line: what it says of itself, apart from what it sends."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from firmware.wire import hdlc, link
from firmware.wire.errors import WireError

_TAKEN = re.compile(r"taken (\d+) (\{.*\})\s*$")


class Tap:
    """Cuts one direction of a line into messages and log lines, as a listener beside the cable would.

    `on_message(list)`, `on_log(text)`.
    """

    def __init__(self, on_message: Callable[[list[Any]], object], on_log: Callable[[str], object]) -> None:
        self._decoder = hdlc.Decoder()
        self._on_message = on_message
        self._on_log = on_log

    @property
    def damaged(self) -> int:
        """Runs that began like a frame and were none."""
        return self._decoder.crc_errors + self._decoder.overlong + self._decoder.aborted

    def feed(self, data: bytes) -> None:
        """Take bytes as they come."""
        for proto, body in self._decoder.feed(data):
            if proto == hdlc.PROTO_MESSAGE:
                try:
                    message = link.parse(body)
                except WireError:
                    continue
                self._on_message(message)
            elif proto in (hdlc.PROTO_LOG, hdlc.PROTO_LOG_TEXT):
                text = body.decode(errors="replace").strip()
                if text:
                    self._on_log(text)


def taken(line: str) -> tuple[int, dict[int, int | bool | str]] | None:
    """PIV and values of a log line that says a reading was taken (keys as on the wire), else None."""
    found = _TAKEN.match(line)
    if found is None:
        return None
    return int(found[1]), {int(key): value for key, value in json.loads(found[2]).items()}

"""paho's client with fewer system calls and no ceremony for what a broker says most: that it has a message.

Overrides methods that are not paho's public face. Where a version of it does not call them it is as slow as it was, and
a test says so.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

_CHUNK = 65_536
_PUBLISH = 0x30
_FAILURE = 0x80  # and every reason above it
_SUCCESS = ReasonCode(PacketTypes.PUBACK)


class Client(paho.Client):
    """As paho.Client; for PUBACKs that are good, `on_publish` gets None for the properties.

    `buffered`: bytes that were read from the socket and not looked at: call `loop_read` again.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._ahead = b""
        self._looked = 0

    @property
    def buffered(self) -> int:
        return len(self._ahead) - self._looked

    def _sock_recv(self, bufsize: int) -> bytes:
        # Asked for a byte here and two there; the socket is asked for all it has.
        at = self._looked
        if at == len(self._ahead):
            self._ahead, at = super()._sock_recv(max(bufsize, _CHUNK)), 0
        data = self._ahead[at : at + bufsize]
        self._looked = at + len(data)
        return data

    def _reset_sockets(self, sockpair_only: bool = False) -> None:
        self._ahead, self._looked = b"", 0
        super()._reset_sockets(sockpair_only)

    def _packet_write(self) -> Any:
        # Publishes that wait leave together.
        waiting, together = self._out_packet, []
        while waiting and waiting[0]["qos"] == 1 and waiting[0]["pos"] == 0 and waiting[0]["command"] & 0xF0 == _PUBLISH:
            together.append(waiting.popleft())
        if len(together) > 1:
            whole = b"".join(one["packet"] for one in together)
            waiting.appendleft({**together[-1], "packet": whole, "to_process": len(whole)})
        elif together:
            waiting.appendleft(together[0])
        return super()._packet_write()

    def _handle_pubackcomp(self, cmd: Any) -> Any:
        packet = self._in_packet["packet"]
        good = len(packet) == 2 or (len(packet) == 3 and packet[2] < _FAILURE)
        if cmd != "PUBACK" or not good:
            return super()._handle_pubackcomp(cmd)
        mid = packet[0] << 8 | packet[1]
        with self._out_message_mutex:
            if mid in self._out_messages:
                return self._do_on_publish(mid, _SUCCESS, None)  # type: ignore[arg-type]
        return paho.MQTT_ERR_SUCCESS


class Packed(Properties):
    """Properties of a publish, packed once: batches differ in their payload, and packing costs as much as all the rest."""

    def __init__(self, content_type: str, user: Mapping[str, str]) -> None:
        super().__init__(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        self.ContentType = content_type
        if user:
            self.UserProperty = list(user.items())
        object.__setattr__(self, "packed", super().pack())  # type: ignore[no-untyped-call]

    packed: bytes

    def pack(self) -> bytes:
        return self.packed


class Ears(logging.Logger):
    """What the library only logs: the error that a connection ended with."""

    heard: Exception | None = None

    def log(self, level: int, msg: object, *args: Any, **_: Any) -> None:
        if level >= logging.ERROR and args and isinstance(args[0], Exception):
            self.heard = args[0]

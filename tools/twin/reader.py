"""A town's own subscriber: reads back from the broker what the daemon published, knowing only the standards."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import cbor2
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway.errors import HostError

CONTENT = "application/senml+cbor"
_BASE_NAME, _BASE_TIME, _NAME, _TIME, _VALUE_DATA = -2, -3, 0, 6, 8
_VALUES = (2, 3, 4, 8)


class Reading(NamedTuple):
    """One reading as a SenML pack tells it: who (base name), when, which frame, and values by name, links included."""

    site: str
    device: str
    unix_s: float
    kid: str
    piv: int
    values: dict[str, Any]


def readings(topic: str, payload: bytes) -> Iterator[Reading]:
    """The readings of one SenML pack (RFC 8428, CBOR), each closed by its record `frame`. Raises ValueError."""
    site = topic.split("/")[1]
    base, base_time = "", 0.0
    values: dict[str, Any] = {}
    for record in cbor2.loads(payload):
        base = record.get(_BASE_NAME, base)
        base_time = record.get(_BASE_TIME, base_time)
        name = record.get(_NAME, "")
        value = next((record[label] for label in _VALUES if label in record), None)
        if name != "frame":
            values[name] = value
            continue
        if not isinstance(value, bytes) or len(value) < 6:
            raise ValueError("a record `frame` without kid and PIV")
        unix_s = base_time + record.get(_TIME, 0)
        yield Reading(site, base, unix_s, value[:-4].hex(), int.from_bytes(value[-4:], "big"), values)
        values = {}


class Reader:
    """Subscribes on a thread of its own. `seen`: values by (site, kid, PIV); `again`: values that came more than once.

    Raises HostError (broker_refused) when there is no broker within 5 s.
    """

    def __init__(self, url: str, topic: str) -> None:
        self.seen: dict[tuple[str, str, int], dict[str, Any]] = {}
        self.messages = 0
        self.again = 0
        self.conflicts = 0  # the same key with another value
        self.unreadable = 0
        self.on_reading: Callable[[Reading], object] = lambda reading: None
        self._topic = topic
        self._lock = threading.Lock()
        self._subscribed = threading.Event()
        parts = urlsplit(url)
        name = f"jourdain-twin-reader-{os.getpid()}-{id(self):x}"  # two of one name would throw each other out
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, name, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_connect = self._connected
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._message
        keep: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        keep.SessionExpiryInterval = 3600
        try:
            self._client.connect(parts.hostname or "", parts.port or 1883, clean_start=True, properties=keep)
        except OSError as error:
            raise HostError("broker_refused", str(error), url, "is a broker running there?") from None
        self._client.loop_start()
        if not self._subscribed.wait(5):
            self.close()
            raise HostError("broker_refused", "no subscription within 5 s", url, "does it speak MQTT 5?")

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()
        if self._client.loop_stop() not in (MQTTErrorCode.MQTT_ERR_SUCCESS, None):
            return

    def snapshot(self) -> dict[tuple[str, str, int], dict[str, Any]]:
        """What was read back so far."""
        with self._lock:
            return {key: dict(values) for key, values in self.seen.items()}

    def count(self) -> int:
        """How many readings were read back so far."""
        return len(self.seen)

    def _connected(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe(self._topic, qos=1)

    def _message(self, client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        if getattr(message.properties, "ContentType", "") != CONTENT:
            return
        self.messages += 1
        try:
            found = list(readings(message.topic, bytes(message.payload)))
        except (ValueError, TypeError, AttributeError, IndexError):
            self.unreadable += 1
            return
        for reading in found:
            self._take(reading)

    def _take(self, reading: Reading) -> None:
        with self._lock:
            known = self.seen.setdefault((reading.site, reading.kid, reading.piv), {})
            fresh = not known
            for name, value in reading.values.items():
                if name in known:
                    self.again += 1
                    self.conflicts += known[name] != value and name not in ("rssi", "snr")
                known[name] = value
        if fresh:
            self.on_reading(reading)

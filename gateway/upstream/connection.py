"""One MQTT 5 connection, from CONNECT to its end: the one file that knows the client library.

paho runs in our event loop by the calls it has for that (loop_read, loop_write, loop_misc). A thread only dials, because
names, TCP and TLS may each take their time; nobody waits for it at the end.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from gateway.errors import HostError
from gateway.upstream import tls
from gateway.upstream.client import Client, Ears, Packed

ACK_TIMEOUT_S = 20.0
CONNECT_TIMEOUT_S = 10.0
_KEEPALIVE_S = 20
_TICK_S = 1.0
_ANY_WINDOW = 65_535  # what MQTT allows when a broker names no receive maximum
_ANY_PACKET = 268_435_455
_HEADER_MAX = 1 + 4 + 2 + 2  # kind, length, length of the topic, number
_INBOUND_MAX = 1 << 20  # bytes of a packet that a broker may send us


class LostError(Exception):
    """The connection ended, or there was none to be had; str() says why."""


class Door(NamedTuple):
    """How to get in. `will`: (topic, payload), retained, what the broker says when we are gone without a word.

    session_expiry_s: 0 begins a new session each time. receive_max: messages that may wait for their `done()`; without
    it each is acknowledged at once.
    """

    host: str
    port: int
    client_id: str = ""
    username: str | None = None
    password: str | None = None
    context: ssl.SSLContext | None = None
    session_expiry_s: int = 0
    will: tuple[str, bytes] | None = None
    receive_max: int | None = None


class Message(NamedTuple):
    """A message that the broker delivered. `done()` tells it that it need not keep it any more; once the connection is gone
    that cannot be said, it is `stale()`, and comes again.
    """

    topic: str
    payload: bytes
    content_type: str
    qos: int = 1
    done: Callable[[], None] = lambda: None
    stale: Callable[[], bool] = lambda: False


class Connection:
    """`open()`, then `publish` and `subscribe` until `lost` is done; `close()` says good-bye if it can.

    `window` and `packet_max_bytes` are the broker's limits, `n_acked` and `bytes_out` what was acknowledged and written.
    """

    def __init__(self, door: Door, on_message: Callable[[Message], None] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._door = door
        self._on_message_to = on_message
        self.lost: asyncio.Future[None] = self._loop.create_future()
        self._connack: asyncio.Future[None] = self._loop.create_future()
        self._suback: asyncio.Future[None] | None = None
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._queue: deque[tuple[asyncio.Future[None], str, bytes, Packed, bool]] = deque()
        self._unanswered: set[int] = set()  # messages that wait for their `done()`
        self._deaf = False
        self._heard_s = 0.0  # when an acknowledgement last came, or was first waited for
        self._tick: asyncio.TimerHandle | None = None
        self._soon: asyncio.Handle | None = None
        self.window = _ANY_WINDOW
        self.packet_max_bytes = _ANY_PACKET
        self.n_acked = 0
        self.bytes_out = 0
        self._ears = Ears("gateway.mqtt")
        self._paho = self._client(door)

    def _client(self, door: Door) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            door.client_id,
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
            manual_ack=door.receive_max is not None,
        )
        client.enable_logger(self._ears)
        client.connect_timeout = CONNECT_TIMEOUT_S / 2
        client.max_inflight_messages_set(0)  # it may not change while connected, and the broker says its limit then
        if door.username is not None:
            client.username_pw_set(door.username, door.password)
        if door.context is not None:
            client.tls_set_context(door.context)
        if door.will is not None:
            client.will_set(*door.will, qos=1, retain=True)
        return client

    async def open(self) -> None:
        """Dial, and wait for the broker's yes.

        Raises HostError bad_certificate (theirs or ours), broker_refused (it said no), LostError (there is nobody).
        """
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._dial()
                await self._connack
        except TimeoutError:
            self._drop(LostError(f"no answer within {CONNECT_TIMEOUT_S:.0f} s"))
            raise LostError(f"no answer within {CONNECT_TIMEOUT_S:.0f} s") from None
        except (OSError, UnicodeError) as error:  # UnicodeError: a name that no name server could take
            self._drop(LostError(str(error)))
            raise tls.named(error) or LostError(str(error)) from None
        except BaseException:
            self._drop(LostError("given up"))
            raise

    async def _dial(self) -> None:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = self._door.session_expiry_s
        properties.MaximumPacketSize = _INBOUND_MAX
        if self._door.receive_max is not None:
            properties.ReceiveMaximum = self._door.receive_max
        clean = self._door.session_expiry_s == 0
        dialled = self._loop.create_future()

        def settle(error: Exception | None) -> None:
            if dialled.done():  # nobody waits any more
                self._hang_up()
            elif error is not None:
                dialled.set_exception(error)
            else:
                dialled.set_result(None)

        def dial() -> None:
            error = None
            try:
                self._paho.connect(self._door.host, self._door.port, _KEEPALIVE_S, clean_start=clean, properties=properties)
            except Exception as raised:
                error = raised
            try:
                self._loop.call_soon_threadsafe(settle, error)
            except RuntimeError:  # the loop is closed: the process ends
                self._hang_up()

        threading.Thread(target=dial, name="dial", daemon=True).start()
        await dialled
        self._listen()

    def _listen(self) -> None:
        sock: Any = self._paho.socket()
        if sock is None:  # closed as soon as it was open
            raise self._ears.heard or ConnectionResetError("closed before the broker answered")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._paho.on_connect = self._on_connect
        self._paho.on_disconnect = self._on_disconnect
        self._paho.on_publish = self._on_publish
        self._paho.on_subscribe = self._on_subscribe
        self._paho.on_message = self._on_message
        self._paho.on_socket_register_write = lambda *_: None  # writing is ours: see _flush
        self._paho.on_socket_close = lambda _, __, closed: self._unwatch(closed)
        self._loop.add_reader(sock, self._readable, sock)
        self._tick = self._loop.call_later(_TICK_S, self._every_tick)
        self._flush()

    # What is asked of it

    def publish(self, topic: str, payload: bytes, properties: Packed, retain: bool = False) -> asyncio.Future[None]:
        """Write now, or as soon as the broker's window has room; done when it has acknowledged. QoS 1.

        The future ends with HostError broker_refused (it said no, or would), or LostError.
        """
        future: asyncio.Future[None] = self._loop.create_future()
        n_bytes = _HEADER_MAX + len(topic.encode()) + len(properties.pack()) + len(payload)
        if n_bytes > self.packet_max_bytes:
            what = f"a batch of {n_bytes} bytes; the broker takes {self.packet_max_bytes}"
            future.set_exception(HostError("broker_refused", what, hint="make batch_readings smaller"))
            return future
        self.bytes_out += n_bytes
        self._queue.append((future, topic, payload, properties, retain))
        self._send()
        return future

    def _send(self) -> None:
        """As much as the broker takes before it acknowledges some."""
        while self._queue and len(self._waiting) < self.window:
            future, topic, payload, properties, retain = self._queue.popleft()
            if not self._waiting:
                self._heard_s = self._loop.time()
            info = self._paho.publish(topic, payload, 1, retain, properties)
            if self.lost.done() or info.rc != paho.MQTT_ERR_SUCCESS:
                future.set_exception(LostError("the connection has ended"))
            else:
                self._waiting[info.mid] = future
        if self._soon is None:
            self._soon = self._loop.call_soon(self._flush)  # what is published at once leaves at once

    async def subscribe(self, topics: Iterable[str]) -> None:
        """QoS 1; what is retained comes once in the life of a session. Raises HostError broker_refused, LostError."""
        self._suback = self._loop.create_future()
        options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_SEND_IF_NEW_SUB)
        self._paho.subscribe([(topic, options) for topic in topics])
        self._flush()
        await asyncio.wait({self._suback, self.lost}, timeout=CONNECT_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        if not self._suback.done():
            raise LostError("no answer to a subscription")
        self._suback.result()

    def _ack(self, number: int) -> None:
        if number in self._unanswered and not self.lost.done():  # numbers belong to their connection
            self._unanswered.discard(number)
            self._paho.ack(number, 1)
            self._flush()
            if self._deaf and not self._too_many and not self.lost.done():
                self._deaf = False
                sock: Any = self._paho.socket()
                self._loop.add_reader(sock, self._readable, sock)
                self._loop.call_soon(self._readable, sock)  # what TLS has read already makes no socket readable

    async def drained(self, timeout_s: float) -> None:
        """Until everything that was written is acknowledged, or the time is up."""
        waiting = {*self._waiting.values(), *(queued[0] for queued in self._queue)}
        if waiting:
            await asyncio.wait(waiting, timeout=timeout_s)

    def close(self) -> None:
        """Say good-bye, so that the will is not read, and forget the rest."""
        if not self.lost.done() and self._connack.done():
            self._paho.disconnect()
            self._flush()
        self._drop(LostError("closed"))

    # What paho calls

    def _on_connect(self, _: Any, __: Any, ___: Any, reason: Any, properties: Any) -> None:
        if self._connack.done():
            return
        if reason.is_failure:
            hint = "look at user name, password and the broker's access rules"
            self._connack.set_exception(HostError("broker_refused", f"the broker refused the connection: {reason}", hint=hint))
            return
        self.window = getattr(properties, "ReceiveMaximum", _ANY_WINDOW)
        self.packet_max_bytes = getattr(properties, "MaximumPacketSize", _ANY_PACKET)
        self._connack.set_result(None)

    def _on_publish(self, _: Any, __: Any, number: int, reason: Any, ___: Any) -> None:
        self._heard_s = self._loop.time()
        future = self._waiting.pop(number, None)
        if future is None or future.done():
            return
        if reason.is_failure:
            hint = "allow this client to publish on jourdain/#"
            future.set_exception(HostError("broker_refused", f"the broker refused a batch: {reason}", hint=hint))
        else:
            self.n_acked += 1
            future.set_result(None)

    def _on_subscribe(self, _: Any, __: Any, ___: Any, reasons: list[Any], ____: Any) -> None:
        if self._suback is None or self._suback.done():
            return
        if bad := next((reason for reason in reasons if reason.is_failure), None):
            hint = "allow this client to subscribe to these topics"
            self._suback.set_exception(HostError("broker_refused", f"the broker refused a subscription: {bad}", hint=hint))
        else:
            self._suback.set_result(None)

    def _on_message(self, _: Any, __: Any, message: paho.MQTTMessage) -> None:
        if self._on_message_to is None:
            return
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        if self._door.receive_max is not None and message.qos:
            self._unanswered.add(message.mid)
        content_type = getattr(message.properties, "ContentType", "")
        done = partial(self._ack, message.mid)
        self._on_message_to(Message(topic, bytes(message.payload), content_type, message.qos, done, self.lost.done))

    def _on_disconnect(self, _: Any, __: Any, flags: Any, reason: Any, ___: Any) -> None:
        if flags.is_disconnect_packet_from_server:
            self._end(LostError(f"the broker ended the connection: {reason}"))
        elif self._ears.heard is not None:
            self._end(tls.named(self._ears.heard) or LostError(str(self._ears.heard)))
        elif not self._connack.done():
            self._end(LostError("closed before the broker answered"))
        else:
            self._end(LostError("the broker closed the connection" if str(reason) == "Unspecified error" else str(reason)))

    # The socket in the event loop

    def _readable(self, sock: Any) -> None:
        if self.lost.done() or self._deaf:
            return
        try:
            self._paho.loop_read()
            while (
                self._paho.socket() is not None
                and not self._too_many
                and (self._paho.buffered or getattr(sock, "pending", int)())
            ):
                self._paho.loop_read()
            if self._too_many and self._paho.socket() is not None:
                self._deaf = True
                self._loop.remove_reader(sock)
            self._send()
            self._flush()
        except Exception as error:  # whatever a broker sends: it is the end of this connection and of nothing else
            self._drop(LostError(f"nonsense from the broker: {error!r}"))

    @property
    def _too_many(self) -> bool:
        """Has the broker sent more than was agreed? Debian's Mosquitto does when it sends again. TCP makes it wait then."""
        return self._door.receive_max is not None and len(self._unanswered) > self._door.receive_max

    def _flush(self) -> None:
        """Write what waits; what the socket does not take now, it takes when it can."""
        self._soon = None
        sock: Any = self._paho.socket()
        if sock is not None and self._paho.want_write():
            self._paho.loop_write()
            if self._paho.want_write() and self._paho.socket() is not None:
                self._loop.add_writer(sock, self._writable, sock)

    def _writable(self, sock: Any) -> None:
        self._loop.remove_writer(sock)
        self._flush()

    def _every_tick(self) -> None:
        self._tick = self._loop.call_later(_TICK_S, self._every_tick)
        self._paho.loop_misc()
        self._flush()
        if self._waiting and self._loop.time() - self._heard_s > ACK_TIMEOUT_S:
            self._drop(LostError(f"{len(self._waiting)} batches, and none acknowledged for {ACK_TIMEOUT_S:.0f} s"))

    # The end

    def _end(self, why: Exception) -> None:
        """Tell everybody who waits."""
        if self._tick is not None:
            self._tick.cancel()
        waiting = [self._connack, self.lost, *self._waiting.values(), *(queued[0] for queued in self._queue)]
        waiting += [self._suback] if self._suback else []
        self._waiting.clear()
        self._queue.clear()
        for future in waiting:
            if not future.done():
                future.set_exception(why)
                future.exception()  # not everybody listens

    def _drop(self, why: Exception) -> None:
        self._end(why)
        self._hang_up()

    def _hang_up(self) -> None:
        sock = self._paho.socket()
        if sock is not None:
            self._unwatch(sock)
            sock.close()

    def _unwatch(self, sock: Any) -> None:
        if sock.fileno() >= 0 and not self._loop.is_closed():
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)

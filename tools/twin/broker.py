"""The demonstration's broker, embedded and on loopback only, and a TCP proxy that can cut it off."""

from __future__ import annotations

import contextlib
import selectors
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from gateway.errors import HostError

LOOPBACK = "127.0.0.1"

# MQTT 5 needs a listener [v5.1]; what the library's keyword arguments open is a 3.1.1 listener on all addresses.
_CONFIG = """id = 0
[router]
id = 0
max_connections = 100
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
[v5.1]
name = "town"
listen = "{listen}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = 1048576
max_inflight_count = 500
dynamic_filters = true
"""


@contextlib.contextmanager
def ctrl_c_ignored() -> Iterator[None]:
    """Children started here do not hear the terminal's Ctrl-C: the twin ends them in its own order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def free_port() -> int:
    """A TCP port of loopback that nobody uses at this moment."""
    with socket.create_server((LOOPBACK, 0)) as server:
        return int(server.getsockname()[1])


class Embedded:
    """An MQTT 5 broker in a child process that ends with us. Raises HostError (missing_tool, broker_refused)."""

    def __init__(self, folder: Path) -> None:
        try:
            from iotcore import Broker  # noqa: PLC0415 - only where the demonstration is installed
        except ImportError:
            raise HostError(
                "missing_tool", "no embedded broker", "iotcore", "pip install 'jourdain[twin]', or --broker"
            ) from None
        for attempt in range(5):
            self.port = free_port()
            config = folder / "broker.toml"
            config.write_text(_CONFIG.format(listen=f"{LOOPBACK}:{self.port}"), encoding="utf-8")
            self._broker = Broker(config_path=str(config))
            try:
                with ctrl_c_ignored():
                    self._broker.start()
                return
            except (OSError, RuntimeError) as error:
                if attempt == 4:
                    raise HostError("broker_refused", f"the embedded broker does not start: {error}", str(config)) from None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"mqtt://{LOOPBACK}:{self.port}"

    def close(self) -> None:
        """End it."""
        self._broker.stop()


class Proxy:
    """Forwards connections to a broker from a thread of its own; `cut` ends them all and refuses new ones."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or LOOPBACK, parts.port or 1883)
        self._server = socket.create_server((LOOPBACK, 0))
        self.port = int(self._server.getsockname()[1])
        self._peers: dict[socket.socket, socket.socket] = {}
        self._cut = False
        self.cuts = 0
        self._closing = False
        self._wake, self._woken = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._selector.register(self._server, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"mqtt://{LOOPBACK}:{self.port}"

    @property
    def is_cut(self) -> bool:
        """Is the broker cut off now?"""
        return self._cut

    def cut(self) -> None:
        """Cut the broker off."""
        self._cut = True
        self.cuts += 1
        self._wake.send(b"c")

    def mend(self) -> None:
        """Let connections through again."""
        self._cut = False
        self._wake.send(b"m")

    def close(self) -> None:
        """End everything."""
        self._closing = True
        self._wake.send(b"x")
        self._thread.join(5)
        self._wake.close()

    def _run(self) -> None:
        while not self._closing:
            for key, _ in self._selector.select():
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                if sock is self._woken:
                    self._woken.recv(64)
                    if self._cut:
                        self._drop_all()
                elif sock is self._server:
                    self._accept()
                elif sock in self._peers:
                    self._forward(sock)
        self._drop_all()
        self._selector.close()
        self._server.close()
        self._woken.close()

    def _accept(self) -> None:
        client, _ = self._server.accept()
        if self._cut:
            client.close()
            return
        try:
            broker = socket.create_connection(self._target, timeout=5)
        except OSError:
            client.close()
            return
        for sock in (client, broker):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(5)
            self._selector.register(sock, selectors.EVENT_READ)
        self._peers[client], self._peers[broker] = broker, client

    def _forward(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(65536)
            if data:
                self._peers[sock].sendall(data)
                return
        except OSError:
            pass
        self._drop(sock)

    def _drop(self, sock: socket.socket) -> None:
        for one in (sock, self._peers.pop(sock)):
            self._peers.pop(one, None)
            self._selector.unregister(one)
            one.close()

    def _drop_all(self) -> None:
        while self._peers:
            self._drop(next(iter(self._peers)))

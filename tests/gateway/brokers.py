"""A real Mosquitto with TLS and client certificates, for tests, benches and the chaos harness: no pytest in here.

`Mosquitto(folder)` starts one; `Subscriber(broker)` is an independent reader with a session of its own that outlives restarts.
"""

import asyncio
import contextlib
import datetime
import ipaddress
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import paho.mqtt.client as paho
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tools.twin.broker import LOOPBACK, free_port

# The broker drops nothing of what it took: no limit of what waits for a subscriber, none of what is under way to one.
# Without TCP_NODELAY it holds every second small packet back for 44 ms.
_CONFIG = """\
user root
per_listener_settings true
set_tcp_nodelay true
max_queued_messages 0
max_inflight_messages 0
max_queued_bytes 0
persistence true
persistence_location {folder}/
autosave_interval {autosave_s}
log_type error
log_type warning
log_type notice
connection_messages true
log_dest file {folder}/mosquitto.log
{more}
listener {port} 127.0.0.1
cafile {ca}
certfile {cert}
keyfile {key}
require_certificate true
use_identity_as_username true
allow_anonymous false

listener {plain_port} 127.0.0.1
allow_anonymous true
"""


def binary():
    """Path of the broker's program, or None; Debian keeps it where a user's PATH does not look."""
    return shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


class Authority:
    """A certificate authority in `folder`: `file` is its certificate, `issue` makes others."""

    def __init__(self, folder, name="town"):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"authority of the {name}")])
        made = self._builder(self._name, self._key, 1).add_extension(x509.BasicConstraints(True, 0), True)
        usage = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"),
            False,
        )
        made = made.add_extension(x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True, **usage), True)
        self._cert = made.sign(self._key, hashes.SHA256())
        self.file = folder / f"{name}-ca.pem"
        self.file.write_bytes(self._cert.public_bytes(serialization.Encoding.PEM))

    def _builder(self, subject, key, days):
        now = datetime.datetime.now(datetime.UTC)
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key.public_key())
        made = made.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=30))
        made = made.not_valid_after(now + datetime.timedelta(days=days))
        return made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)

    def issue(self, name, *, server=False, days=1, hosts=("localhost",)):
        """A certificate of `name` and its key, valid for `days` from now (negative: expired) -> (cert_file, key_file)."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key, days)
        use = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        made = made.add_extension(x509.ExtendedKeyUsage([use]), False).add_extension(x509.BasicConstraints(False, None), True)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        made = made.add_extension(issuer, False)
        if server:
            names = [*map(x509.DNSName, hosts), x509.IPAddress(ipaddress.ip_address(LOOPBACK))]
            made = made.add_extension(x509.SubjectAlternativeName(names), False)
        cert_file, key_file = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        pem = serialization.Encoding.PEM
        private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        # As who renews certificates should: each whole at once, the key for its owner alone.
        for file, data in ((cert_file, made.sign(self._key, hashes.SHA256()).public_bytes(pem)), (key_file, private)):
            new = file.with_suffix(file.suffix + ".new")
            new.touch(0o600)
            new.write_bytes(data)
            new.rename(file)
        return cert_file, key_file


class Mosquitto:
    """The broker as a child; `url` (TLS, a client certificate is asked for) and, for the test's own readers, `plain_url`.

    Ports and what it keeps stay the same over `stop`, `kill` and `start`. What it took and had to keep for a reader is on disk
    after `stop` and `save`, not after `kill`. `options`: lines for the head of its configuration; `authority`: of the
    certificates, else its own, made in `folder`.
    """

    def __init__(self, folder, *, options=(), autosave_s=1800, authority=None):
        self.program = binary()
        assert self.program, "no mosquitto on this machine: apt install mosquitto"
        self.folder = Path(folder)
        self.authority = authority or Authority(self.folder / "certificates")
        self.port, self.plain_port = free_port(), free_port()
        self.server_files = self.authority.issue("broker", server=True)
        self.client_files = self.authority.issue("poste")
        self._settings = {"more": "\n".join(options), "autosave_s": autosave_s}
        self.process = None
        self.start()

    @property
    def url(self):
        """Where it takes TLS; the name is the one in its certificate."""
        return f"mqtts://localhost:{self.port}"

    @property
    def plain_url(self):
        """Where it takes anybody in clear."""
        return f"mqtt://{LOOPBACK}:{self.plain_port}"

    @property
    def log(self):
        """What it said so far."""
        file = self.folder / "mosquitto.log"
        return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""

    @property
    def settings(self):
        """Lines for an `[[upstream]]` of gateway.toml, TLS and client certificate included, but for the url."""
        cert, key = self.client_files
        return f'ca_file = "{self.authority.file}"\ncert_file = "{cert}"\nkey_file = "{key}"\n'

    def start(self):
        """Start it and wait until it listens."""
        cert, key = self.server_files
        config = self.folder / "mosquitto.conf"
        files = {"folder": self.folder, "ca": self.authority.file, "cert": cert, "key": key}
        ports = {"port": self.port, "plain_port": self.plain_port}
        config.write_text(_CONFIG.format(**files, **ports, **self._settings), encoding="utf-8")
        command = [self.program, "-c", str(config)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        end = time.monotonic() + 10
        while not (listens(self.port) and listens(self.plain_port)):
            if self.process.poll() is not None:
                raise AssertionError(f"mosquitto ended: {self.process.stderr.read().decode()}\n{self.log}")
            assert time.monotonic() < end, f"mosquitto does not listen:\n{self.log}"
            time.sleep(0.005)

    def stop(self):
        """End it as an operator does; what it keeps is saved."""
        self._end(signal.SIGTERM)

    def kill(self):
        """End it as a power cut does."""
        self._end(signal.SIGKILL)

    def _end(self, how):
        self.resume()
        self.process.send_signal(how)
        self.process.wait(10)
        self.process.stderr.close()

    def restart(self, *, kill=False):
        """Stop or kill it, start it again on the same ports."""
        self._end(signal.SIGKILL if kill else signal.SIGTERM)
        self.start()

    def pause(self):
        """It hears nothing and says nothing, and its connections stay."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        """Go on after `pause`."""
        self.process.send_signal(signal.SIGCONT)

    def save(self):
        """Write sessions and waiting messages to disk now: they are there after `kill`."""
        file = self.folder / "mosquitto.db"
        before = file.stat().st_mtime_ns if file.exists() else 0
        self.process.send_signal(signal.SIGUSR1)
        end = time.monotonic() + 10
        while not file.exists() or file.stat().st_mtime_ns == before:
            assert time.monotonic() < end, "mosquitto does not save"
            time.sleep(0.005)

    def close(self):
        """End it for good."""
        if self.process.poll() is None:
            self.kill()


class Subscriber:
    """An independent reader of `jourdain/#` over the plain door, in a thread of its own; the session outlives restarts.

    `messages` holds paho's messages (topic, payload, properties, retain, dup) in the order of arrival, repetitions included.
    """

    def __init__(self, broker, topics=("jourdain/#",), name="test"):
        self.messages = []
        self.connects = 0
        self._topics = [(topic, 1) for topic in topics]
        self._ready = threading.Event()
        self._client = client = paho.Client(paho.CallbackAPIVersion.VERSION2, name, protocol=paho.MQTTv5)
        client.on_connect = self._on_connect
        client.on_disconnect = lambda *_: self._ready.clear()
        client.on_subscribe = lambda *_: self._ready.set()
        client.on_message = lambda _, __, message: self.messages.append(message)
        client.reconnect_delay_set(0.05, 0.2)
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 86_400
        properties.ReceiveMaximum = 65_535  # nothing of what the broker took waits in the broker
        client.connect(LOOPBACK, broker.plain_port, keepalive=5, clean_start=False, properties=properties)
        client.loop_start()
        self.wait()

    def _on_connect(self, client, *_):
        self.connects += 1
        client.subscribe(self._topics)

    def wait(self, timeout_s=10):
        """Until it is connected and subscribed."""
        assert self._ready.wait(timeout_s), "the reader is not connected"

    @property
    def connected(self):
        return self._ready.is_set()

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


class Sender:
    """Another gateway's client, with its certificate; `send` at QoS 1 returns when the broker has it."""

    def __init__(self, broker, name="sender"):
        self._client = client = paho.Client(paho.CallbackAPIVersion.VERSION2, name, protocol=paho.MQTTv5)
        client.tls_set_context(tls_context(broker.authority, broker.client_files))
        client.max_inflight_messages_set(0)
        client.connect("localhost", broker.port)
        client.loop_start()

    def send(self, topic, payload, *, qos=1, wait=True):
        sent = self._client.publish(topic, payload, qos)
        if wait:
            sent.wait_for_publish(10)

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


class Tap:
    """A TCP proxy in the test's own event loop that keeps every byte of the client, and cuts where it is told.

    `cuts`: of each connection in turn, after how many bytes of the (client, broker); None: not at all. Then all go through.
    """

    def __init__(self, port, cuts=()):
        self.heard = []  # of each connection, what the client sent
        self._port = port
        self._cuts = list(cuts)

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, LOOPBACK, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()

    async def _serve(self, reader, writer):
        up, down = self._cuts.pop(0) if self._cuts else (None, None)
        heard = bytearray()
        self.heard.append(heard)
        there, back = await asyncio.open_connection(LOOPBACK, self._port)
        ways = [self._pass(reader, back, up, heard), self._pass(there, writer, down, bytearray())]
        await asyncio.wait([asyncio.create_task(way) for way in ways], return_when=asyncio.FIRST_COMPLETED)
        for one in (writer, back):
            one.transport.abort()

    @staticmethod
    async def _pass(reader, writer, limit, heard):
        with contextlib.suppress(OSError):
            while data := await reader.read(65536 if limit is None else max(1, limit - len(heard))):
                heard += data
                writer.write(data)
                await writer.drain()
                if limit is not None and len(heard) >= limit:
                    return


def records(data):
    """Types of the TLS records in `data`, the last of which may be incomplete; fails where it is anything else."""
    at, types = 0, []
    while at < len(data):
        head = data[at : at + 5]
        assert head[0] in (20, 21, 22, 23), f"no TLS at {at}: {data[at : at + 40]!r}"
        assert head[1:2] in (b"\x03", b""), f"no TLS at {at}: {data[at : at + 40]!r}"
        types.append(head[0])
        at += 5 + int.from_bytes(head[3:5], "big")
    return types


def tls_context(authority, files):
    """An SSLContext for a client of a test's own."""
    context = ssl.create_default_context(cafile=authority.file)
    context.load_cert_chain(*files)
    return context


def listens(port):
    """Does somebody take connections on this port of loopback?"""
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0

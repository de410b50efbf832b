"""A desk for the real daemon: its files, a board at the other end of a pseudo terminal, a broker and who listens there."""

import asyncio
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import threading
import time
import tty
from pathlib import Path

import aiomqtt
import cbor2

from firmware.wire import cbor, hdlc, link, seal
from gateway import windows
from gateway.books import Books

SITE = "plage"
BOARDS = """\
sites:
  plage: {title: Plage, plan: town}
plans:
  town: {band: eu868, freq_hz: 868100000, sf: 9, bw_hz: 125000, cr: 5, power_dbm: 14}
gateways:
  poste: {site: plage, position: [48.6, -2.8], role: reader}
boards:
  bridge: {type: pico, role: bridge, gateway: poste, position: [48.6, -2.8], uid: "e6614c311b7e5a21",
           radio: {module: waveshare-pico-sx1262}}
  spare: {type: pico, role: bridge, gateway: poste, position: [48.6, -2.8], uid: "e6614c311b7e5a22",
          radio: {module: waveshare-pico-sx1262}}
"""
NODE = """\
  bin-{n}: {{type: pico, service: bin, uid: "e6614c311b7e6a{n:02x}", kids: ["{n:04x}"], position: [48.6, -2.8],
          settings: {{empty_mm: 1150, full_mm: 250}}, sensors: {{distance: a02yyuw, temperature: ds18b20}},
          radio: {{module: waveshare-pico-sx1262}}}}
"""
NODES = 4
TRUST = 'clock = "trust"'  # a machine for tests may have neither a time server nor a battery clock


def secret(n):
    """The secret of board n, the same in every run and in no specification."""
    return bytes((0xA5 ^ n, *range(200, 215)))


def keys(n):
    return seal.derive(secret(n), n.to_bytes(2, "big"))


def name(n, piv):
    """kid || PIV of a frame of board n, as the record `frame` carries it."""
    return n.to_bytes(2, "big") + piv.to_bytes(4, "big")


def frame(n, piv, payload):
    """A sealed uplink of board n; payload: dict, or bytes as they are."""
    return seal.seal(keys(n), piv, payload if isinstance(payload, bytes) else cbor.dumps(payload))


class Files:
    """Folder of a gateway; change `text`, `keys` or `role` before `write`."""

    role = "reader"

    def __init__(self, folder, ports, broker=None, upstream="batch_age_s = 0.2", gateway=""):
        self.folder = folder
        self.config = folder / "gateway.toml"
        self.store = folder / "store.db"
        self.keys = {f"{n:04x}": {"k_up": keys(n).k_up.hex(), "iv": keys(n).iv.hex()} for n in range(1, NODES + 1)}
        self.nodes = {n: [f"{n:04x}"] for n in range(1, NODES + 1)}
        gateway = "\n".join(filter(None, (gateway, TRUST if "clock =" not in gateway else "")))
        self.text = f'[gateway]\nname = "poste"\n{gateway}\n'
        for board, port in ports.items():
            self.text += f'[[serial]]\nport = "{port}"\nboard = "{board}"\n'
        if broker:
            hasty = "" if "reconnect_max_s" in upstream else "reconnect_max_s = 0.5\n"
            self.text += f'[[upstream]]\nurl = "{broker}"\n{upstream}\n{hasty}'

    def controller(self):
        """Give it the role and the keys to answer with."""
        self.role = "controller"
        for kid, held in self.keys.items():
            held["k_dn"] = keys(int(kid, 16)).k_dn.hex()
        return self

    def rotate(self):
        """New key ids for all boards, beside the old ones: board n has kid n + 16."""
        for n, kids in self.nodes.items():
            kids.append(f"{n + 16:04x}")
            made = keys(n + 16)
            self.keys[kids[-1]] = {"k_up": made.k_up.hex(), "iv": made.iv.hex()}
        return self.controller()

    def write(self, mode=0o600):
        boards = BOARDS.replace("role: reader", f"role: {self.role}")
        for n, kids in self.nodes.items():
            boards += NODE.format(n=n).replace(f'"{n:04x}"', ", ".join(f'"{kid}"' for kid in kids))
        (self.folder / "boards.yaml").write_text(boards)
        self.config.write_text(self.text)
        path = self.folder / "keys.json"
        path.write_text(json.dumps({"role": self.role, "keys": self.keys}, indent=1))
        path.chmod(mode)
        return self


class Daemon:
    """The daemon as a process of its own; `events` holds the lines it said. begin: with an empty store, where there is none."""

    def __init__(self, files, *options, die_at=None, stdout=subprocess.PIPE, prefix=(), script=None, events=True, begin=True):
        module = ["-m", "tools.twin.killer", die_at] if die_at else [str(script)] if script else ["-m", "gateway"]
        command = [*prefix, sys.executable, "-P", *module, "run", "--config", str(files.config), *["--events"] * events, *options]
        if begin and windows.missing(files.store) and "--new-windows" not in options:
            windows.begin(files.store)
        self.files = files
        self.events = []
        self._process = subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, text=True)
        self._errors = []
        streams = [(self._process.stdout, self.events, json.loads), (self._process.stderr, self._errors, str)]
        self._threads = [threading.Thread(target=self._read, args=s, daemon=True) for s in streams if s[0]]
        for thread in self._threads:
            thread.start()

    @staticmethod
    def _read(stream, into, parse):
        for line in stream:
            into.append(parse(line))

    @property
    def stderr(self):
        return "".join(self._errors)

    @property
    def pid(self):
        return self._process.pid

    @property
    def alive(self):
        return self._process.poll() is None

    def signal(self, number):
        self._process.send_signal(number)

    def kill(self):
        self._process.kill()
        return self.wait()

    def stop(self):
        self._process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self, timeout_s=20):
        code = self._process.wait(timeout_s)
        for thread in self._threads:
            thread.join(5)
        return code

    def said(self, kind, **fields):
        """The events of a kind with these fields."""
        return [e for e in self.events if e["ev"] == kind and all(e.get(k) == v for k, v in fields.items())]

    def close(self):
        if self.alive:
            self._process.kill()
        self.wait()
        for stream in (self._process.stdout, self._process.stderr):
            if stream:
                stream.close()


class Board:
    """A radio bridge at the far end of a pseudo terminal, built from the boards' own code: numbers, keeps, sends again."""

    def __init__(self, folder, name="bridge"):
        self.path = folder / f"tty-{name}"
        self.waiting = {}
        self.handled = []
        self.seq = 0
        self.hellos = 0
        self.mute = False  # answers no hello
        self.sends = []  # (number, frame, at_ms, radio) that it was given to send
        self.status = link.OK  # what it says of them
        self._start_s = time.monotonic()
        self._decoder = hdlc.Decoder()
        self._lock = threading.Lock()
        self._master = None
        self._stop = threading.Event()
        self._thread = None
        self.plug()

    @property
    def t_ms(self):
        return int((time.monotonic() - self._start_s) * 1000) & 0xFFFFFFFF

    def plug(self):
        """A new terminal under the old name."""
        master, slave = os.openpty()
        tty.setraw(slave)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(slave))
        self._slave = slave
        self._master = master
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(master, self._stop), daemon=True)
        self._thread.start()

    def unplug(self):
        """The terminal goes away, as a USB port does."""
        self._stop.set()
        self._thread.join()
        self.path.unlink()
        os.close(self._slave)
        os.close(self._master)
        self._master = None

    def close(self):
        if self._master is not None:
            self.unplug()

    def hears(self, sealed, rssi_dbm=-101, snr_x4=22, t_ms=None):
        """A frame from the air; returns its number."""
        with self._lock:
            self.seq += 1
            self.waiting[self.seq] = (sealed, rssi_dbm, snr_x4, self.t_ms if t_ms is None else t_ms)
            self._send(self.seq)
            return self.seq

    def says(self, data):
        """Any bytes, on the line now."""
        with self._lock, contextlib.suppress(OSError):
            view = memoryview(data)
            while view:
                view = view[os.write(self._master, view[:1000]) :]

    @property
    def unread(self):
        """Bytes on the line that the daemon has not read yet."""
        return int.from_bytes(fcntl.ioctl(self._slave, termios.FIONREAD, bytes(4)), sys.byteorder)

    def _send(self, seq):
        if self._master is not None:
            data = link.heard(seq, *self.waiting[seq])
            with contextlib.suppress(OSError):
                while data:
                    data = data[os.write(self._master, data) :]

    def _serve(self, master, stop):
        while not stop.is_set():
            if not select.select([master], [], [], 0.02)[0]:
                continue
            try:
                data = os.read(master, 4096)
            except OSError:  # nobody has the other end open
                time.sleep(0.02)
                continue
            for proto, body in self._decoder.feed(data):
                if proto == hdlc.PROTO_MESSAGE:
                    self._message(link.parse(body))

    def _message(self, message):
        with self._lock:
            if message[0] == link.HANDLED:
                self.handled.append(message[1])
                for seq in [s for s in self.waiting if s <= message[1]]:
                    del self.waiting[seq]
            elif message[0] == link.SEND:
                self.sends.append((*message[1:5], len(self.handled)))
                with contextlib.suppress(OSError):
                    os.write(self._master, link.sent(message[1], self.status, 185_000))
            elif message[0] == link.HELLO and not self.mute:
                self.hellos += 1
                with contextlib.suppress(OSError):
                    os.write(self._master, link.hello("1.0", "e6614c311b7e5a21", ["bridge"], self.t_ms, self.seq, 0))
                for seq in sorted(self.waiting):
                    self._send(seq)


class Listener:
    """All readings and frames that the broker delivers, from a thread of its own."""

    def __init__(self, url):
        self.messages = []
        self._port = int(url.rsplit(":", 1)[1])
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    def _run(self):
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._listen())

    async def _listen(self):
        self._task = asyncio.current_task()
        async with aiomqtt.Client("127.0.0.1", self._port, protocol=aiomqtt.ProtocolVersion.V5) as client:
            await client.subscribe([(f"jourdain/+/+/{kind}", 1) for kind in ("senml", "frames")])
            self._ready.set()
            async for message in client.messages:
                self.messages.append(message)

    def close(self):
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(5)
        self._loop.close()

    def frames(self):
        """kid || PIV of every reading, in the order of arrival, repetitions included."""
        packs = [cbor2.loads(m.payload) for m in self.messages if str(m.topic).endswith("/senml")]
        return [record[8] for pack in packs for record in pack if record.get(0) == "frame"]


def until(condition, timeout_s=10.0, what=""):
    """Wait for `condition()` to be true."""
    end = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {timeout_s} s: {what or condition.__doc__ or 'the condition'}"
        time.sleep(0.01)
    return found


def counts(files):
    """(counts by kid, counters) from the store, as another process reads them."""
    books = Books(files.store)
    try:
        return books.counts(), books.counters()
    finally:
        books.close()


def balance(files, upstream="senml", frames=False):
    """What became of everything that an upstream's gateway accepted; it must add up at any moment."""
    books = Books(files.store)
    try:
        found = books.balance(upstream, frames=frames)
    finally:
        books.close()
    assert found.accepted == found.forwarded + found.queued + found.dropped, found
    return found


def fresh_folder():
    """A folder for a machine that has no fixtures."""
    return Path(tempfile.mkdtemp(prefix="jourdain-"))


def drop_folder(path):
    """Remove it with all that is in it."""
    shutil.rmtree(path, ignore_errors=True)

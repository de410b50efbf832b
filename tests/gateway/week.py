"""A broker away for a week while a thousand boards report: what the daemon needs, and how it comes back.

The week is simulated (the daemon's clock is a file), the frames are real and come as fast as the daemon takes them. Then the
broker returns, with new readings and alarms coming in beside the backlog; last, what the broker had received is sent to it again
by a bare publisher over the same line, which is the line's speed.
"""

import mmap
import statistics
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import gatedesk as desk
import paho.mqtt.client as paho
from lifebridge import Bridge
from lifecheck import FRAME
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from firmware.wire import cbor, seal
from gateway import clock
from tools.twin.broker import Proxy

HOUR_S = 3600
START_UNIX_S = 1_790_000_000.0
OUTSTANDING = 48  # frames that the bridge has not seen handled; it keeps 64
BOARD = """\
  b{n}: {{type: pico, service: bin, uid: "e6614c31{n:08x}", kids: ["{kid}"], position: [48.6, -2.8],
    settings: {{empty_mm: 1150, full_mm: 250}}, sensors: {{distance: a02yyuw, temperature: ds18b20}},
    radio: {{module: waveshare-pico-sx1262}}}}
"""


class Town:
    """`n` boards, their keys and counters; `frame(n, payload)` seals the next one of a board."""

    def __init__(self, n):
        kids = {i: i.to_bytes(2, "big") for i in range(1, n + 1)}
        self.keys = {i: seal.derive(bytes((0x5A, *kid, *range(13))), kid) for i, kid in kids.items()}
        self.piv = dict.fromkeys(self.keys, 0)

    def frame(self, n, payload):
        """-> (frame, name)."""
        self.piv[n] += 1
        return seal.seal(self.keys[n], self.piv[n], cbor.dumps(payload)), desk.name(n, self.piv[n])

    def write(self, files):
        """Put the boards into a gateway's files."""
        files.nodes = {}
        files.keys = {f"{n:04x}": {"k_up": k.k_up.hex(), "iv": k.iv.hex()} for n, k in self.keys.items()}
        files.write()
        with (files.folder / "boards.yaml").open("a") as file:
            file.writelines(BOARD.format(n=n, kid=f"{n:04x}") for n in self.keys)


class Narrow(Proxy):
    """A way to the broker that carries so many bytes a second upwards; 0: as many as come."""

    bytes_per_s = 0

    def _forward(self, sock):
        if not self.bytes_per_s or sock.getsockname()[1] != self.port:
            super()._forward(sock)
            return
        try:
            data = sock.recv(4096)
            self._peers[sock].sendall(data)
        except OSError:
            data = b""
        if not data:
            self._drop(sock)
        time.sleep(len(data) / self.bytes_per_s)


class Clock:
    """The daemon's clock, moved by hand."""

    def __init__(self, path):
        path.write_bytes(bytes(16))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 16)
        self.now_s = 1000.0
        self.move(0)

    def move(self, seconds):
        self.now_s += seconds
        clock.write_pair(self._map, START_UNIX_S + self.now_s, self.now_s)


class Got(NamedTuple):
    """A message as it came: when (our monotonic seconds), its lane, topic and payload."""

    at_s: float
    lane: str
    topic: str
    payload: bytes


class Ear:
    """Keeps what the broker hands out, and reads it later."""

    def __init__(self, port):
        self.got = []
        self._ready = []
        self._client = client = paho.Client(paho.CallbackAPIVersion.VERSION2, "ear", protocol=paho.MQTTv5)
        client.on_connect = lambda c, *_: c.subscribe("jourdain/+/+/senml", qos=0)
        client.on_subscribe = lambda *_: self._ready.append(True)
        client.on_message = self._on_message
        client.connect("127.0.0.1", port, keepalive=600)
        client.loop_start()
        desk.until(lambda: self._ready)

    def _on_message(self, _, __, message):
        lane = dict(getattr(message.properties, "UserProperty", ())).get("lane", "-")
        self.got.append(Got(time.monotonic(), lane, message.topic, message.payload))

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


class Week:
    """One run: `away(hours)`, `back()`, `line()`; the figures are in `facts`."""

    def __init__(self, folder, broker, proxy, *, settings="", boards=1000):
        self.proxy = proxy
        self.town = Town(boards)
        self.clock = Clock(folder / "clock")
        self.bridge = Bridge(folder, now_s=lambda: self.clock.now_s)
        self.files = desk.Files(folder, {"bridge": self.bridge.path}, proxy.url, f"reconnect_max_s = 1.0\n{settings}")
        self.town.write(self.files)
        self.ear = Ear(broker.plain_port if hasattr(broker, "plain_port") else broker.port)
        self.facts = {"boards": boards}
        self.resident_kb = []
        proxy.cut()
        begun_s = time.monotonic()
        self.daemon = desk.Daemon(self.files, "--clock", str(folder / "clock"), stdout=subprocess.DEVNULL, events=False)
        desk.until(lambda: self.bridge.hellos, 60)
        self.facts["ready_s"] = time.monotonic() - begun_s

    def _hears(self, n, payload):
        frame, name = self.town.frame(n, payload)
        while len(self.bridge.waiting) >= OUTSTANDING:
            time.sleep(0.0002)
        self.bridge.hears(frame, (name,))
        return name

    def away(self, hours=168, per_hour=1):
        """The broker is away: every board reports `per_hour` times an hour."""
        begun_s, step_s = time.monotonic(), HOUR_S / per_hour / len(self.town.keys)
        for tick in range(hours * per_hour):
            for n in self.town.keys:
                self.clock.move(step_s)
                self._hears(n, {1: 3700 - tick % 100, 2: 150 + tick % 50, 3: (n + tick) % 101, 4: 300 + n % 800})
            if tick % (6 * per_hour) == 0:
                self.resident_kb.append(resident_kb(self.daemon.pid))
        desk.until(lambda: not self.bridge.waiting, 60)
        self.resident_kb.append(resident_kb(self.daemon.pid))
        heard = sum(self.town.piv.values())
        took_s = time.monotonic() - begun_s
        self.facts |= {"backlog": heard, "taken_per_s": heard / took_s, "rss_first_mb": self.resident_kb[1] / 1024}
        self.facts |= {"rss_last_mb": self.resident_kb[-1] / 1024, "rss_most_mb": max(self.resident_kb[1:]) / 1024}

    def back(self, live_per_s=20):
        """The broker returns; meanwhile new readings come, every tenth an alarm."""
        backlog, given, n = sum(self.town.piv.values()), {}, 0
        rss = [resident_kb(self.daemon.pid)]
        mended_s = time.monotonic()
        self.proxy.mend()
        end_s = mended_s + 600
        seen, parsed, last_s, moved_s = {}, 0, 0.0, mended_s
        while len(seen) < backlog + len(given) and time.monotonic() < end_s:
            now_s = time.monotonic()
            self.clock.move(now_s - moved_s)
            moved_s = now_s
            if now_s - last_s > 1 / live_per_s and len(seen) < backlog:
                last_s, n = now_s, n + 1
                board = n % len(self.town.keys) + 1
                alarm = n % 10 == 0
                name = self._hears(board, {3: n % 101, **({19: 1} if alarm else {})})
                given[name] = (time.monotonic(), alarm)
                rss.append(resident_kb(self.daemon.pid))
            fresh = self.ear.got[parsed:]
            parsed += len(fresh)
            for got in fresh:
                for name in names(got.payload):
                    seen.setdefault(name, (got.at_s, len(seen)))
            time.sleep(0.002)
        self._judge(backlog, given, seen, rss)

    def _judge(self, backlog, given, seen, rss):
        first_s, last_s = self.ear.got[0].at_s, max(at for name, (at, _) in seen.items() if name not in given)
        waits = {alarm: [seen[n][0] - at for n, (at, a) in given.items() if n in seen and a == alarm] for alarm in (True, False)}
        # What was given while the backlog was not yet through has overtaken as much of it as came after.
        total = len(seen)
        places = [seen[n][1] / total for n, (at, alarm) in given.items() if alarm and n in seen]
        self.facts |= {
            "missing": backlog + len(given) - len(seen),
            "came_again": sum(len(list(names(g.payload))) for g in self.ear.got) - len(seen),
            "drain_s": last_s - first_s,
            "drain_per_s": backlog / (last_s - first_s),
            "rss_drain_mb": max(rss) / 1024,
            "alarms": len(waits[True]),
            "alarm_most_s": max(waits[True], default=0.0),
            "alarm_first_place": min(places, default=1.0),
            "live": len(waits[False]),
            "live_median_s": statistics.median(waits[False]) if waits[False] else 0.0,
            "live_most_s": max(waits[False], default=0.0),
        }

    def line(self):
        """The line's speed: the same messages by a bare publisher over the same way, its window open."""
        client = paho.Client(paho.CallbackAPIVersion.VERSION2, "bare", protocol=paho.MQTTv5)
        client.connect("127.0.0.1", self.proxy.port)
        client.loop_start()
        messages = [(g.topic.replace("jourdain", "bare"), g.payload) for g in self.ear.got]
        readings = sum(len(list(names(payload))) for _, payload in messages)
        properties = Properties(PacketTypes.PUBLISH)
        properties.ContentType = "application/senml+cbor"
        acked = []
        client.on_publish = lambda *_: acked.append(time.monotonic())
        begun_s = time.monotonic()
        for topic, payload in messages:
            client.publish(topic, payload, qos=1, properties=properties)
        desk.until(lambda: len(acked) == len(messages), 300)
        client.disconnect()
        client.loop_stop()
        self.facts["line_per_s"] = readings / (acked[-1] - begun_s)
        self.facts["of_the_line"] = self.facts["drain_per_s"] / self.facts["line_per_s"]

    def close(self):
        for part in (self.daemon, self.bridge, self.ear):
            part.close()


def names(payload):
    """kid || PIV of each reading of a pack: the records `frame` carry 6 bytes, found without reading the rest."""
    at = 0
    while (at := payload.find(_MARK, at)) >= 0:
        yield payload[at + len(_MARK) : at + len(_MARK) + 6]
        at += len(_MARK)


def _mark():
    """How a record {0: "frame", 8: 6 bytes} begins in CBOR, map header apart."""
    return b"\x00\x65" + FRAME.encode() + b"\x08\x46"


_MARK = _mark()


def resident_kb(pid):
    """Memory of a process, in kB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])

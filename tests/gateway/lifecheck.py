"""Who may judge: an independent reader at the broker, and a checker that knows what the bridge heard and what the reader got."""

import zlib
from typing import NamedTuple

import cbor2
import paho.mqtt.client as paho

FRAME, FILL = "frame", "fill"


class Given(NamedTuple):
    """A reading that a board took: its name (kid || PIV), its fills oldest first, when it was heard first and last: a board may
    send it twice, and the bridge lose the first.
    """

    name: bytes
    fills: tuple
    first: int
    last: int


class Reader:
    """Everything that the broker hands out below jourdain/+/+/senml, in the order of arrival: (lane, name, fill).

    QoS 0 and nothing to say: the broker writes to such a reader before it acknowledges to the sender, and what it wrote reaches
    us even when it is killed (an unread acknowledgement of ours would reset the connection and lose it).
    """

    def __init__(self, port):
        self.got = []
        self.messages = 0
        self._port = port
        self._client = None

    def connect(self):
        """A new connection; returns when the broker knows what we want."""
        self.close()
        found = []
        self._client = client = paho.Client(paho.CallbackAPIVersion.VERSION2, "reader", protocol=paho.MQTTv5)
        client.on_message = self._on_message
        client.on_subscribe = lambda *_: found.append(True)
        client.on_connect = lambda c, *_: c.subscribe("jourdain/+/+/senml", qos=0)
        client.reconnect_delay_set(0.02, 0.05)
        client.connect("127.0.0.1", self._port, keepalive=600)
        client.loop_start()
        return found

    def _on_message(self, _, __, message):
        payload, lane = message.payload, "-"
        for key, value in getattr(message.properties, "UserProperty", ()):
            if key == "encoding" and value == "deflate":
                payload = zlib.decompress(payload)
            if key == "lane":
                lane = value
        self.messages += 1
        for name, fill in readings(payload):
            self.got.append((lane, name, fill))

    def close(self):
        if self._client:
            self._client.disconnect()
            self._client.loop_stop()
            self._client = None


def readings(payload):
    """(kid || PIV, fill) of each reading of a SenML pack."""
    fill = None
    for record in cbor2.loads(payload):
        if record[0] == FILL:
            fill = round(record[2] * 100)
        elif record[0] == FRAME:
            yield record[8], fill
            fill = None


class Checker:
    """given: what boards took and the bridge heard, by name. `again`: how many deliveries may come a second time, which a cut
    allows. `violations` says what is wrong.
    """

    def __init__(self):
        self.given = {}
        self.violations = []
        self.repeated = 0
        self._at = self._looked = self._heard = 0
        self._wanted = set()
        self._places = {}
        self.seen = {}

    def give(self, name, fills):
        """The bridge hears a frame that holds this reading; a frame that is heard again is the same reading."""
        self._heard += 1
        if name in self.given:
            self.given[name] = self.given[name]._replace(last=self._heard)
        else:
            self.given[name] = Given(name, tuple(fills), self._heard, self._heard)
            self._wanted.update((name, fill) for fill in fills)

    def missing(self, lost, got):
        """Names that were heard and not delivered, without those that the bridge itself lost."""
        for _, name, fill in got[self._looked :]:
            self._wanted.discard((name, fill))
        self._looked = len(got)
        return {name for name, _ in self._wanted} - lost

    def judge(self, got, again):
        """Look at what came since the last call: known, true, in order within its lane, and no more than `again` twice."""
        bad, twice = self.violations, 0
        for lane, name, fill in got[self._at :]:
            wanted = self.given.get(name)
            if wanted is None:
                bad.append(f"{name.hex()} was delivered and never heard")
            elif fill not in wanted.fills:
                bad.append(f"{name.hex()} was delivered with {fill}, its board took {wanted.fills}")
            elif (name, fill) in self.seen:
                twice += 1
            else:
                self.seen[name, fill] = lane
                kid = name[:-4]
                if wanted.last < self._places.get((lane, kid), 0):
                    bad.append(f"{name.hex()} came behind a later one of its board in lane {lane}")
                self._places[lane, kid] = max(wanted.first, self._places.get((lane, kid), 0))
        self._at = len(got)
        self.repeated += twice
        if twice > again:
            bad.append(f"{twice} readings came twice, where at most {again} may")
        return twice

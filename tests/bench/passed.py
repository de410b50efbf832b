"""What passed the tap: publishes, their PUBACKs, and which readings they carried."""

import zlib

import cbor2

DEFLATED = b"\x78"


class Passed:
    """Publishes and their PUBACKs out of the tap's pieces: `acked` {name: s}, `bytes` both ways, `publishes` [(s of the
    publish, s of its PUBACK, payload)]. `read(payload)` gives the names in a payload.
    """

    def __init__(self, read):
        self._read = read
        self._streams = {}
        self._flying = {}
        self._versions = {}
        self.publishes = []
        self.acked = {}
        self.bytes = 0

    def feed(self, pieces):
        """Pieces as `tap.py` writes them."""
        for at_s, number, up, data in pieces:
            self.bytes += len(data)
            stream = self._streams.setdefault((number, up), bytearray())
            stream += data
            for head, body in packets(stream):
                if up:
                    self._up(at_s, number, head, body)
                elif head >> 4 == 4:
                    self._puback(at_s, number, int.from_bytes(body[:2], "big"))

    def _up(self, at_s, number, head, body):
        if head >> 4 == 1:
            self._versions[number] = body[6]
        elif head >> 4 == 3 and head & 6:
            mid, payload = publish(body, self._versions.get(number, 5))
            self._flying[number, mid] = (at_s, payload)

    def _puback(self, at_s, number, mid):
        if (number, mid) in self._flying:
            begun_s, payload = self._flying.pop((number, mid))
            self.publishes.append((begun_s, at_s, payload))
            for name in self._read(payload):
                self.acked.setdefault(name, at_s)


def packets(stream):
    """The whole MQTT packets at the front of a bytearray, which are taken off it: (first byte, body)."""
    at = 0
    while True:
        n = shift = 0
        pos = at + 1
        while pos < len(stream):
            n |= (stream[pos] & 127) << shift
            shift += 7
            pos += 1
            if stream[pos - 1] < 128:
                break
        else:
            break
        if pos + n > len(stream):
            break
        yield stream[at], bytes(stream[pos : pos + n])
        at = pos + n
    del stream[:at]


def publish(body, version):
    """(packet id, payload) of a PUBLISH with QoS 1."""
    at = 2 + int.from_bytes(body[:2], "big")
    mid = int.from_bytes(body[at : at + 2], "big")
    at += 2
    if version == 5:
        n = shift = 0
        while True:
            n |= (body[at] & 127) << shift
            shift += 7
            at += 1
            if body[at - 1] < 128:
                break
        at += n
    return mid, body[at:]


def frames(payload):
    """kid || PIV of the readings in a SenML pack; nothing for what is none."""
    try:
        records = cbor2.loads(zlib.decompress(payload) if payload[:1] == DEFLATED else payload)
        return [record[8] for record in records if record.get(0) == "frame"]
    except (cbor2.CBORDecodeError, zlib.error, AttributeError, TypeError, KeyError):
        return []

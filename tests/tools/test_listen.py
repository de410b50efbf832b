"""`jourdain listen`: packs as readings, each value once, and what is no pack named and counted."""

import csv
import io
import json
import socket
import threading
import time

import cbor2
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from firmware.wire.host.rows import ROWS
from firmware.wire.quantities import ALARM
from gateway.uplink import PLAIN, Row
from gateway.upstream.connection import Message
from gateway.upstream.senml import pack as senml_pack
from tools import cli
from tools.diag import listen
from tools.diag.senml_read import PackError, Reading, Value, read

UNIX_MS = 1_790_000_000_500
BN = "urn:dev:org:32473-port-luce-"
FRAME = bytes.fromhex("0002") + (7).to_bytes(4, "big")


def pack(*records):
    return cbor2.dumps(list(records))


BIN = (
    {-2: BN + "bin-quai_", -3: 1_790_000_000, 0: "fill", 1: "/", 2: 0.73},
    {0: "tilted", 4: False},
    {0: "rssi", 1: "dBW", 2: -121},
    {0: "frame", 8: FRAME},
)
BAY = ({-2: BN + "bay-quai-1_", -3: 1_790_000_060.5, 0: "occupied", 4: True}, {0: "frame", 8: bytes.fromhex("001000000009")})


def test_a_pack_of_two_readings():
    bin_, bay = read("port-luce", pack(*BIN, *BAY))
    fill = {"fill": Value(0.73, "/"), "tilted": Value(False, ""), "rssi": Value(-121, "dBW")}
    assert bin_ == Reading("port-luce", "bin-quai", 1_790_000_000, "0002", 7, fill)
    assert (bay.device, bay.unix_s, bay.kid, bay.piv) == ("bay-quai-1", 1_790_000_060.5, "0010", 9)
    assert bay.values == {"occupied": Value(True, "")}


def test_what_the_daemon_writes_is_read_by_name():
    """Every quantity of the table, those with an underscore in their name too."""
    reading = {key: b"\1\2\3\4" if kind == "bytes" else kind == "bool" or 1 for key, _, kind, *_ in ROWS if key != ALARM}
    row = Row(1, b"\0\2", 7, PLAIN, 1, 0, UNIX_MS, 200, None, -101, -22, "bridge", None, cbor2.dumps(reading), bytes(8), b"")
    (one,) = read("port-luce", senml_pack([row], lambda kid: BN + "bin-quai_"))
    assert (one.device, one.kid, one.piv, one.unix_s) == ("bin-quai", "0002", 7, 1_790_000_000.5)
    assert set(one.values) == {name for key, name, *_ in ROWS if key != ALARM} | {"rssi", "snr"}


def test_what_other_publishers_may_write():
    base = {-2: "urn:x_", -3: 100, -4: "Cel", -5: 20}
    whole = pack({**base, 0: "t", 2: 1.5, 6: 5}, {0: "s", 3: "ok"}, {0: "d", 8: b"1"}, {0: "sum", 5: 3})
    first, second = read("s", whole)
    assert (first.device, first.unix_s, first.values) == ("urn:x", 105, {"t": Value(21.5, "Cel")})
    assert second.unix_s == 100
    assert second.values == {"s": Value("ok", "Cel"), "d": Value(b"1", "Cel")}
    (alone,) = read("s", pack({0: "n", 2: 1}))
    assert (alone.unix_s, alone.kid, alone.piv) == (None, "", None)
    assert read("s", pack()) == []


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"hello",
        cbor2.dumps({"a": 1}),
        cbor2.dumps([1, 2]),
        pack({2: 1}),
        pack({0: 5, 2: 1}),
        pack({0: "n", 2: "five"}),
        pack({0: "n", 2: True}),
        pack({0: "n", 4: 1}),
        pack({0: "n", 8: "text"}),
        pack({0: "n", 1: 7, 2: 1}),
        pack({-3: "now", 0: "n", 2: 1}),
        pack({0: "n", 2: 1, "must_": 1}),
        b"\x81" * 100_000,
        b"\x9b\x00\x00\x00\x7f\xff\xff\xff\xff",
        b"\x00" * 1_000_001,
    ],
)
def test_what_is_no_pack(payload):
    with pytest.raises(PackError):
        read("port-luce", payload)


class Kept(listen.Lines):
    def __init__(self):
        super().__init__(lambda text: None)
        self.readings, self.batches = [], []

    def reading(self, reading):
        self.readings.append(reading)

    def frames(self, site, gateway, batch, count):
        self.batches.append((site, gateway, batch, count))


def message(payload, kind="senml"):
    return Message(f"jourdain/port-luce/capitainerie/{kind}", payload, "")


def test_each_value_is_shown_once(capsys):
    shown = Kept()
    listener = listen.Listener(shown)
    late = ({-2: BN + "bin-quai_", -3: 1_790_000_000, 0: "fill", 2: 0.73}, {0: "battery", 2: 3.7}, {0: "frame", 8: FRAME})
    for payload in (pack(*BIN), pack(*BIN), pack(*late), b"rubbish"):
        assert not listener.take(message(payload))
    assert [list(reading.values) for reading in shown.readings] == [["fill", "tilted", "rssi"], ["battery"]]
    assert dict(listener.counts) == {"again": 4, "readings": 2, "unreadable": 1}
    assert "jourdain/port-luce/capitainerie/senml: not readable: no CBOR" in capsys.readouterr().err
    everything = listen.Listener(Kept(), again=True, count=2)
    assert [everything.take(message(pack(*BIN))) for _ in range(2)] == [False, True]


def test_frames_stay_closed_and_are_counted(capsys):
    shown = Kept()
    listener = listen.Listener(shown)
    listener.take(message(cbor2.dumps([1, "capitainerie", 5, [[1, b"\x81", -100, 20, None]] * 3]), "frames"))
    for wrong in ([2, "g", 1, []], [1], 7, [1, "g", 1, [[1, "text"]]]):
        listener.take(message(cbor2.dumps(wrong), "frames"))
    assert shown.batches == [("port-luce", "capitainerie", 5, 3)]
    assert listener.counts == {"frames": 3, "unreadable": 4}
    assert "3 frames" in listener.summary()
    assert len(capsys.readouterr().err.splitlines()) == 4


def test_the_ways_to_show(capsys):
    for style in ("json", "csv", None):
        show = listen._shower(style)
        for reading in read("port-luce", pack(*BIN)):
            show.reading(reading)
        show.frames("port-luce", "capitainerie", 5, 3)
        show.close()
    out = capsys.readouterr().out.splitlines()
    assert json.loads(out[0]) == {
        "site": "port-luce", "device": "bin-quai", "time": "2026-09-21T14:13:20Z", "unix_s": 1_790_000_000, "kid": "0002",
        "piv": 7, "values": {"fill": 0.73, "tilted": False, "rssi": -121}, "units": {"fill": "/", "rssi": "dBW"},
    }  # fmt: skip
    assert json.loads(out[1]) == {"site": "port-luce", "gateway": "capitainerie", "batch": 5, "frames": 3}
    rows = list(csv.reader(io.StringIO("\n".join(out[2:6]))))
    assert tuple(rows[0]) == listen.CSV_HEAD
    assert rows[1] == ["2026-09-21T14:13:20Z", "port-luce", "bin-quai", "0002", "7", "fill", "0.73", "/"]
    assert "bin-quai" in out[6]
    assert "fill 73 %" in out[6]
    assert listen.moment(None) == "-"
    assert listen.moment(1e18) == "1e+18"
    table = listen.LiveTable()
    table.reading(Reading("s", "d", 1.0, "0001", 4, {"tilted": Value(True, ""), "rssi": Value(-120, "dBW")}))
    table.close()
    assert "yes" in capsys.readouterr().out


@pytest.mark.produces("broker_refused", "bad_config")
def test_no_broker_and_no_address(capsys):
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    assert cli.run(["listen", "--broker", f"mqtt://127.0.0.1:{free}", "--json"]) == 11
    said = capsys.readouterr()
    assert json.loads(said.out)["error"] == "broker_refused"
    assert said.err.splitlines()[-3].startswith("broker_refused: ")
    assert cli.run(["listen", "--broker", "http://town"]) == 3
    assert "bad_config: " in capsys.readouterr().err


def test_a_real_broker(tmp_path, capsys):
    broker = pytest.importorskip("tools.twin.broker").Embedded(tmp_path)
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    stop = threading.Event()

    def publish():
        while not stop.is_set():
            for payload in (pack(*BIN), b"rubbish", pack(*BAY)):
                client.publish("jourdain/port-luce/capitainerie/senml", payload, qos=1)
            time.sleep(0.1)

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        assert cli.run(["listen", "--broker", f"mqtt://127.0.0.1:{broker.port}", "--json", "--count", "2"]) == 0
    finally:
        stop.set()
        thread.join()
        client.disconnect()
        client.loop_stop()
        if hasattr(broker, "close"):
            broker.close()
    said = capsys.readouterr()
    assert {json.loads(line)["device"] for line in said.out.splitlines()} == {"bin-quai", "bay-quai-1"}
    assert "2 readings" in said.err

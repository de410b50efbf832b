"""The peers as they are set up for `make bench-peers`: their files, their processes, what their messages are called.

ThingsBoard Gateway and persist-queue live in environments of their own under build/peers; the Mosquitto bridge is Debian's.
"""

import getpass
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent))
import yard
from paho.mqtt import client as paho

BUILD = Path(__file__).resolve().parent.parent.parent / "build" / "peers"
TOKEN = "TOKEN"
START_S = 30.0
QUIET_S = 4.0
# An own request must not come back as one of the server's: a plain broker acts as ThingsBoard.
RULES = f"topic readwrite #\nuser {TOKEN}\ntopic read v1/devices/me/rpc/response/#\ntopic write #\n"
LIMITS = (
    "rateLimits",
    "dpRateLimits",
    "messagesRateLimits",
    "deviceMessagesRateLimits",
    "deviceRateLimits",
    "deviceDpRateLimits",
)
SESSION = {"rateLimits": {}, "gatewayRateLimits": {}, "maxInflightMessages": 100, "maxPayloadSize": 65536}
SERIES = ("n", "battery", "temperature", "fill", "distance", "rssi", "snr")


def python(name):
    """The interpreter of a peer's environment."""
    return BUILD / name / "bin" / "python"


class Devices:
    """A broker that devices publish to, and the crowd of them."""

    def __init__(self, where, settings=""):
        self.port = yard.free_port()
        self._where = where
        config = where.folder / "devices.conf"
        base = f"listener {self.port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\nuser {getpass.getuser()}\n"
        config.write_text(base + settings)
        tool = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        self.process = subprocess.Popen([tool, "-c", str(config)], stderr=subprocess.DEVNULL)
        self.pid = self.process.pid
        yard.until(lambda: yard.answers(self.port), what="the devices' broker listens")
        self._feed = yard.Child(yard.script("feed.py", self.port))
        self._feed.line()

    def give(self, messages, rate=0):
        """Publish [(topic, payload)]; the seconds at which each was written."""
        file, times = self._where.folder / "messages", self._where.folder / "times"
        file.write_bytes(pickle.dumps(messages))
        self._feed.ask(file=str(file), rate=rate, times=str(times))
        return pickle.loads(times.read_bytes())

    def counters(self):
        """As yard.System: a Mosquitto bridge is the system itself."""
        return yard.cpu_s(self.pid), yard.written_bytes(self.pid)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._feed.close()
        yard.end(self.process)


class ThingsBoard:
    """ThingsBoard Gateway with SQLite storage and without rate limits: its MQTT connector in, `where`'s broker upstream.

    read_records: how many stored messages it takes at a time; shipped are 10, its documentation says 100, its code 1000.
    """

    def __init__(self, where, devices, read_records):
        self._where = where
        self.home = where.folder / f"thingsboard-{read_records}"
        for name in ("", "logs", "data"):
            (self.home / name).mkdir()
        self._answer = self._server(where.broker.port)
        self._write(where.port, devices.port, read_records)
        command = [str(python("thingsboard")), "-c", "from thingsboard_gateway.tb_gateway import daemon; daemon()"]
        environment = {**os.environ, "TB_GW_CONFIG_DIR": str(self.home)}
        self.system = yard.System(where, ["env", "-C", str(self.home), *command], where.folder / "thingsboard.log", environment)

    def counters(self):
        return self.system.counters()

    @property
    def pid(self):
        return self.system.pid

    def __enter__(self):
        return self

    def __exit__(self, *more):
        self._answer.loop_stop()
        self._answer.disconnect()
        self.system.__exit__(*more)
        shutil.rmtree(self.home)

    @staticmethod
    def _server(port):
        """Who answers what ThingsBoard answers at the start: that there are no limits."""
        client = paho.Client(paho.CallbackAPIVersion.VERSION2)

        def answer(client, _, message):
            client.publish(message.topic.replace("request", "response"), json.dumps(SESSION), qos=1)

        client.on_message = answer
        client.connect("127.0.0.1", port)
        client.subscribe("v1/devices/me/rpc/request/+", qos=1)
        client.loop_start()
        return client

    def _write(self, upstream, devices, read_records):
        platform = {"host": "127.0.0.1", "port": upstream, "remoteShell": False, "remoteConfiguration": False, "qos": 1}
        platform |= {"security": {"type": "accessToken", "accessToken": TOKEN}, "statistics": {"enable": False}}
        platform |= {
            "minPackSendDelayMS": 50,
            "minPackSizeToSend": 500,
            "maxPayloadSizeBytes": 8196,
            **dict.fromkeys(LIMITS, "0:0,"),
        }
        storage = {"type": "sqlite", "data_file_path": f"{self.home}/data/", "max_read_records_count": read_records}
        connector = {"type": "mqtt", "name": "devices", "configuration": "mqtt.json"}
        whole = {"thingsboard": platform, "storage": storage, "grpc": {"enabled": False}, "connectors": [connector]}
        (self.home / "tb_gateway.json").write_text(json.dumps(whole))
        broker = {"host": "127.0.0.1", "port": devices, "clientId": "tb", "version": 5, "security": {"type": "anonymous"}}
        broker |= {"maxMessageNumberPerWorker": 10, "maxNumberOfWorkers": 100}
        names = {"deviceNameExpressionSource": "topic", "deviceNameExpression": "(?<=sensor/)(.*?)(?=/data)"}
        names |= {"deviceProfileExpressionSource": "constant", "deviceProfileExpression": "bin"}
        series = [{"type": "integer" if key == "n" else "double", "key": key, "value": f"${{{key}}}"} for key in SERIES]
        converter = {"type": "json", "deviceInfo": names, "timeout": 60000, "attributes": [], "timeseries": series}
        mapping = {"topicFilter": "sensor/+/data", "subscriptionQos": 1, "converter": converter}
        (self.home / "mqtt.json").write_text(json.dumps({"broker": broker, "mapping": [mapping], "requestsMapping": {}}))
        shipped = next(python("thingsboard").parent.parent.glob("lib/*/site-packages/thingsboard_gateway/config/logs.json"))
        shutil.copy(shipped, self.home / "logs.json")

    @staticmethod
    def messages(first, n):
        """`n` messages of 40 devices, numbered."""
        rest = {"battery": 3.712, "temperature": 21.4, "fill": 0.73, "distance": 0.412, "rssi": -131, "snr": 5.5}
        return [(f"sensor/bin-{i % 40}/data", json.dumps({"n": i, **rest}).encode()) for i in range(first, first + n)]

    @staticmethod
    def names(payload):
        """The numbers in what it publishes."""
        try:
            found = json.loads(payload)
        except ValueError:
            return []
        lists = [entry for entry in found.values() if isinstance(entry, list)] if isinstance(found, dict) else []
        return [one["values"]["n"] for entry in lists for one in entry if "n" in one.get("values", {})]


def bridge_settings(where, more):
    """A Mosquitto that keeps its messages and bridges them to `where`'s broker."""
    keep = f"persistence true\npersistence_location {where.folder}/\n"
    bridge = f"connection up\naddress 127.0.0.1:{where.port}\ntopic # out 1\nbridge_protocol_version mqttv50\ntry_private false\n"
    return f"{keep}{more}{bridge}cleansession false\nnotifications false\n"


def numbered(first, n):
    """`n` messages for the bridge, as long as one reading in SenML."""
    return [("jourdain/plage/poste/senml", b"%10d" % i + bytes(206)) for i in range(first, first + n)]


def number(payload):
    """The number of one."""
    return [int(payload[:10])] if len(payload) == 216 else []

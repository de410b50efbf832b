"""A board on a desk for the node's tests: virtual time, littlefs in RAM, a host on the serial line. MicroPython only.

Import it first: it brings the town's clock (tools/twin/board/virtual.py).
"""

import virtual  # noqa: I001 - before asyncio

import asyncio
import io
import json
import os
import sys
from binascii import crc32

from ramdisk import PowerCut, RamDisk, mount  # noqa: F401 - the tests' own

from firmware.node.board import Board
from firmware.node.console import Console
from firmware.radio.airtime import airtime_us
from firmware.wire import hdlc, link
from firmware.wire.cbor import loads, loads_link
from firmware.wire.errors import DeviceError  # noqa: F401 - the tests' own
from firmware.wire.frame import parse
from firmware.wire.seal import derive, unseal

port = virtual.port
UID = "0a0b0c0d"
SECRET = bytes(range(16))
KID = b"\x00\x01"
KEYS = derive(SECRET, KID)


class Host(io.IOBase):
    """Both ends of the serial line as the host sees them: `say(bytes)`, `heard`: list of messages, `lines`: log lines."""

    def __init__(self):
        self._to_board = bytearray()
        self._decoder = hdlc.Decoder()
        self.buffer = self
        self.heard = []
        self.lines = []
        self.answers = []  # of the service console: [id, status, value]
        self.on_message = None
        self.disk = None  # set: what a board without power says is not heard

    def ioctl(self, request, mask):
        return mask & 1 if request == 3 and self._to_board else 0

    def read(self, n):
        data = bytes(self._to_board[:n])
        self._to_board = self._to_board[n:]
        return data

    def write(self, data):
        if self.disk and self.disk.power is None:
            return len(data)
        for proto, body in self._decoder.feed(bytes(data)):
            if proto == hdlc.PROTO_LOG:
                self.lines.append(body.decode())
            elif proto == hdlc.PROTO_CONSOLE:
                self.answers.append(loads_link(body))
            elif proto == hdlc.PROTO_MESSAGE:
                message = link.parse(body)
                self.heard.append(message)
                if self.on_message:
                    self.on_message(message)
            else:
                raise ValueError(f"text on the line: {body}")
        return len(data)

    def say(self, data):
        self._to_board.extend(data)

    def of(self, number):
        """The messages of one number."""
        return [m for m in self.heard if m[0] == number]

    def taken(self):
        """{piv: reading} of the log."""
        out = {}
        for line in self.lines:
            if line.startswith("taken "):
                _, piv, reading = line.split(" ", 2)
                assert int(piv) not in out, line
                out[int(piv)] = {int(k): v for k, v in json.loads(reading).items()}
        return out


class Module:
    """Stands in sys.modules for a file that a test brings."""

    def __init__(self, **members):
        for name, value in members.items():
            setattr(self, name, value)


class Service:
    """A service whose readings a test writes down: `script` is called with now_s and returns a reading."""

    sample_s = None
    script = None
    polled = None

    def __init__(self, settings, sensors):
        pass

    async def poll(self, now_s):
        return Service.polled(now_s)

    async def report(self, now_s):
        return Service.script(now_s)


sys.modules["firmware.services.desk"] = Module(Service=Service)


def config(**changes):
    """A wired node's configuration with changes."""
    out = {
        "v": 1, "site": "desk", "board": "desk-1", "role": "node", "type": "pico", "uid": UID, "kid": "0001", "hop": False,
        "report_s": 900, "link": "serial", "radio": None, "plan": None, "service": "desk", "settings": {}, "sensors": {},
        "battery": {"adc": 28, "divider_x1000": 2000}, "led": None,
    }  # fmt: skip
    out.update(changes)
    return out


def radio_config(**changes):
    """A radio node's configuration with changes; `sf` changes the plan."""
    plan = dict(PLAN)
    if "sf" in changes:
        plan["sf"] = changes.pop("sf")
    if "freq_hz" in changes:
        plan["freq_hz"] = changes.pop("freq_hz")
    return config(**dict({"link": "radio", "radio": RADIO, "plan": plan}, **changes))


RADIO = {"chip": "desk", "antenna_dbi": 0}
PLAN = {"band": "eu868", "freq_hz": 868100000, "sf": 9, "bw_hz": 125000, "cr": 5, "power_dbm": 14, "sync": 18}


def put(name, data):
    """Write a record, as firmware/node/files.py has it, to /f."""
    with open("/f/" + name, "wb") as file:
        file.write(data + crc32(data).to_bytes(4, "little"))


def flash(settings, secret_uid=UID, kid="0001"):
    """Write the board's own files to /f, as the flash tool does: a counter is made once and never again."""
    text = json.dumps(settings).encode()
    for i in range(2):
        put(f"config-{i}", bytes((0, 0, 0, 1 + i)) + text)
    slots = ("state/counter-" + settings["kid"], "counter-" + settings["kid"]) if settings["kid"] else ()
    if "state" not in os.listdir("/f"):
        os.mkdir("/f/state")
    if slots and slots[1] not in os.listdir("/f"):
        for slot in slots:
            put(slot, (1).to_bytes(8, "big"))
    with open("/f/secret.json", "w") as file:
        json.dump({"kid": kid, "secret": SECRET.hex(), "uid": secret_uid}, file)


def run(app, seconds):
    """Run an application for so many seconds of virtual time."""

    async def main():
        task = asyncio.create_task(app.run())
        left = seconds
        while left > 0:  # ticks hold six days
            await asyncio.sleep(min(left, 86400))
            left -= 86400
        task.cancel()

    asyncio.run(main())
    asyncio.new_event_loop()


class Radio:
    """The interface of firmware/radio/README.md over an air that a test holds: `sent`, `window`, `incoming`."""

    def __init__(self, fault):
        self.fault = fault
        self.settings = {"preamble": 8}
        self.counters = {}
        self.sent = []  # (start in ms, frame, settings)
        self.failing = []  # names of the faults of the next sends, None for one that goes well
        self.absent = False
        self.begun = 0
        self.asleep = False
        self.windows = []  # (opened at ms, timeout, settings)
        self.incoming = []  # (at ms, frame, rssi, snr_x4)
        self.incoming_now = False
        self.receiving = False
        self._staged = None
        self.disk = None  # set: a board without power sends nothing

    def begin(self):
        self.begun += 1
        if self.absent:
            raise self.fault("radio_absent", "desk")

    def configure(self, **settings):
        self.settings.update(settings)

    def airtime_us(self, n):
        s = self.settings
        return airtime_us(n, s["sf"], s["bw_hz"], s["cr"])

    def stage(self, frame):
        assert not self.receiving, "another task still has the radio"
        self._staged = frame

    def hearing(self):
        return self.incoming_now

    def sleep(self):
        self.asleep = True

    async def send(self, frame=None):
        self.asleep = False
        assert not self.receiving, "another task still has the radio"
        frame = self._staged if frame is None else frame
        if self.disk and self.disk.power is None:
            return 0
        self.sent.append((now_ms(), bytes(frame), dict(self.settings)))
        failing = self.failing.pop(0) if self.failing else None
        await asyncio.sleep_ms(self.airtime_us(len(frame)) // 1000)
        if failing:
            raise self.fault(failing, "desk")
        return self.airtime_us(len(frame))

    async def recv(self, timeout_ms=None):
        self.asleep = False
        self.receiving = True
        try:
            return await self._recv(now_ms(), timeout_ms)
        finally:
            self.receiving = False

    async def _recv(self, opened, timeout_ms):
        self.windows.append((opened, timeout_ms, dict(self.settings)))
        while timeout_ms is None or now_ms() - opened < timeout_ms:
            if self.incoming and self.incoming[0][0] <= now_ms():
                at_ms, frame, rssi, snr = self.incoming.pop(0)
                return Module(frame=frame, rssi_dbm=rssi, snr_x4=snr, t_ms=at_ms)
            if self.incoming:
                await asyncio.sleep_ms(max(1, min(self.incoming[0][0] - now_ms(), timeout_ms or 1 << 20)))
            else:
                await asyncio.sleep_ms(timeout_ms or 1000)
        return None


def now_ms():
    """Virtual milliseconds since the process began."""
    return port.now // 1000


def _make_radio(spec, fault):
    global radio
    radio = Radio(fault)
    return radio


radio = None
sys.modules["firmware.radio.desk"] = Module()
sys.modules["firmware.radio.desk.make"] = Module(make=_make_radio)


def start(root, host, role="node", ladder=None):
    """The application of the files below `root`, as the launcher makes it, with `host` on its serial line."""
    module = __import__(f"firmware.{role}.start", None, None, ("start",))
    app = module.start(Board(role, Console(host, host), ladder), root)
    __import__("firmware.node.forget", None, None, ("forget_start",)).forget_start()
    return app


class Desk:
    """A board that is switched on: `disk`, `host`, `app`, `radio`. `reboot` keeps the disk.

    `ladder`: a function that makes the Ladder of each boot (ladder_desk.py), or None.
    """

    ladder = None

    def __init__(self, settings=None, role="node", secret=True, blocks=24):
        self.disk = RamDisk(blocks)
        mount(self.disk, True)
        flash(settings or config())
        if not secret:
            os.remove("/f/secret.json")
        self.role = role
        self.on()

    def on(self):
        self.host = Host()
        self.host.disk = self.disk
        self.app = start("/f/", self.host, self.role, self.ladder() if callable(self.ladder) else self.ladder)
        self.radio = self.app.radio
        if self.radio:
            self.radio.disk = self.disk

    def reboot(self):
        """Power off and on: RAM is lost."""
        mount(self.disk)
        self.on()

    def run(self, seconds):
        """Run for so many seconds of virtual time; a second call starts the same application again."""
        run(self.app, seconds)

    def after(self, seconds, fn):
        """Let fn() happen at that time from now."""
        port.at(port.now + int(seconds * 1000000), fn)


def opened(frame):
    """The payload (dict) of an uplink of this desk's board, and its PIV."""
    parsed = parse(frame)
    return loads(unseal(KEYS, parsed)), parsed.piv

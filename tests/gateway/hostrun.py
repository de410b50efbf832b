"""A traced daemon that takes frames and passes them on, and what a cut of the power leaves of its word."""

import contextlib
import random
import shutil
import sqlite3
import time

import cbor2
import gatedesk as desk
import hostcut
import paho.mqtt.client as paho
from lifebridge import Bridge

from firmware.wire import hdlc, link
from gateway import windows
from gateway.store import Store
from gateway.upstream import account

OTHER = """\
  digue: {site: plage, position: [48.6, -2.8], role: relay}
boards:
  mast: {type: pico, role: bridge, gateway: digue, position: [48.6, -2.8], uid: "e6614c311b7e5a23",
         radio: {module: waveshare-pico-sx1262}}
"""


def record(folder, url, frames, *, gateway=""):
    """So many frames in, out and acknowledged, then a stop -> (Trace, operations, {number: name})."""
    gate = folder / "gate"
    gate.mkdir()
    rng, names = random.Random(4), {}
    bridge = Bridge(folder, rng)
    files = desk.Files(gate, {"bridge": bridge.path}, url, "batch_age_s = 0.05\nbatch_readings = 5", gateway).write()
    listener = desk.Listener(url)
    windows.begin(files.store)
    trace = hostcut.Trace(gate, folder / "trace")
    daemon = desk.Daemon(files, prefix=trace.prefix)
    try:
        desk.until(lambda: bridge.hellos, 30)
        for seq in range(1, frames + 1):
            n = rng.randint(1, desk.NODES)
            names[seq] = desk.name(n, seq)
            bridge.hears(desk.frame(n, seq, {3: seq % 100, **({19: 1} if seq % 20 == 0 else {})}), (names[seq],))
            time.sleep(rng.choice((0, 0.002, 0.01)))
            desk.until(lambda: len(bridge.waiting) < 50, 30)
        desk.until(lambda: not bridge.waiting, 30)
        desk.until(lambda: len(set(names.values()) & set(listener.frames())) == frames, 60)
        assert trace.stop(daemon) == 0
    finally:
        for part in (daemon, bridge, listener):
            part.close()
    return trace, trace.operations(), names


def record_elsewhere(folder, url, messages):
    """The same with messages (lists of frames) of another gateway, each at once -> (Trace, operations)."""
    gate = folder / "gate"
    gate.mkdir()
    files = desk.Files(gate, {})
    files.text += f'[[frames]]\nurl = "{url}"\n'
    files.write()
    fleet = gate / "boards.yaml"
    fleet.write_text(fleet.read_text().replace("boards:\n", OTHER, 1))
    windows.begin(files.store)
    trace = hostcut.Trace(gate, folder / "trace")
    daemon = desk.Daemon(files, prefix=trace.prefix)
    sender = paho.Client(paho.CallbackAPIVersion.VERSION2, "digue", protocol=paho.MQTTv5)
    sender.connect("127.0.0.1", int(url.rsplit(":", 1)[1]))
    sender.loop_start()
    try:
        desk.until(lambda: daemon.said("broker", frames="frames", state="connected"), 30)
        for number, frames in enumerate(messages):
            entries = [[1_750_000_000_000 + number, frame, -101, 22, "mast"] for frame in frames]
            sender.publish("jourdain/plage/digue/frames", cbor2.dumps([1, "digue", number, entries]), qos=1)
        desk.until(lambda: len(daemon.said("stored")) == sum(map(len, messages)), 30)
        assert trace.stop(daemon) == 0
    finally:
        sender.disconnect()
        sender.loop_stop()
        daemon.close()
    return trace, trace.operations()


def pubacks(operation):
    """How many PUBACKs a write to a socket begins with; MQTT 5 without reason and properties."""
    data, n = operation.data, 0
    while operation.call == "out" and "/dev/" not in operation.path and data[:2] == b"\x40\x02":
        data, n = data[4:], n + 1
    return n


def handled(operation):
    """The number that a write to the line acknowledges, or None."""
    if operation.call != "out" or "/dev/pts/" not in operation.path:
        return None
    messages = [link.parse(body) for proto, body in hdlc.Decoder().feed(operation.data) if proto == hdlc.PROTO_MESSAGE]
    return max((m[1] for m in messages if m[0] == link.HANDLED), default=None)


def left(trace, operations, folder, rng, how=None):
    """Names in the store of a disk that a cut behind these operations leaves."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    files = hostcut.disk(trace.before, operations, rng, how)
    hostcut.put(folder, {folder / path.relative_to(trace.folder): data for path, data in files.items()})
    return hostcut.stored(folder)


def done(folder, upstream="senml"):
    """Names that the store of a folder believes to be upstream, marks and all."""
    with contextlib.closing(sqlite3.connect(folder / "store.db")) as db:
        state = account.load(folder / "store.db", lambda query, values: db.execute(query, values).fetchall())
        rows = db.execute("SELECT id, kid, piv FROM uplink").fetchall()
    mine = state.accounts.get(upstream)
    return {kid + piv.to_bytes(4, "big") for ident, kid, piv in rows if mine and ident in mine.done}


def cuts(recorded, folder, n, rng):
    """n cuts at any operation behind the first [7], with any part of the unsynced sectors -> what was violated, in words."""
    trace, operations, names = recorded
    said = [handled(op) for op in operations]
    first = next(at for at, upto in enumerate(said) if upto)
    leaves = {}  # by name, the operation with which it first left
    for at, op in enumerate(operations):
        if op.call == "out" and "/dev/pts/" not in op.path:
            for name in names.values():
                if name in op.data:
                    leaves.setdefault(name, at)
    bad = []
    for _ in range(n):
        cut = rng.randrange(first + 1, len(operations) + 1)
        upto = max(filter(None, said[:cut]))
        found = left(trace, operations[:cut], folder, rng)
        Store(folder / "store.db").close()
        missing = {name for seq, name in names.items() if seq <= upto} - found
        where = f"cut behind operation {cut} of {len(operations)}"
        if missing:
            bad.append(f"{where}: {len(missing)} acknowledged and lost")
        early = [name for name in done(folder) if leaves[name] >= cut]
        if early:
            bad.append(f"{where}: {len(early)} count as delivered and never left")
    return bad

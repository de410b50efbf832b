"""The town end to end: real firmware on real MicroPython, the real daemon, a real broker; only the copper is simulated."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from firmware.wire import hdlc, link
from tools.twin.broker import Embedded
from tools.twin.town import Options, Town
from tools.twin.view import View

ROOT = Path(__file__).resolve().parent.parent.parent
BOARDS = ROOT / "boards.yaml"


class Quiet(View):
    def note(self, text):
        pass


@contextlib.contextmanager
def living(folder, **options):
    """A town of this test's own process, ended whatever happens."""
    town = Town(Options(**{"inventory": BOARDS, "speed": 0, "seed": 7, **options}), folder, Quiet())
    try:
        town.start()
        yield town
    finally:
        town.close()


def lived(folder, **options):
    """A town that lived to its end, with its books."""
    with living(folder, **options) as town:
        town.live()
        town.drain()
        return town, town.books()


def only(folder, *names):
    """A boards.yaml with these boards of the town alone."""
    yaml = YAML(typ="safe", pure=True)
    data = yaml.load(BOARDS)
    data["boards"] = {name: data["boards"][name] for name in names}
    path = folder / f"{names[0]}.yaml"
    with path.open("w") as file:
        yaml.dump(data, file)
    return path


def command(*arguments, **options):
    """`jourdain twin ...` as a child."""
    program = "import sys; from tools.cli import run; sys.exit(run(sys.argv[1:]))"
    return subprocess.Popen([sys.executable, "-P", "-c", program, "twin", *arguments], **options)


def balanced(books):
    assert books["violations"] == []
    assert books["faults"] == []
    assert books["surprises"] == {}


def children(parent):
    """Processes that a process has started and that live."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.add(int(stat.parent.name))
    return found


def alive(pid):
    """Is there such a process?"""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# -- one wired board


def test_one_wired_bin(tmp_path):
    town, books = lived(tmp_path, inventory=only(tmp_path, "bin-capitainerie"), seconds=60)
    balanced(books)
    entry = books["boards"]["bin-capitainerie"]
    assert entry["sent"] == entry["read_back"] == 4
    assert entry["readings"]["taken"] == 4
    truth = town.members[0].around.truth
    for (_site, _kid, piv), values in town.reader.snapshot().items():
        at_us = town.ledger.pages["bin-capitainerie"].taken_us[piv]
        assert values["distance"] == pytest.approx(truth["distance"](at_us), abs=0.02)
        assert values["temperature"] == pytest.approx(truth["temperature"](at_us), abs=0.6)
        assert set(values) == {"distance", "fill", "temperature"}  # no battery, and no radio link


def test_garbage_on_the_serial_line_stops_neither_board_nor_daemon(tmp_path):
    noise = bytes(range(256)) * 3
    whole = link.heard(9, b"\x81" + bytes(30), -90, 20, 1234)
    with living(tmp_path, inventory=only(tmp_path, "bin-capitainerie"), seconds=60) as town:
        (member,), (cable,) = town.members, town.cables
        at = town.clock.at
        for n, cut in enumerate(range(1, len(whole), 7)):
            at(60_000_000 + n * 1_000_000, cable.inject, whole[:cut])
            at(60_500_000 + n * 1_000_000, member.process.feed, noise.replace(b"\x03", b"") + whole[:cut])
        at(1_000_000_000, cable.inject, b"\x7e" + b"x" * 3000 + b"\x7e")
        at(1_100_000_000, cable.inject, hdlc.encode(hdlc.PROTO_MESSAGE, b"\x9f\xff\xff"))
        town.live()
        town.drain()
        books = town.books()
    balanced(books)
    assert books["boards"]["bin-capitainerie"]["read_back"] == 4
    assert books["daemon"]["counters"]["line_crc"] > 0
    assert books["daemon"]["counters"]["line_overlong"] == 1


def test_foreign_and_forged_frames_are_counted_by_name(tmp_path):
    lorawan = bytes.fromhex("40f17dbe4900020001954378762b11ff0d")
    forged = b"\x81\x00\x01\x63" + bytes(20)
    stranger = b"\x81\xee\xee\x01" + bytes(20)
    with living(tmp_path, inventory=only(tmp_path, "bridge-1", "bin-quai"), seconds=30) as town:
        (cable,) = town.cables
        for n, frame in enumerate((lorawan, forged, stranger)):
            # As a serial frame of its own (protocol 21): numbers are the bridge's.
            town.clock.at(60_000_000 + n, cable.inject, hdlc.encode(hdlc.PROTO_FRAME, frame))
        town.live()
        town.drain()
        books = town.books()
    balanced(books)
    counters = books["daemon"]["counters"]
    assert (counters["version"], counters["kid"]) == (1, 2)  # 0001 is a board of this site, and not of this town
    assert books["boards"]["bin-quai"]["read_back"] >= 2


def test_a_broker_that_is_already_there(tmp_path):
    (tmp_path / "broker").mkdir()
    broker = Embedded(tmp_path / "broker")
    try:
        path = only(tmp_path, "bin-capitainerie")
        for run in ("first", "second"):  # what the first left there is not the second's
            (tmp_path / run).mkdir()
            town, books = lived(tmp_path / run, inventory=path, seconds=20, broker=broker.url)
            balanced(books)
            assert town.reader.count() == 2
    finally:
        broker.close()


# -- the whole town


def _agrees(town, name, values, at_us):
    """Does a published reading say what the world was like?"""
    truth = town.names[name].around.truth
    if "distance" in values:
        # The burst took a second or two before the reading was sealed.
        near = [truth["distance"](at_us - ms * 1000) for ms in range(0, 6000, 250)]
        assert min(abs(values["distance"] - one) for one in near) <= 0.02
        assert abs(values["temperature"] - truth["temperature"](at_us)) <= 0.6
    if "occupied" in values:
        return values["occupied"] == truth["occupied"](at_us)
    if "water_temperature" in values:
        assert abs(values["water_temperature"] - truth["water_temperature"](at_us)) <= 0.6
    return True


def test_an_hour_of_the_whole_town(tmp_path):
    town, books = lived(tmp_path, seconds=60)
    balanced(books)
    assert books["totals"]["boards"] == len(books["boards"]) == 14
    assert all(entry["received"] >= 2 for entry in books["boards"].values())
    assert not any("errors" in entry for entry in books["boards"].values())
    assert books["cables"]["late_handled"] <= 2  # wall time, on a machine that may be busy
    assert 3600 <= books["town_seconds"] < 3700
    town.names = {member.name: member for member in town.members}
    right = []
    for (_site, kid, piv), values in town.reader.snapshot().items():
        name = town.ledger.names["port-luce", kid]
        page = town.ledger.pages[name]
        right.append(_agrees(town, name, values, page.taken_us[piv]))
        heard = piv in page.arrived() and not page.wired  # a repeat says nothing of the link of its own frame
        assert ("rssi" in values) == ("snr" in values) == heard
    assert right.count(False) <= 2  # a bay within a dwell of its change


def test_the_same_seed_is_the_same_town(tmp_path):
    ended = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        town, books = lived(tmp_path / name, seconds=8)
        ended.append((books["boards"], town.reader.snapshot(), town.ledger.pages["bay-quai-1"].taken_us))
    assert ended[0] == ended[1]


def test_nothing_is_lost_or_doubled_by_kills_and_a_cut(tmp_path):
    child = command(
        "--inventory", str(BOARDS), "--seconds", "30", "--speed", "0", "--seed", "7", "--json", "--kill", "12", "--cut", "2",
        "--keep", str(tmp_path / "kept"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    out, err = child.communicate(timeout=200)
    assert child.returncode == 0, err[-3000:]
    books = json.loads(out)
    balanced(books)
    assert len(books["daemon"]["killed"]) == 12
    moments = {where.split(":")[0] for where in books["daemon"]["killed"]}
    # Inside the transaction, and between PUBACK and its mark; what else comes in time is up to the machine.
    assert moments >= {"heard", "sent"}
    assert len(moments - {"outside"}) >= 4
    assert books["cables"]["broker_cuts"] == 1
    totals = books["totals"]
    assert totals["lost"]["link"] == totals["lost"]["gateway_down"] == 0  # of what the bridge heard none is lost
    assert totals["republished"] > 0
    assert (tmp_path / "kept/store.db").exists()


def test_clones_share_the_air(tmp_path):
    _town, books = lived(tmp_path, seconds=6, boards=30)
    balanced(books)
    assert books["totals"]["boards"] == 30
    assert books["totals"]["sent"] >= 10


# -- the command


def test_ctrl_c_ends_everything_and_says_the_totals(tmp_path):
    child = command(
        "--inventory", str(only(tmp_path, "bridge-1", "bin-capitainerie", "bay-quai-2")), "--speed", "200",
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert child.stdout is not None
    line = child.stdout.readline()  # the first reading, as it came back from the broker
    assert "bin-capitainerie" in line
    assert "fill" in line
    started = children(child.pid)
    assert len(started) >= 5  # three boards, daemon, broker
    os.killpg(child.pid, signal.SIGINT)  # as a terminal does: to the whole group
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0, out + err
    assert "The books balance." in out
    assert not [pid for pid in started if alive(pid)]


def test_what_cannot_begin_is_named(tmp_path):
    for arguments, says in (
        (["--inventory", str(tmp_path / "none.yaml")], "none.yaml:1:1: cannot be read"),
        (["--inventory", str(only(tmp_path, "bin-quai"))], "no radio bridge"),
        (["--inventory", str(only(tmp_path, "bin-capitainerie")), "--broker", "mqtt://127.0.0.1:1"], "broker_refused"),
    ):
        child = command(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        _out, err = child.communicate(timeout=60)
        assert child.returncode not in (0, None)
        assert says in err
        assert "Traceback" not in err


def test_a_board_that_fails_is_a_fault_of_the_town(tmp_path):
    with living(tmp_path, inventory=only(tmp_path, "bin-capitainerie"), seconds=10) as town:
        (member,) = town.members
        town.clock.at(60_000_000, os.kill, member.process.pid, signal.SIGKILL)
        begin = time.monotonic()
        town.live()
        town.drain()
        assert time.monotonic() - begin < 60
        books = town.books()
    assert any("its process has ended" in fault for fault in books["faults"])

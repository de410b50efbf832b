"""One board on its way into service: what is checked, adopted, put on and kept, against a real MicroPython on a pty."""

import json
import shutil
import sys
import threading
from pathlib import Path

import cbor2
import paho.mqtt.client as paho
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from flashing import BARE, UID, three_lines
from loaders import Pico
from pty_board import PtyBoard

from gateway import inventory, record
from gateway.errors import HostError
from tools import cli
from tools.flash import ports, uf2
from tools.flash.checks import judge_hello
from tools.flash.deploy import deploy
from tools.flash.job import How, Job
from tools.flash.progress import Steps
from tools.flash.running import Hello

NAME = "bin-capitainerie"
OTHER = "e6614c311b7effff"
LINE = f'    uid: "{UID}"\n'


@pytest.fixture
def place(workbench, tmp_path):
    """A folder of the test's own with boards.yaml, secrets.json and the board's image."""
    for name in ("boards.yaml", "secrets.json", f"{UID}.img"):
        shutil.copy(workbench / name, tmp_path)
    return tmp_path


@pytest.fixture
def flash(place, capsys):
    """`flash(port, *options, name=) -> (exit code, document, stderr)`; what is kept lies in the folder."""

    def run(port, *options, name=NAME):
        kept = ("--record", str(place / "commissioning.jsonl"), "--labels", str(place / "labels"))
        where = ("--inventory", str(place / "boards.yaml"), "--secrets", str(place / "secrets.json"), *kept)
        capsys.readouterr()
        code = cli.run(["flash", name, *where, *(("--port", port) if port else ()), "--json", *options])
        said = capsys.readouterr()
        return code, json.loads(said.out), said.err

    return run


def never_used(place):
    """The board's key as it was made: it counts on no chip yet."""
    issued = json.loads((place / "secrets.json").read_text())
    del issued["keys"]["0001"]["counts_on"]
    (place / "secrets.json").write_text(json.dumps(issued))


@pytest.mark.produces("device_fault")
@pytest.mark.share("flash")
def test_a_board_that_is_right_is_checked_all_the_same(place, flash, capsys):
    with PtyBoard(place, UID, uart=True) as board:
        code, said, err = flash(board.port)
        assert (code, said["result"], said["files"]["written"]) == (0, "already so", []), err
        assert {item["result"] for item in said["items"]} == {"already so"}
        assert said["hello"]["uid"] == UID
        assert [check["name"] for check in said["selftest"]] == ["sensor distance (a02yyuw)", "flash free", "counter"]
        uplink = said["uplink"]
        assert (uplink["kid"], uplink["via"], uplink["values"]["distance"]) == ("0001", "cable", {"value": 1.0, "unit": "m"})
        assert f"first uplink: seen, via cable: key id 0001, counter {uplink['piv']}: " in err
        assert flash(board.port, "--uplink", "0")[1]["uplink_said"] == "not looked for"
    with PtyBoard(place, UID) as board:  # its sensor is unplugged
        code, said, err = flash(board.port)
        assert (code, said["result"], said["error"]) == (10, "failed", "device_fault")
        assert "the self-test failed: sensor distance (a02yyuw): sensor_silent" in err
        assert three_lines(err, "device_fault")
        assert [check["passed"] for check in said["selftest"]] == [False, True, True]
    first, _second, failed = record.read(place / "commissioning.jsonl")
    assert (first["board"], first["result"], first["uid"], first["kid"]) == (NAME, "already so", UID, "0001")
    assert first["uplink"] == {"kid": "0001", "piv": uplink["piv"], "via": "cable"}
    assert first["versions"]["micropython"] == "1.29.0"
    assert set(first["hashes"]) == {"launcher", "slot", "config", "micropython"}
    assert (failed["result"], failed["error"], failed["selftest"][0]["error"]) == ("failed", "device_fault", "sensor_silent")
    assert (place / "labels" / f"{NAME}.svg").exists()


@pytest.mark.produces("mismatch", "unconfirmed")
@pytest.mark.share("flash")
def test_a_chip_is_bound_to_the_entry_that_has_none(place, flash):
    path = place / "boards.yaml"
    whole = path.read_text()
    path.write_text(whole.replace(LINE, "", 1))
    with PtyBoard(place, UID, uart=True) as board:
        before = path.read_text()
        code, said, err = flash(board.port)
        assert (code, said["error"]) == (6, "mismatch")
        assert f'if it is this one: --adopt, or write there: uid: "{UID}"' in err
        code, said, err = flash(board.port, "--adopt")
        assert (code, said["error"]) == (2, "unconfirmed")
        assert f"Bind the chip {UID} to {NAME}?" in err
        code, said, err = flash(board.port, "--adopt", "--dry-run")
        assert (code, said["items"][0]["item"], said["items"][0]["result"]) == (0, "identity", "applied"), err
        assert path.read_text() == before
        code, said, err = flash(board.port, "--adopt", "--yes", *BARE)
        assert (code, said["result"], said["items"][0]["item"]) == (0, "applied", "identity"), err
    assert path.read_text().count(LINE) == 1
    assert inventory.load(path).boards[NAME].uid == UID
    assert len(path.read_text()) == len(before) + len(LINE)


@pytest.mark.produces("mismatch", "bad_keys")
def test_a_chip_that_replaces_another_is_named_and_its_key_is_not_taken_over(place, flash):
    path = place / "boards.yaml"
    before = path.read_text()
    with PtyBoard(place, OTHER) as board:
        code, said, err = flash(board.port, "--yes")
        assert (code, said["error"]) == (6, "mismatch")
        assert "--adopt" in err
        # The key counts on the old chip: the new one needs a key of its own, and nothing is changed before.
        code, said, err = flash(board.port, "--adopt", "--yes")
        assert (code, said["error"]) == (3, "bad_keys")
        assert f"key id 0001 counts on another chip, {UID}" in err
        assert path.read_text() == before
        never_used(place)
        code, said, err = flash(board.port, "--adopt", "--dry-run")
        assert code == 0, err
        assert said["items"][0]["why"] == f"chip {OTHER}, in boards.yaml from now on instead of {UID}"
        assert "config-0" in said["files"]["written"]
    assert path.read_text() == before
    with PtyBoard(place, inventory.load(path).boards["bin-quai"].uid) as board:
        code, said, err = flash(board.port, "--adopt", "--yes")  # one that is another board's is never taken
        assert (code, said["what"]) == (6, "this chip is that of bin-quai, not of bin-capitainerie")
    assert path.read_text() == before
    assert record.read(place / "commissioning.jsonl")[-1]["error"] == "mismatch"


@pytest.mark.produces("no_device", "no_image")
def test_a_board_without_micropython_and_what_would_be_put_on_it(place, flash, bundle, monkeypatch, tmp_path):
    """The whole way is in test_flash_from_nothing.py; here what is only said, and what was not asked for."""
    monkeypatch.setattr(uf2, "MOUNTS", tmp_path / "no mounts")
    monkeypatch.setattr(uf2, "LABELS", tmp_path / "labels of disks")
    never_used(place)
    with Pico(tmp_path / "desk") as pico:
        monkeypatch.setenv("JOURDAIN_BOOTSEL", str(pico.media))
        monkeypatch.setattr(ports, "candidates", list)
        code, said, err = flash(None, "--dry-run")
        assert code == 0, err
        assert said["items"] == [{"item": "micropython", "result": "applied", "why": "MicroPython 1.29.0: to be put on"}]
        assert flash(None, "--micropython", "never")[1]["error"] == "no_device"
        bundle.unlink()
        assert flash(None)[1]["error"] == "no_device"
        code, said, err = flash(None, "--micropython", "missing")
        assert (code, said["error"]) == (12, "no_image")
        assert "jourdain bundle" in said["next"]
        assert pico.taken == []


def senml(kid, piv):
    """A reading of bin-quai as a gateway publishes it."""
    base = {-2: "urn:dev:org:32473-port-luce-bin-quai_", -3: 1_800_000_000}
    return cbor2.dumps([{**base, 0: "fill", 1: "/", 2: 0.42}, {0: "frame", 8: bytes.fromhex(kid) + piv.to_bytes(4, "big")}])


@pytest.mark.produces("timeout")
@pytest.mark.share("flash")
def test_a_board_on_the_air_is_seen_where_its_gateway_publishes(place, flash, tmp_path):
    """Its radio is silent here: what comes upstream is published by the test, first something of before."""
    broker = pytest.importorskip("tools.twin.broker").Embedded(tmp_path)
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    over = threading.Event()
    pivs = [0]

    def publish():
        while not over.wait(0.2):
            for kid, piv in (("0002", pivs[-1]), ("0003", 9)):
                client.publish("jourdain/port-luce/capitainerie/senml", senml(kid, piv), qos=1)

    thread = threading.Thread(target=publish)
    thread.start()
    quai = inventory.load(place / "boards.yaml").boards["bin-quai"].uid
    url = ("--broker", broker.url, "--no-selftest")
    try:
        with PtyBoard(place, quai, uart=True) as board:
            code, said, err = flash(board.port, *url, "--uplink", "1", name="bin-quai")
            assert (code, said["error"], said["uplink"]) == (8, "timeout", None), err
            assert said["uplink_said"] == "not seen within 1 s"
            pivs.append(7)
            code, said, err = flash(board.port, *url, "--uplink", "30", name="bin-quai")
            assert code == 0, err
            assert said["uplink"] == {"kid": "0002", "piv": 7, "via": "gateway", "values": {"fill": {"value": 0.42, "unit": "/"}}}
            assert flash(board.port, "--no-selftest", name="bin-quai")[1]["uplink_said"] == "not looked for"
    finally:
        over.set()
        thread.join()
        client.loop_stop()
        broker.close()


@pytest.mark.produces("broker_refused", "bad_config")
def test_a_broker_that_is_none_is_said_before_any_board_is_touched(place, flash):
    for url, code, error in (("mqtt://127.0.0.1:9", 11, "broker_refused"), ("http://town", 3, "bad_config")):
        ended, said, err = flash("/dev/null", "--broker", url, "--uplink", "5")
        assert (ended, said["error"]) == (code, error), err
        assert three_lines(err, error)


@pytest.mark.produces("ambiguous", "unknown_board")
def test_a_port_for_two_boards_and_words_that_are_wrong(place, capsys):
    where = ["--inventory", str(place / "boards.yaml"), "--secrets", str(place / "secrets.json")]
    assert cli.run(["flash", NAME, "bin-quai", *where, "--port", f"{NAME}=/dev/ttyACM7", "--port", "/dev/ttyACM7"]) == 5
    assert three_lines(capsys.readouterr().err, "ambiguous")
    assert cli.run(["flash", NAME, *where, "--port", "bin-capitanerie=/dev/ttyACM7"]) == 3
    err = capsys.readouterr().err
    assert three_lines(err, "unknown_board")
    assert f"did you mean {NAME}" in err
    assert cli.run(["flash", NAME, "--all", *where]) == 2
    assert cli.run(["flash", *where]) == 2


@pytest.mark.produces("mismatch")
def test_another_board_that_answers_after_the_restart_is_not_taken_for_this_one(place):
    inv = inventory.load(place / "boards.yaml")
    how = How(inv=inv, secrets=place / "secrets.json", issued={}, confirm=print, halt=lambda: None)
    job = Job(how, inv.boards[NAME], Steps(quiet=True), "/dev/null")
    job.uid = UID
    judge_hello(job, Hello("0.1", UID, ["node"]))
    with pytest.raises(HostError, match=f"the hello names the chip {OTHER}") as caught:
        judge_hello(job, Hello("0.1", OTHER, ["node"]))
    assert caught.value.name == "mismatch"


def test_a_fault_of_ours_is_that_boards_alone(place, monkeypatch):
    inv = inventory.load(place / "boards.yaml")
    how = How(inv=inv, secrets=place / "secrets.json", issued={}, confirm=print, halt=lambda: None)
    job = Job(how, inv.boards[NAME], Steps(quiet=True), "/dev/null")
    monkeypatch.setattr("tools.flash.deploy.board_files", lambda *_: 1 // 0)
    deploy(job)
    assert (job.result, job.error.name, job.items[-1].item) == ("failed", "unexpected", "build")
    assert "ZeroDivisionError" in job.error.what
    assert "deploy.py" in job.error.where

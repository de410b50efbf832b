"""`jourdain command` beside the running daemon, and the daemon as a controller under `kill -9`."""

import contextlib
import importlib.util
import json
import os
import threading
from pathlib import Path

import gatedesk as desk
import pytest

from firmware.wire import cbor
from firmware.wire.downlink import accept_downlink
from gateway.commands import Queue
from gateway.store import Store
from tools.cli import run

spec = importlib.util.spec_from_file_location("bench_nonce", Path(__file__).parent.parent / "bench/nonce.py")
nonce = importlib.util.module_from_spec(spec)
spec.loader.exec_module(nonce)


@pytest.fixture
def files(tmp_path, bridge):
    return desk.Files(tmp_path, {"bridge": bridge.path}).controller().write()


@pytest.fixture
def say(files, capsys):
    """`say(word, ...)` -> (exit code, stdout, stderr) of `jourdain command`."""

    def call(*words):
        code = run(["command", *words, "--config", str(files.config)])
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def heard(files):
    """The store of a daemon that has heard bin-1."""
    store = Store(files.store)
    store._db.execute("INSERT INTO context VALUES (x'0001', x'00', x'', 0, 1, 1, 0, 0)")
    store.close()


def test_what_is_asked_is_queued_as_the_board_will_read_it(files, heard, say):
    asked = [
        (("time",), {}), (("interval", "10m"), {-2: 600}), (("set", "empty_mm=1400", "full_mm=300"),
        {-14: [3, "empty_mm", 1400, "full_mm", 300]}), (("calibrate",), {-14: [2]}), (("reboot",), {-14: [1]}),
        (("plan", "town"), {-14: [4, 868_100_000, 9, 125_000, 5, 14]}),
    ]  # fmt: skip
    for n, (words, payload) in enumerate(asked, 1):
        code, out, err = say("bin-1", *words, "--json", "--expires", "2h")
        found = json.loads(out)
        assert (code, err, found["id"], found["state"], found["what"]) == (0, "", n, "waiting", " ".join(words))
        assert found["until"] - found["asked"] == 7200
        with contextlib.closing(Queue(files.store)) as queue:
            assert cbor.loads(queue.get(n).payload) == payload
    assert say("bin-1", "update", str(files.folder / "none.zip"))[2].startswith("bad_release")
    assert json.loads(say("bin-1", "update", "none", "--json")[1])["state"] == "waiting"
    with contextlib.closing(Queue(files.store)) as queue:
        assert cbor.loads(queue.get(7).payload) == {-14: [5, b""]}
    assert say("bin-1", "cancel", "3")[0] == 0
    code, out, _ = say("bin-1", "list", "--json")
    assert [one["state"] for one in json.loads(out)] == ["waiting"] * 2 + ["cancelled"] + ["waiting"] * 4
    code, out, _ = say("bin-1", "list")
    assert (code, len(out.splitlines())) == (0, 7)
    assert "interval 10m: waits until the board asks" in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("interval",), "takes 1 more words"), (("interval", "5"), "10 s to 1 day"), (("interval", "soon"), "no time"),
        (("reboot", "now"), "takes 0 more words"), (("set",), "NAME=VALUE"), (("set", "emty_mm=3"), 'did you mean "empty_mm"'),
        (("set", "empty_mm=3"), "must be"), (("set", "empty_mm"), "must be"), (("plan", "twn"), 'did you mean "town"'),
        (("reboot", "--expires", "never"), "no time"), (("cancel",), "takes the number"), (("explode",), "explode"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_refused_and_queues_nothing(files, heard, say, words, says):
    code, out, err = say("bin-1", *words)
    assert (code, out) == (2, "")
    assert says in err
    with contextlib.closing(Queue(files.store)) as queue:
        assert queue.newest() == []


@pytest.mark.produces("unknown_board", "no_controller", "never_heard", "no_store", "unknown_command")
def test_what_stands_in_the_way_is_named(files, say, tmp_path):
    code, out, err = say("bin-1", "reboot", "--json")
    assert (code, json.loads(out)["error"]) == (4, "no_store")
    Store(files.store).close()
    code, _, err = say("bin-9", "reboot")
    assert code == 3
    assert err.startswith("unknown_board")
    assert "bin-" in err
    assert say("bridge", "reboot")[2].startswith("unknown_board: a radio bridge takes no commands")
    code, _, err = say("bin-1", "reboot")
    assert (code, err.split(":")[0]) == (4, "never_heard")
    assert say("bin-1", "reboot", "--anyway")[0] == 0
    code, _, err = say("bin-2", "cancel", "1")
    assert (code, err.split(":")[0]) == (3, "unknown_command")
    assert say("bin-1", "cancel", "7")[2].startswith("unknown_command")
    del files.keys["0001"]["k_dn"]
    files.write()
    code, _, err = say("bin-1", "reboot")
    assert (code, err.split(":")[0]) == (3, "no_controller")
    files.role = "reader"
    files.write()
    assert "jourdain keys export --role controller" in say("bin-1", "reboot")[2]


@pytest.mark.produces("restored")
def test_a_board_whose_key_is_not_safe_any_more_is_named(files, heard, say):
    store = Store(files.store)
    store._db.execute("INSERT INTO unsafe VALUES (x'0001')")
    store.close()
    code, _, err = say("bin-1", "reboot")
    assert code != 0
    assert err.startswith("restored: key id 0001")


def _board(bridge, done, result=0):
    """bin-1 behind the bridge: asks until it is answered with a command, and tells the result."""
    piv, told = 0, {}
    while not done.is_set():
        piv += 1
        before = len(bridge.sends)
        bridge.hears(desk.frame(1, piv, {3: 7, -5: True, **told}))
        with contextlib.suppress(AssertionError):
            desk.until(lambda before=before: len(bridge.sends) > before, 1)
        if len(bridge.sends) > before:
            answer = accept_downlink(desk.keys(1), bridge.sends[-1][1], piv)
            if -12 in answer:
                told = {-12: answer[-12], -13: result}
        done.wait(0.05)


@pytest.mark.produces("device_fault")
@pytest.mark.parametrize("result", [0, 61])
def test_the_way_of_a_command_is_shown_until_its_result(files, bridge, start, say, result):
    code, ends = (10, "refused") if result else (0, "done")
    daemon = start(files)
    desk.until(lambda: bridge.hellos)
    done = threading.Event()
    board = threading.Thread(target=_board, args=(bridge, done, result))
    board.start()
    try:
        desk.until(lambda: daemon.said("stored"))
        found, out, err = say("bin-1", "interval", "600", "--wait", "--json")
    finally:
        done.set()
        board.join()
    assert found == code
    assert json.loads(out.splitlines()[0])["state"] == ends
    assert "waits until the board asks" in err
    assert ("refuses: order_value" in err) == (result == 61)
    assert daemon.stop() == 0
    # The answer is handed over before its uplink is acknowledged, one second after it was heard.
    number, _frame, at_ms, radio, handled = bridge.sends[0]
    assert (number, radio, handled) == (1, {}, 0)
    assert at_ms > 1000
    assert [event["state"] for event in daemon.said("command")] == ["sent", ends]
    assert daemon.said("answered", status="ok")


def test_waiting_ends_when_the_time_of_the_command_is_over(files, bridge, start, say):
    daemon = start(files)
    desk.until(lambda: bridge.hellos)
    bridge.hears(desk.frame(1, 1, {3: 7}))
    desk.until(lambda: daemon.said("stored"))
    code, _, err = say("bin-1", "reboot", "--wait", "--expires", "1s")
    assert code == 8
    assert "timeout: bin-1: expired" in err


def test_no_nonce_is_used_twice_over_kills_and_a_restore(tmp_path):
    found = nonce.run(tmp_path, int(os.environ.get("JOURDAIN_KILLS", "20")))
    assert found["violations"] == []
    assert found["kills"] >= 20
    assert found["restored_named"]
    assert found["answered_after_rotation"] > 0
    assert found["given"] > 10
    assert len(found["moments"]) >= 3
    print(found)


def test_the_checker_sees_a_nonce_that_is_used_twice():
    checker = nonce.Checker()
    first, second = (nonce.desk.seal.seal(desk.keys(1), 7, payload, down=True) for payload in (b"\xa0", b"\xa1\x20\x01"))
    checker.bridge([(1, first), (2, first)])
    assert checker.violations == []
    checker.bridge([(3, second)])
    assert len(checker.violations) == 1

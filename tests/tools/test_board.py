"""`jourdain board` against a real MicroPython whose application runs, on a pty."""

import json
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from flashing import ROOT, UID, three_lines
from pty_board import PtyBoard

from gateway import record
from tools import cli

NAME = "bin-capitainerie"


@pytest.mark.share("flash")
def test_a_running_board_answers(running, ask):
    code, out, err = ask(running.port, "status", "--json")
    assert code == 0, err
    status = json.loads(out)
    assert (status["board"], status["uid"], status["role"], status["link"]) == (NAME, UID, "node", "serial")
    assert status["heap_free"] > 50_000
    for _ in range(50):  # its first report takes the sensor's time
        code, out, err = ask(running.port, "counters")
        assert code == 0, err
        rows = dict(line.split(None, 1) for line in out.splitlines())
        if rows["heard"] != "0":
            break
        time.sleep(0.2)
    assert int(rows["heard"]) >= 1
    assert rows["garbage"] == "0"
    code, out, err = ask(running.port, "log", "--json", target=running.port)
    assert code == 0, err
    found = json.loads(out)
    assert found["kinds"].keys() == {"sensor_silent"}  # its thermometer is not plugged in
    assert (found["last"], found["crashes"]) == ("", [])


@pytest.mark.share("flash")
def test_it_measures_and_is_judged(running, ask):
    code, out, err = ask(running.port, "readings", "--count", "1", "--json")
    assert code == 0, err
    reading = json.loads(out)["reading"]
    assert reading["distance"] == {"key": 4, "value": 1000, "unit": "mm", "senml_value": 1.0, "senml_unit": "m"}
    code, out, err = ask(running.port, "readings", "--count", "2", "--every", "0")
    assert code == 0, err
    lines = [sorted(line.split("  ")) for line in out.splitlines()]
    assert lines == [["distance 1000 mm", "error sensor_silent", "fill 17 %"]] * 2
    code, out, err = ask(running.port, "selftest")
    assert code == 10
    rows = [" ".join(line.split()) for line in out.splitlines()]
    assert "passed sensor distance (a02yyuw) 1000..1000 mm 30..4500" in rows
    assert "FAILED sensor temperature (ds18b20) sensor_silent" in rows
    assert three_lines(err, "device_fault")
    assert "the self-test failed: sensor temperature (ds18b20)" in err
    code, out, err = ask(running.port, "selftest", "--json")
    assert code == 10
    found = json.loads(out)
    checks = {check["name"]: check for check in found["checks"]}
    assert not found["passed"]
    assert checks["sensor distance (a02yyuw)"]["value"] == [1000] * 9
    assert checks["sensor temperature (ds18b20)"]["error"] == "sensor_silent"
    assert checks["counter"]["limits"] == [1, (1 << 20) - 1]


@pytest.mark.share("flash")
def test_what_is_set_is_judged_on_the_board_and_noted(running, ask, kept, capsys):
    code, _out, err = ask(running.port, "set", "empty_mm=5")
    assert code == 10
    assert "the board says: order refused: order_value empty_mm" in err
    assert three_lines(err, "device_fault")
    code, _out, err = ask(running.port, "set", "empty_mm")
    assert code == 2
    code, out, err = ask(running.port, "calibrate", "--json")
    assert (code, json.loads(out)["empty_mm"]) == (0, 1000), err
    code, out, err = ask(running.port, "set", "empty_mm=1200", "--json")
    assert code == 0, err
    assert json.loads(out)["empty_mm"] == 1200
    noted = [entry for entry in record.read(kept / record.FILE) if "versions" not in entry]
    assert [(entry["board"], entry["calibration"]["empty_mm"]) for entry in noted] == [(NAME, 1000), (NAME, 1200)]
    assert cli.run(["record", NAME, "--inventory", str(ROOT / "boards.yaml")]) == 0
    assert "empty_mm 1200, full_mm 250" in capsys.readouterr().out.splitlines()[-1]
    code, out, err = ask(running.port, "interval", "60", "--json")
    assert (code, json.loads(out)) == (0, {"report_s": 60})
    code, out, err = ask(running.port, "status", "--json")
    assert json.loads(out)["report_s"] == 60


@pytest.mark.share("flash")
def test_among_several_ports_the_board_is_found_by_its_name(running, flashed, capsys, monkeypatch, plugged):
    monkeypatch.setattr("tools.diag.board_target.PROBE_S", 1.0)
    words = ["--inventory", str(ROOT / "boards.yaml"), "--secrets", str(flashed / "secrets.json")]
    with PtyBoard(flashed, "e6614c311b7e6aff", deaf=True) as deaf:
        plugged(deaf.port, running.port)
        assert cli.run(["board", NAME, "status", "--json", *words]) == 0
        assert json.loads(capsys.readouterr().out)["board"] == NAME
    plugged("/dev/no-such-port", running.port)
    assert cli.run(["board", "bin-quai", "status", *words]) == 4
    err = capsys.readouterr().err
    assert three_lines(err, "no_device")
    assert f"{running.port}: {NAME}" in err
    plugged()
    assert cli.run(["board", NAME, "status", *words]) == 4


@pytest.mark.share("flash")
def test_another_key_and_another_board_are_refused(running, ask, tmp_path, town):
    other = tmp_path / "other.json"
    kid = town.boards[NAME].kid
    other.write_text(json.dumps({"keys": {kid: {"board": NAME, "secret": "ab" * 16}}}))
    other.chmod(0o600)
    code, _out, err = ask(running.port, "status", secrets=tmp_path / "none.json")
    assert code == 3
    assert three_lines(err, "bad_keys")
    code, _out, err = ask(running.port, "status", target="bin-quai")
    assert code == 6
    assert f"the board here is {NAME}" in err
    assert three_lines(err, "mismatch")
    code, out, err = ask(running.port, "status", "--json", secrets=other)
    assert (code, json.loads(out)["error"]) == (3, "bad_keys")
    assert three_lines(err, "bad_keys")
    assert "wrong MAC" in err


@pytest.mark.share("flash")
def test_nobody_at_the_port(tmp_path, ask, monkeypatch):
    monkeypatch.setattr("tools.diag.service.ANSWER_S", 0.1)
    with PtyBoard(tmp_path, UID, deaf=True) as board:
        code, _out, err = ask(board.port, "status")
    assert code == 8
    assert three_lines(err, "timeout")

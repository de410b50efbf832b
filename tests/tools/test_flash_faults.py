"""Each way in which flashing fails: ports, cables, boards without room or voice, secrets."""

import json
import os
import sys
from pathlib import Path

import pytest
import serial

sys.path.insert(0, str(Path(__file__).resolve().parent))
from flashing import UID, three_lines
from pty_board import PtyBoard

from gateway.errors import HostError
from tools.flash import connect, write


@pytest.mark.produces("no_device", "port_busy", "unknown_board")
def test_ports_and_names_that_are_none(tmp_path, flash, monkeypatch):
    code, _, err = flash("bin-capitainerie", tmp_path / "ttyACM0")
    assert (code, three_lines(err, "no_device")) == (4, True)
    with PtyBoard(tmp_path, UID, deaf=True) as board, serial.Serial(board.port, exclusive=True):
        code, _, err = flash("bin-capitainerie", board.port)
    assert (code, three_lines(err, "port_busy")) == (7, True)
    code, _, err = flash("bin-capitanerie", "/dev/null")
    assert (code, "did you mean bin-capitainerie" in err) == (3, True)


@pytest.mark.produces("no_device")
def test_a_port_where_nobody_answers(tmp_path, flash, monkeypatch):
    monkeypatch.setattr(connect, "ANSWERS_S", (0.5,))
    monkeypatch.setattr(connect, "LOOKS", 1)
    with PtyBoard(tmp_path, UID, deaf=True) as board:
        assert connect.what_is_there(board.port) == "silent"
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
        whole = write._pieces
        monkeypatch.setattr(write, "_pieces", lambda files, paths: whole({path: files[path][:-1] for path in files}, paths))
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
    monkeypatch.setattr("tools.flash.deploy.HELLO_S", 1.0)
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


@pytest.mark.produces("unconfirmed")
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

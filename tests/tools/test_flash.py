"""`jourdain flash` against a real MicroPython on a pty: from an empty board to its hello, and never onto a wrong one."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from flashing import ROOT, UID, on_board, three_lines
from pty_board import PtyBoard

from gateway import inventory
from gateway.errors import HostError
from tools.flash import connect, identify
from tools.flash.build import bytecode


@pytest.mark.share("flash")
def test_an_empty_board_comes_into_service(tmp_path, flash, town):
    with PtyBoard(tmp_path, UID) as board:
        code, out, err = flash("bin-capitainerie", board.port, "--json")
        assert code == 0, err
        said = json.loads(out)
        assert said["board"] == "bin-capitainerie"
        assert {"main.py", "config-0", "config-1", "secret.json", "a/firmware/node/app.mpy"} <= set(said["files"]["written"])
        assert said["hello"]["uid"] == UID
        assert said["hello"]["caps"][0] == "node"
        assert any(line.startswith("boot bin-capitainerie node firmware") for line in said["log"])
        connection = connect.Connection(board.port)
        config = json.loads(connection.run("print(open('/config-1', 'rb').read()[4:-4].decode())"))
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


COUNTERS = ("/state/counter-0001", "/counter-0001")
SEEN = f"""
import os
for path in {COUNTERS!r}:
    try:
        with open(path, "rb") as file:
            print(int.from_bytes(file.read()[:-4], "big"))
    except OSError:
        print("none")
print(os.listdir("/"))
"""


@pytest.mark.produces("bad_keys")
@pytest.mark.share("flash")
def test_a_counter_is_made_once_and_a_board_that_lost_it_needs_a_new_key(tmp_path, flash, secrets):
    with PtyBoard(tmp_path, UID) as board:
        assert flash("bin-capitainerie", board.port)[0] == 0
        assert json.loads(secrets.read_text())["keys"]["0001"]["counts_on"] == UID
        used = on_board(board, SEEN)[:2]
        assert max(map(int, used)) >= 1
        assert flash("bin-capitainerie", board.port)[0] == 0
        assert all(int(now) >= int(then) for now, then in zip(on_board(board, SEEN), used, strict=False))
        # The flash of a board, copied onto another chip: its counter is there, and would count twice.
        noted = secrets.read_text()
        secrets.write_text(noted.replace(UID, "e6614c311b7effff"))
        code, _, err = flash("bin-capitainerie", board.port)
        assert code == 3, err
        assert "key id 0001 counts on another chip, e6614c311b7effff" in err
        secrets.write_text(noted)
        on_board(board, f"import os\nfor path in {COUNTERS!r}:\n    os.remove(path)")
        code, _, err = flash("bin-capitainerie", board.port)
        assert code == 3, err
        assert "the board has lost the counter of key id 0001" in err
        assert three_lines(err, "bad_keys")
        assert on_board(board, SEEN)[:2] == ["none", "none"]
    # The same key on an empty chip of the same name: what the board knew is gone, what was noted here is not.
    Path(board.image).unlink()
    with PtyBoard(tmp_path, UID) as board:
        code, _, err = flash("bin-capitainerie", board.port, "--dry-run")
        assert code == 3
        assert on_board(board, SEEN)[2] == "[]"


@pytest.mark.produces("bad_keys")
def test_a_key_that_counts_on_another_chip_is_refused(tmp_path, flash, secrets):
    issued = json.loads(secrets.read_text())
    issued["keys"]["0001"]["counts_on"] = "e6614c311b7effff"
    secrets.write_text(json.dumps(issued))
    with PtyBoard(tmp_path, UID) as board:
        code, _, err = flash("bin-capitainerie", board.port)
    assert code == 3
    assert "key id 0001 counts on another chip, e6614c311b7effff" in err


@pytest.mark.share("flash")
def test_a_board_of_the_first_layout_is_moved_and_keeps_its_counter(tmp_path, flash):
    with PtyBoard(tmp_path, UID) as board:
        assert flash("bin-capitainerie", board.port)[0] == 0
        on_board(
            board,
            "import os\n"
            "text = open('/config-1', 'rb').read()[4:-4]\n"
            "with open('/config.json', 'wb') as file:\n    file.write(text)\n"
            "os.remove('/config-0')\nos.remove('/config-1')",
        )
        code, out, err = flash("bin-capitainerie", board.port, "--json")
        assert code == 0, err
        left = on_board(board, SEEN)
    assert "its configuration was one file" in err
    done = json.loads(out)["files"]
    assert (done["written"], done["removed"]) == (["config-0", "config-1"], ["config.json"])
    assert "config-0" in left[2]
    assert "config.json" not in left[2]
    assert int(left[0]) >= 1


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
    assert caught.value.hint == f'if it is this one: --adopt, or write there: uid: "{UID}"'
    line = int(caught.value.where.rpartition(":")[2])
    assert text.splitlines()[line - 1] == "  bin-capitainerie:"
    identify.compare(town, town.boards["bin-capitainerie"], found)

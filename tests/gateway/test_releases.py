"""The daemon's releases: blocks for boards that ask, and nothing for those that ask nonsense."""

import hashlib
import json

import gatedesk as desk
import pytest
from controldesk import Desk

from firmware.node.manifest import kind_of
from firmware.wire import cbor
from gateway import bundle, inventory
from gateway.errors import HostError
from gateway.releases import Releases
from gateway.store import Store
from tools.cli import run
from tools.flash.config import board_config

FILES = {"firmware/node/app.mpy": b"M\6" + bytes(range(200)) * 3, "modules": b">firmware.node.app\n"}


@pytest.fixture
def kept(tmp_path):
    """(Releases with one release, that release)."""
    path = tmp_path / "bin.zip"
    bundle.write(path, bundle.compose("pico node bin radio sx126x -", 2, "0.2.0", FILES), bytes(384), FILES)
    releases = Releases(tmp_path / "releases")
    return releases, releases.add(path)


@pytest.mark.parametrize("room", [128 - 16, 50 - 16, 11, 10])
def test_a_release_in_blocks(kept, room):
    releases, found = kept
    got = []
    for part in range(len(found.parts)):
        there = b""
        while True:
            asked, offset, block = answer = releases.answer(found.digest, [part, len(there)], room)
            assert (asked, offset) == (part, len(there))
            assert len(cbor.dumps({-11: answer})) - 1 <= room
            assert len(block) <= 64
            if not block:
                break
            there += block
        got.append(there)
    assert got == list(found.parts)
    assert hashlib.sha256(got[0]).digest()[:8] == found.digest


def test_nonsense_gets_no_block(kept, tmp_path):
    releases, found = kept
    for asked in (None, 5, [], [0], [0, 0, 0], ["0", 0], [True, 0], [-1, 0], [0, -1], [4, 0], [0, 10**9], {0: 0}):
        assert releases.answer(found.digest, asked, 100) is None, asked
    assert releases.answer(found.digest, [0, 0], 9) is None
    for name in (b"", bytes(8), b"../../etc", found.digest.hex().encode()):
        assert releases.answer(name, [0, 0], 100) is None
    with pytest.raises(HostError, match="bad_release"):
        releases.add(tmp_path / "none.zip")
    again = Releases(releases.folder)
    assert again.answer(found.digest, [0, 0], 100)[2] == found.parts[0][:64]


@pytest.fixture
def town(tmp_path, kept):
    releases, found = kept
    controller = Desk(tmp_path)
    controller.controller._releases = releases
    return controller, found


@pytest.mark.parametrize("answer_max", [128, 50])
def test_a_board_fetches_a_release_by_its_questions(town, answer_max):
    """From the order to the last byte, through sealed answers; each block is logged as an answer like any other."""
    controller, found = town
    controller.source.answer_max = answer_max
    ident = controller.add(1, {-14: [5, found.digest]}, "update bin.zip")
    ((_, frame, _),) = controller.up(1, 1)
    assert controller.opened(1, 1, frame)[-14] == [5, found.digest]
    assert controller.up(1, 2, {-12: ident, -13: 0, -11: [0, 0], 3: 5}) == []  # no question
    got, piv = [], 2
    for part in range(len(found.parts)):
        there = b""
        while part == 0 or len(there) < len(found.parts[part]):
            piv += 1
            ((_, frame, _),) = controller.up(1, piv, {-5: True, -11: [part, len(there)], 3: 5})
            assert len(frame) <= answer_max
            asked, offset, block = controller.opened(1, piv, frame)[-11]
            assert (asked, offset) == (part, len(there))
            if not block:
                break
            there += block
        got.append(there)
    assert got == list(found.parts)
    count = controller.store._db.execute("SELECT count(*), count(DISTINCT piv) FROM downlink").fetchone()
    assert count == (piv - 1, piv - 1)


def test_who_was_told_nothing_or_asks_nonsense_gets_the_time(town):
    controller, found = town
    said = controller.up(1, 1, {-5: True, -11: [0, 0]})
    assert -11 not in controller.opened(1, 1, said[0][1])
    ident = controller.add(1, {-14: [5, found.digest]}, "update bin.zip")
    controller.up(1, 2)
    controller.up(1, 3, {-12: ident, -13: 0})
    for piv, asked in enumerate(([99, 0], [0, 99999], [0], 7, "x", [0, b"x"]), 4):
        ((_, frame, _),) = controller.up(1, piv, {-5: True, -11: asked})
        assert controller.opened(1, piv, frame).keys() == {-1}, asked
    ((_, frame, _),) = controller.up(2, 1, {-5: True, -11: [0, 0]})  # another board was told nothing
    assert -11 not in controller.opened(2, 1, frame)
    controller.add(1, {-14: [5, b""]}, "update none")
    controller.up(1, 20)
    ((_, frame, _),) = controller.up(1, 21, {-5: True, -11: [0, 0]})
    assert -11 not in controller.opened(1, 21, frame)


def test_the_command_that_begins_it(tmp_path, bridge, capsys):
    files = desk.Files(tmp_path, {"bridge": bridge.path}).controller().write()
    store = Store(files.store)
    store._db.execute("INSERT INTO context VALUES (x'0001', x'00', x'', 0, 1, 1, 0, 0)")
    store.close()
    fleet = inventory.load(tmp_path / "boards.yaml")
    path = tmp_path / "r2.zip"

    def say(*words):
        code = run(["command", "bin-1", "update", *words, "--config", str(files.config), "--json"])
        return code, json.loads(capsys.readouterr().out or "null")

    assert say(str(path))[1]["error"] == "bad_release"
    for kind in ("pico node buoy radio sx126x -", kind_of(board_config(fleet, fleet.boards["bin-1"]))):
        text = bundle.compose(kind, 2, "0.2.0", FILES)
        bundle.write(path, text, bytes(384), FILES)
        code, said = say(str(path))
    assert (code, said["what"], said["state"]) == (0, f"update {path}", "waiting")
    name = hashlib.sha256(text).digest()[:8]
    assert [file.name for file in (tmp_path / "releases").iterdir()] == [f"{name.hex()}.zip"]
    assert say("none")[0] == 0

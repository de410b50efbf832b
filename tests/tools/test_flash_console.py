"""`jourdain flash` with a board in production: updated and checked by its console, or opened with its key and closed again."""

import json
import os
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from flashing import RELEASE_WORDS, UID, three_lines
from pty_board import PtyBoard

from firmware.node import RELEASE
from firmware.node.manifest import kind_of
from gateway import bundle, inventory, record
from gateway.errors import HostError
from tools import cli
from tools.diag.service import Port, Service, key_of
from tools.flash import build, connect
from tools.flash.config import board_config
from tools.release import keys, make

NAME = "bin-capitainerie"


@pytest.fixture
def board(workbench, tmp_path, monkeypatch):
    """The board in production, with its sensor; a port that stays silent is given up soon."""
    shutil.copy(workbench / "production" / f"{UID}.img", tmp_path)
    monkeypatch.setattr(connect, "ANSWERS_S", (1.0,))
    with PtyBoard(tmp_path, UID, uart=True) as there:
        yield there


@pytest.fixture
def flash(workbench, board, capsys):
    """`flash(*options, inventory=, secrets=) -> (exit code, document or None, stderr)`."""

    def run(*options, inventory="boards.yaml", secrets="secrets.json"):
        where = ["--inventory", str(workbench / inventory), "--secrets", str(workbench / secrets), "--port", board.port, "--json"]
        capsys.readouterr()
        code = cli.run(["flash", NAME, *where, *options])
        said = capsys.readouterr()
        return code, json.loads(said.out), said.err

    return run


@pytest.fixture
def release(workbench, tmp_path):
    """`release(number, name)`: the path of a signed release for the kind of a board: what it has, under another number."""
    private = keys.load(workbench / "release.key", RELEASE_WORDS)
    fleet = inventory.load(workbench / "boards.yaml")

    def made(number, name=NAME):
        entry = fleet.boards[name]
        with of_release(tmp_path / f"firmware-{number}-{name}", number):
            files = make.slot_files(entry)
        text = bundle.compose(kind_of(board_config(fleet, entry)), number, "9.9.9", files)
        path = workbench / f"{name}-{number}.zip"
        bundle.write(path, text, keys.sign(private, text), files)
        return path

    return made


@contextmanager
def of_release(folder, number):
    """The firmware as it will be when its release has this number."""
    shutil.copytree(build.FIRMWARE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    about = folder / "node/__init__.py"
    text = about.read_text()
    assert f"RELEASE = {RELEASE}  #" in text
    about.write_text(text.replace(f"RELEASE = {RELEASE}  #", f"RELEASE = {number}  #"))
    known = (build.imports, build._tree, build.bytecode, build._written)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(build, "FIRMWARE", folder)
            for each in known:
                getattr(each, "cache_clear", int)()
            yield
    finally:
        for each in known:
            getattr(each, "cache_clear", int)()


def status(board, workbench):
    """What the board says of itself to whoever has its key."""
    line = Port(board.port)
    try:
        secret = json.loads((workbench / "secrets.json").read_text())["keys"]["0001"]["secret"]
        return Service(line, lambda identity: key_of(bytes.fromhex(secret), identity.kid)).ask("status")
    finally:
        line.close()


@pytest.mark.share("flash")
def test_a_release_comes_by_the_console_and_the_repl_stays_closed(board, flash, release, workbench, kept):
    path = release(2)
    code, said, err = flash("--release", str(path), "--dry-run")
    assert code == 0, err
    assert said["items"] == [{"item": "application", "result": "applied", "why": "release 2 (9.9.9): to be sent"}]
    assert status(board, workbench)["release"] != 2
    code, said, err = flash("--release", str(path))
    assert code == 0, err
    assert (said["result"], said.get("error")) == ("applied", None)
    assert "release 2 (9.9.9)" in said["items"][0]["why"]
    assert "on trial" in said["items"][0]["why"]
    there = status(board, workbench)
    assert (there["release"], there["slot"], there["trial"], there["production"]) == (2, "b", True, True)
    assert said["production"] is True
    assert [check["name"] for check in said["selftest"]] == ["sensor distance (a02yyuw)", "flash free", "counter"]
    assert said["uplink"]["via"] == "cable"
    assert said["uplink"]["values"]["distance"] == {"value": 1.0, "unit": "m"}
    last = record.read(kept / "commissioning.jsonl")[-1]
    assert (last["board"], last["result"], last["versions"]["release"]) == (NAME, "applied", 2)
    # Once more: nothing to send, and everything looked at.
    code, said, err = flash("--release", str(path))
    assert (code, said["result"]) == (0, "already so"), err
    assert said["uplink"]["kid"] == "0001"
    assert all(check["passed"] for check in said["selftest"])
    code, said, err = flash("--release", str(release(1)))
    assert (code, said["error"]) == (3, "bad_release")
    assert "goes back to no older one" in err
    assert board.openings == 0


@pytest.mark.share("flash")
def test_without_a_release_it_is_opened_with_its_key_and_closed_again(board, flash, workbench):
    code, said, err = flash("-n")
    assert (code, board.openings, said["result"]) == (0, 0, "already so"), err
    code, said, err = flash()
    assert code == 0, err
    assert said["files"]["same"] > 60
    assert (said["result"], said["production"]) == ("already so", True)
    assert board.openings == 1
    assert "in production: its REPL is closed" in err
    assert status(board, workbench)["production"] is True
    with pytest.raises(HostError, match="repl_closed"):
        connect.Connection(board.port)


@pytest.mark.produces("bad_keys", "mismatch", "bad_release")
@pytest.mark.share("flash")
def test_what_cannot_be_done_by_the_console_is_said(board, flash, release, workbench):
    made = json.loads((workbench / "secrets.json").read_text())["keys"]
    for name, keys_ in (("none.json", {}), ("other.json", {"0001": {"board": NAME, "secret": os.urandom(16).hex()}})):
        (workbench / name).write_text(json.dumps({"keys": {**{kid: made[kid] for kid in made if kid != "0001"}, **keys_}}))
        (workbench / name).chmod(0o600)
    text = (workbench / "boards.yaml").read_text()
    (workbench / "rotated.yaml").write_text(text.replace('kids: ["0001"]', 'kids: ["0001", "0041"]', 1))
    (workbench / "0041.json").write_text(json.dumps({"keys": {**made, "0041": {"board": NAME, "secret": os.urandom(16).hex()}}}))
    (workbench / "0041.json").chmod(0o600)
    path = str(release(2))
    for code, error, words, what, more in (
        (3, "bad_keys", (), "there is no secret for this key id", {"secrets": "none.json"}),
        (3, "bad_keys", (), "the board does not accept this key", {"secrets": "other.json"}),
        (3, "bad_release", ("--release", str(release(2, "bin-quai"))), "another kind of board: pico node bin radio", {}),
        (6, "mismatch", ("--release", path), "kid is 0001, boards.yaml says 0041",
         {"inventory": "rotated.yaml", "secrets": "0041.json"}),
    ):  # fmt: skip
        ended, said, err = flash(*words, **more)
        assert (ended, said["error"], said["result"]) == (code, error, "failed"), err
        assert what in err
        assert three_lines(err, error)
    assert board.openings == 0
    assert status(board, workbench)["production"] is True

"""`jourdain board BOARD update` on a real MicroPython whose application runs, on a pty: cut, gone on with, refused."""

import json
import os
import shutil
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from flashing import BARE, ROOT, UID, three_lines
from pty_board import PtyBoard

from firmware.node.manifest import kind_of
from firmware.wire import link
from gateway import bundle
from gateway.errors import HostError
from tools import cli
from tools.diag import update
from tools.diag.service import Port
from tools.flash.build import bytecode
from tools.flash.config import board_config
from tools.release import keys, make

NAME = "bin-capitainerie"
WORDS = "a horse that reads"
FLEET = ("--inventory", str(ROOT / "boards.yaml"))


@pytest.fixture(scope="module")
def workshop(tmp_path_factory, town):
    """A folder: the image of NAME as it was flashed, secrets.json, release.key and release.pub."""
    folder = tmp_path_factory.mktemp("workshop")
    secrets = folder / "secrets.json"
    made = {kid: {"board": board.name, "secret": os.urandom(16).hex()} for board in town.nodes for kid in board.kids}
    secrets.write_text(json.dumps({"keys": made}))
    secrets.chmod(0o600)
    keys.make(folder / "release.key", WORDS)
    with PtyBoard(folder, UID) as board:
        words = ["flash", NAME, "--port", board.port, *FLEET, "--secrets", str(secrets), "-q", *BARE]
        assert cli.run([*words, "--trust", str(folder / "release.pub")]) == 0
    return folder


@pytest.fixture
def image(workshop, tmp_path):
    """A folder with a board as it comes out of the flashing."""
    shutil.copy(workshop / f"{UID}.img", tmp_path)
    return tmp_path


@pytest.fixture
def bring(workshop, capsys):
    """`bring(port, path, *options) -> (exit code, stdout, stderr)` of `jourdain board NAME update`."""

    def run(port, path, *options):
        where = ["--port", port, *FLEET, "--secrets", str(workshop / "secrets.json")]
        code = cli.run(["board", NAME, "update", str(path), *where, *options])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def tried(workshop, capsys):
    """`tried(port, slot)`: the status of the board there, once it has restarted in that slot."""

    def run(port, slot):
        where = ["--port", port, *FLEET, "--secrets", str(workshop / "secrets.json"), "--json"]
        for _ in range(20):
            time.sleep(0.5)
            capsys.readouterr()
            assert cli.run(["board", NAME, "status", *where]) == 0
            status = json.loads(capsys.readouterr().out)
            if status["slot"] == slot:
                break
        return status

    return run


@pytest.fixture
def release(workshop, town, tmp_path):
    """`release(number, **more)`: the path of a bundle for NAME: what it was flashed with, and one file more."""
    private = keys.load(workshop / "release.key", WORDS)

    def made(number, extra=b"", key=private, board=NAME):
        entry = town.boards[board]
        files = {**make.slot_files(entry), "firmware/more.mpy": bytecode("wire/cbor") + extra}
        text = bundle.compose(kind_of(board_config(town, entry)), number, "9.9.9", files)
        path = tmp_path / f"r{number}.zip"
        bundle.write(path, text, keys.sign(key, text), files)
        return path

    return made


def on_board(folder, path):
    """A file of a board that is switched off."""
    from littlefs import LittleFS, LittleFSError

    fs = LittleFS(block_size=4096, block_count=256, mount=False)
    fs.context.buffer = bytearray((folder / f"{UID}.img").read_bytes())
    fs.mount()
    try:
        with fs.open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, LittleFSError):
        return None


@pytest.mark.share("flash")
def test_flashing_leaves_what_an_update_needs(workshop, town):
    (public,) = keys.trusted([workshop / "release.pub"])
    assert on_board(workshop, "/trust") == keys.modulus(public)
    found = bundle.parse(on_board(workshop, "/a/manifest"))
    assert found.kind == kind_of(board_config(town, town.boards[NAME]))
    sizes = {path: len(data) for path, data in make.slot_files(town.boards[NAME]).items()}
    assert {entry.path: entry.size for entry in found.entries} == sizes


@pytest.mark.share("flash")
def test_cut_gone_on_with_and_flashed_again(image, workshop, bring, release, tried):
    path = release(2)
    found = bundle.read(path)
    changed = sum(map(len, found.parts[:2])) + len(bytecode("wire/cbor"))

    def pulled(done, whole):
        if done > len(found.parts[0]) + len(found.parts[1]) + 600:
            raise HostError("transfer", "pulled", "", "")

    with PtyBoard(image, UID) as board:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tools.flash.progress.Steps.doing", lambda self, text: pulled(*map(int, text.split()[0:3:2])))
            code, _out, err = bring(board.port, path)
        assert (code, "pulled" in err) == (8, True), err
    assert on_board(image, "/b/signature.new") == found.parts[1]
    with PtyBoard(image, UID) as board:
        code, out, err = bring(board.port, path, "--json")
        assert code == 0, err
        said = json.loads(out)
        assert (said["release"], said["version"]) == (2, "9.9.9")
        assert 0 < said["sent"] < changed - sum(map(len, found.parts[:2]))  # neither manifest nor signature once more
        status = tried(board.port, "b")
        assert (status["slot"], status["trial"]) == ("b", True)
        code, _out, err = bring(board.port, path)
        assert (code, "on trial" in err) == (10, True), err
        for _ in range(20):  # the daemon has its first frame on disk
            line = Port(board.port)
            line.write(link.handled(1))
            line.close()
            status = tried(board.port, "b")
            if not status["trial"]:
                break
        assert (status["slot"], status["trial"]) == ("b", False)
    assert on_board(image, "/b/manifest") == found.parts[0]
    for entry, data in zip(found.manifest.entries, found.parts[2:], strict=True):
        assert on_board(image, f"/b/{entry.path}") == data, entry.path
    assert on_board(image, "/b/incoming") is on_board(image, "/b/part") is on_board(image, "/b/manifest.new") is None
    with PtyBoard(image, UID) as board:
        words = ["flash", NAME, "--port", board.port, *FLEET, "--secrets", str(workshop / "secrets.json"), "-q"]
        assert cli.run([*words, *BARE]) == 0
        status = tried(board.port, "a")
        assert (status["slot"], status["trial"], status["strikes"]) == ("a", False, 0)


@pytest.mark.share("flash")
def test_refused_by_name(image, bring, release, tmp_path):
    keys.make(tmp_path / "other.key", WORDS)
    other = keys.load(tmp_path / "other.key", WORDS)
    path = release(3, key=other)
    with PtyBoard(image, UID) as board:
        code, _out, err = bring(board.port, path)
        assert (code, "update_signature" in err) == (10, True), err
        assert three_lines(err, "device_fault")
        path.write_bytes(b"PK")
        assert bring(board.port, path)[0] == 3
    assert on_board(image, "/b/manifest.new") is on_board(image, "/b/modules") is None


def test_a_board_that_asks_in_circles(release):
    found = bundle.read(release(2))

    class Circles:
        def __init__(self, want):
            self.want, self.asked = want, 0

        def ask(self, op, *args, answer_s=None):
            self.asked += 1
            return self.want

    board = Circles([2, 64])
    with pytest.raises(HostError, match="again and again"):
        update.send(board, found, lambda done, whole: None)
    assert board.asked == 4
    for want in ([99, 0], [0, -1], [0], "part", [True, 0]):
        with pytest.raises(HostError, match="no block"):
            update.send(Circles(want), found, lambda done, whole: None)

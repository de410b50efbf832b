"""The shipped town, secrets for its boards, and the command that flashes them."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from serial.tools.list_ports_common import ListPortInfo

sys.path.insert(0, str(Path(__file__).resolve().parent))
from bundling import TYPES, file_of, known_facts, made
from flashing import BARE, RELEASE_WORDS, UID, usb
from keydesk import CHEAP, WORDS
from pty_board import PtyBoard

from gateway import inventory
from gateway.errors import HostError
from tools import cli
from tools.bundle import command as bundle_command
from tools.bundle import file as bundle_file
from tools.keys.command import keys
from tools.release import keys as release_keys

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(autouse=True)
def plain_is_known(monkeypatch):
    """The line that names a plain file of secrets comes once a process: here never, so that no test depends on another."""
    monkeypatch.setattr("tools.keys.secrets._tell", lambda path: None)


@pytest.fixture(scope="session", autouse=True)
def kept(tmp_path_factory):
    """Where the record and the labels of these tests go: not beside the shipped boards.yaml."""
    folder = tmp_path_factory.mktemp("kept")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JOURDAIN_RECORD", str(folder / "commissioning.jsonl"))
        patch.setenv("JOURDAIN_LABELS", str(folder / "labels"))
        yield folder


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
        code = cli.run([*words, *BARE, *options])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def plugged(monkeypatch):
    """`plugged(port, ...)`: this machine's list of serial ports says these: paths, or `flashing.usb(...)`."""

    def lists(*ports):
        found = [port if isinstance(port, ListPortInfo) else usb(port) for port in ports]
        monkeypatch.setattr("serial.tools.list_ports.comports", lambda: found)

    return lists


@pytest.fixture(scope="session")
def flashed(tmp_path_factory):
    """A folder with the image of bin-capitainerie as it was flashed, and the secrets that it was flashed with."""
    folder = tmp_path_factory.mktemp("flashed")
    secrets = folder / "secrets.json"
    fleet = inventory.load(ROOT / "boards.yaml")
    made = {kid: {"board": board.name, "secret": os.urandom(16).hex()} for board in fleet.nodes for kid in board.kids}
    secrets.write_text(json.dumps({"keys": made}))
    secrets.chmod(0o600)
    with PtyBoard(folder, UID) as board:
        where = ["--port", board.port, "--inventory", str(fleet.path), "--secrets", str(secrets)]
        assert cli.run(["flash", "bin-capitainerie", *where, *BARE, "-q"]) == 0
    return folder


@pytest.fixture(scope="session")
def workbench(tmp_path_factory):
    """A folder where all is as it should be for bin-capitainerie, which has but a distance sensor here.

    boards.yaml, secrets.json, release.key and release.pub, UID.img of the board as it was flashed, production/UID.img of the same
    in production.
    """
    folder = tmp_path_factory.mktemp("workbench")
    text = (ROOT / "boards.yaml").read_text()
    sensors = "{distance: a02yyuw, temperature: ds18b20}"
    assert text.index(sensors) > text.index("bin-capitainerie:")
    (folder / "boards.yaml").write_text(text.replace(sensors, "{distance: a02yyuw}", 1))
    fleet = inventory.load(folder / "boards.yaml")
    made = {kid: {"board": board.name, "secret": os.urandom(16).hex()} for board in fleet.nodes for kid in board.kids}
    (folder / "secrets.json").write_text(json.dumps({"keys": made}))
    (folder / "secrets.json").chmod(0o600)
    release_keys.make(folder / "release.key", RELEASE_WORDS)
    (folder / "production").mkdir()
    with PtyBoard(folder, UID) as board:
        where = ["--inventory", str(folder / "boards.yaml"), "--secrets", str(folder / "secrets.json"), "--port", board.port]
        trust = ["--trust", str(folder / "release.pub")]
        assert cli.run(["flash", "bin-capitainerie", *where, *trust, *BARE, "-q"]) == 0
        shutil.copy(board.image, folder / "production")
    with PtyBoard(folder / "production", UID) as board:
        assert cli.run(["board", "bin-capitainerie", "production", "on", *where[:-1], board.port]) == 0
    return folder


@pytest.fixture(scope="module")
def running(flashed, tmp_path_factory):
    """The board on a pty, its application running: as it comes out of the flashing, with its sensor."""
    folder = tmp_path_factory.mktemp("running")
    shutil.copy(flashed / f"{UID}.img", folder)
    with PtyBoard(folder, UID, uart=True) as board:
        yield board


@pytest.fixture
def ask(flashed, capsys):
    """`ask(port, *words) -> (exit code, stdout, stderr)` of `jourdain board bin-capitainerie words`."""

    def run(port, *words, target="bin-capitainerie", secrets=flashed / "secrets.json"):
        where = ["--port", port, "--inventory", str(ROOT / "boards.yaml"), "--secrets", str(secrets)]
        code = cli.run(["board", target, *words, *where])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """A folder as the download site of MicroPython has it."""
    folder = tmp_path_factory.mktemp("site")
    for name in TYPES:
        (folder / file_of(name)).write_bytes(made(name))
    return folder


@pytest.fixture
def facts(monkeypatch, tmp_path):
    """The images of the tests are the known ones; what comes out of a bundle goes into a cache of its own."""
    for module in (bundle_file, bundle_command):
        monkeypatch.setattr(module, "facts", known_facts)
    monkeypatch.setattr(bundle_file, "cache_folder", lambda: tmp_path / "cache" / "mpy")
    return known_facts()


@pytest.fixture
def jourdain(capsys):
    """`jourdain(*words) -> (exit code, stdout, stderr)`."""

    def run(*words):
        code = cli.run(list(map(str, words)))
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def bundle(tmp_path, facts, site, jourdain):
    """A bundle for the shipped town."""
    path = tmp_path / "jourdain.bundle"
    words = ("bundle", "--inventory", ROOT / "boards.yaml", "--out", path, "--source", site, "-q")
    assert jourdain(*words) == (0, "", "")
    return path


@pytest.fixture
def run(tmp_path, monkeypatch):
    """`run(*words)`: run `jourdain keys` in an empty folder, its passphrase known; a HostError comes out as itself."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JOURDAIN_PASSPHRASE", WORDS)
    monkeypatch.delenv("JOURDAIN_PASSPHRASE_FILE", raising=False)
    monkeypatch.setattr("gateway.vault.COST", CHEAP)
    monkeypatch.setattr("tools.keys.passphrase._file", None)
    monkeypatch.setattr("tools.keys.passphrase._may_ask", True)

    def run(*words):
        done = CliRunner().invoke(keys, list(words), catch_exceptions=True)
        if isinstance(done.exception, HostError):
            raise done.exception
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
        return done

    return run

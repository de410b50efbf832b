"""The file of secrets under its passphrase: nothing of it in clear, opened once, whole whatever kills its writer."""

import json
import os
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from examples import examples
from flashing import UID, three_lines
from hypothesis import given
from hypothesis import strategies as st
from keydesk import CHEAP, FLEET, ROOT, WORDS, on_terminal
from pty_board import PtyBoard

from gateway import vault
from gateway.errors import HostError
from tools import cli
from tools.keys import passphrase, sealed, secrets
from tools.keys.secrets import _tell as tell

PATH = Path("secrets.json")


@pytest.fixture
def forget(monkeypatch):
    """`forget(text)`: as another process, which knows the passphrase `text`, or none."""

    def forget(text=None):
        monkeypatch.setattr(secrets, "_locks", {})
        monkeypatch.setattr(secrets, "_told", set())
        monkeypatch.setenv("JOURDAIN_PASSPHRASE", text) if text else monkeypatch.delenv("JOURDAIN_PASSPHRASE", raising=False)

    return forget


@pytest.fixture
def fleet(run):
    """The entries of secrets.json for every board of the town."""
    run("new", "--all", *FLEET)
    return secrets.load(PATH)


def _plain(entries):
    PATH.write_text(json.dumps({"keys": entries}))
    PATH.chmod(0o600)


def test_nothing_stands_in_clear(fleet, run):
    text = PATH.read_text()
    assert not any(entry["secret"] in text or entry["board"] in text for entry in fleet.values())
    assert stat.S_IMODE(PATH.stat().st_mode) == 0o600
    first = json.loads(text)
    assert (first["version"], first["kdf"], first["cipher"], first["cost"]) == (1, "scrypt", "aes-256-gcm", list(CHEAP))
    secrets.counts_on(PATH, "0002", "e6614c311b7e6a10")
    second = json.loads(PATH.read_text())
    assert {name for name in first if first[name] != second[name]} == {"nonce", "data"}
    assert secrets.read(PATH)["0002"] == {**fleet["0002"], "counts_on": "e6614c311b7e6a10"}


def test_the_cost_that_a_guess_has():
    assert vault.COST == (16, 8, 1), "64 MB"
    assert sealed.vault.COST is vault.COST


@pytest.mark.produces("bad_passphrase")
def test_a_wrong_passphrase(fleet, run, forget):
    before = PATH.read_bytes()
    forget(WORDS + "!")
    for words in (["list"], ["new"], ["export"], ["passphrase"], ["check", *FLEET], ["rotate", "bin-quai", *FLEET, "-y"]):
        with pytest.raises(HostError, match="another one") as caught:
            run(*words)
        assert (caught.value.name, caught.value.where) == ("bad_passphrase", "secrets.json")
    assert PATH.read_bytes() == before
    assert os.listdir() == ["secrets.json"]
    assert cli.run(["keys", "list", "--no-input"]) == 3


@pytest.mark.produces("bad_passphrase")
@pytest.mark.parametrize(
    ("words", "what"),
    [("short", "has 5 characters"), ("", "has 0"), ("1" * 14, "repeats itself"), ("123456789012", "repeats itself"),
     ("zyxwvutsrqponm", "repeats itself")],
)  # fmt: skip
def test_a_weak_passphrase(run, forget, words, what):
    forget("x")
    os.environ["JOURDAIN_PASSPHRASE"] = words
    with pytest.raises(HostError, match=what) as caught:
        run("new")
    assert caught.value.name == "bad_passphrase"
    assert "millions" in caught.value.hint
    assert words not in caught.value.what or not words
    assert os.listdir() == []


@pytest.mark.produces("bad_passphrase", "bad_keys")
def test_where_the_passphrase_comes_from(fleet, run, forget, monkeypatch):
    forget()
    with pytest.raises(HostError, match="nobody is there") as caught:
        run("list")
    assert "JOURDAIN_PASSPHRASE_FILE" in caught.value.hint
    Path("words").write_text(WORDS + "\nanother line\n")
    with pytest.raises(HostError, match="read by others"):
        run("list", "--passphrase-file", "words")
    Path("words").chmod(0o600)
    assert run("list", "--passphrase-file", "words").exit_code == 0
    forget()
    monkeypatch.setattr(passphrase, "_file", None)
    monkeypatch.setenv("JOURDAIN_PASSPHRASE_FILE", str(Path("words").absolute()))
    assert secrets.load(PATH) == fleet
    # as systemd hands over a credential: to be read by the service's group
    forget()
    Path("words").chmod(0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", os.getcwd())
    assert secrets.load(PATH) == fleet


def test_a_passphrase_is_changed(fleet, run, forget):
    before = json.loads(PATH.read_text())
    Path("words").write_text("another horse")
    Path("words").chmod(0o600)
    run("passphrase", "--new-passphrase-file", "words")
    assert json.loads(PATH.read_text())["salt"] != before["salt"]
    assert secrets.load(PATH) == fleet, "the process that changed it knows it"
    forget(WORDS)
    with pytest.raises(HostError, match="another one"):
        secrets.load(PATH)
    forget("another horse")
    assert secrets.load(PATH) == fleet


def test_a_plain_file_is_read_and_named_once_until_it_is_locked(fleet, run, forget, monkeypatch, capsys):
    _plain(fleet)
    forget()
    monkeypatch.setattr(secrets, "_tell", tell)
    for _ in range(3):
        assert secrets.read(PATH) == fleet
    secrets.counts_on(PATH, "0001", "aa" * 8)
    assert capsys.readouterr().err == "secrets.json is not encrypted: `jourdain keys lock` does it\n"
    assert json.loads(PATH.read_text())["keys"]["0001"]["counts_on"] == "aa" * 8, "it stays as it was"
    with pytest.raises(HostError, match="not encrypted") as caught:
        run("passphrase")
    assert caught.value.hint == "jourdain keys lock"
    forget(WORDS)
    done = run("lock", "--json")
    assert json.loads(done.stdout) == {"file": "secrets.json", "encrypted": True, "changed": True}
    assert "not encrypted" not in done.stderr
    assert json.loads(run("lock", "--json").stdout)["changed"] is False
    assert not any(entry["secret"] in PATH.read_text() for entry in fleet.values())
    forget(WORDS)
    assert secrets.read(PATH)["0002"] == fleet["0002"]
    assert os.listdir() == ["secrets.json"]


def test_what_another_process_left_in_clear_is_gone_after_lock(fleet, run):
    _plain(fleet)
    left = Path(".secrets.json.new")  # a process that wrote a plain file was killed there
    left.write_bytes(PATH.read_bytes())
    run("lock")
    assert os.listdir() == ["secrets.json"]


@pytest.mark.parametrize("command", ["lock", "passphrase"])
def test_no_file_to_lock(run, command):
    with pytest.raises(HostError, match="no secrets yet"):
        run(command)


@pytest.fixture(scope="module")
def lock():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vault, "COST", CHEAP)
        return sealed.new(WORDS)


FIELDS = ["version", "kdf", "cipher", "cost", "salt", "check", "nonce", "data"]
CHANGES = st.one_of(st.none(), st.integers(0, 400), st.text(max_size=40), st.lists(st.integers(-2, 30), max_size=4))


@given(data=st.binary(max_size=200), field=st.sampled_from(FIELDS), change=CHANGES)
@examples(80)
def test_whatever_is_changed_is_found_out(lock, data, field, change):
    document = json.loads(json.dumps(sealed.seal(lock, data)))
    assert sealed.unseal(sealed.unlock(document, WORDS, "file"), document, "file") == data
    if isinstance(change, int) and isinstance(document[field], str):  # one digit is another one
        text = document[field]
        at = change % len(text)
        change = text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :]
    if change == document[field]:
        return
    changed = {**document, field: change}
    with pytest.raises(HostError) as caught:
        sealed.unseal(sealed.unlock(changed, WORDS, "file"), changed, "file")
    assert caught.value.name in ("bad_keys", "bad_passphrase")
    with pytest.raises(HostError):
        sealed.unseal(lock, changed, "file")


@pytest.mark.parametrize("cost", [[30, 8, 1], [16, 1 << 40, 1], [16, 8, 9], [16, 8], [16, 8, True], ["16", 8, 1], [0, 8, 1]])
def test_a_file_cannot_ask_for_all_the_memory(lock, cost):
    document = {**sealed.seal(lock, b"x"), "cost": cost}
    with pytest.raises(HostError, match="damaged"):
        sealed.unlock(document, WORDS, "file")


def test_a_file_of_a_newer_jourdain(lock):
    with pytest.raises(HostError, match="of version 2"):
        sealed.unlock({**sealed.seal(lock, b"x"), "version": 2}, WORDS, "file")


def test_twenty_boards_at_once_pay_once(fleet, forget, monkeypatch):
    paid, together = [], threading.Barrier(20)

    def slow(*how, keys=vault.keys):
        paid.append(how)
        time.sleep(0.1)
        return keys(*how)

    monkeypatch.setattr(vault, "keys", slow)
    forget(WORDS)

    def board(number):
        together.wait(60)
        kid = sorted(fleet)[number % len(fleet)]
        assert secrets.read(PATH)[kid]["secret"] == fleet[kid]["secret"]
        secrets.counts_on(PATH, kid, f"{kid:0>16}")
        secrets.read(PATH)

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(board, range(20)))
    assert len(paid) == 1
    assert {kid: entry["counts_on"] for kid, entry in secrets.read(PATH).items()} == {kid: f"{kid:0>16}" for kid in fleet}


WRITER = """
import os, signal, sys, time
from pathlib import Path
from gateway import vault
vault.COST = (4, 8, 1)
from tools.keys import secrets
path = Path("secrets.json")
secrets.load(path)
for round in range(int(sys.argv[1])):
    go, ready = os.pipe()
    pid = os.fork()
    if pid == 0:
        for number in range(1000000):
            secrets.counts_on(path, "0002", f"{round:08x}{number:08x}")
            if not number:
                os.write(ready, b"!")
    os.read(go, 1)
    time.sleep(0.001 * round)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    found = secrets.load(path)  # raises what is wrong with it
    print(found["0002"]["counts_on"], len(found), flush=True)
    for left in os.listdir():
        assert b"counts_on" not in Path(left).read_bytes(), left
"""


def test_a_kill_at_any_moment_leaves_a_whole_file(fleet, tmp_path):
    env = {**os.environ, "PYTHONPATH": str(ROOT), "JOURDAIN_PASSPHRASE": WORDS}
    rounds = 25
    command = [sys.executable, "-P", "-c", WRITER, str(rounds)]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [(counts[:8], count) for counts, count in lines] == [(f"{i:08x}", str(len(fleet))) for i in range(rounds)]
    assert set(os.listdir()) <= {"secrets.json", ".secrets.json.new"}
    secrets.counts_on(PATH, "0002", "aa" * 8)
    assert os.listdir() == ["secrets.json"], "what a killed one left goes with the next writing"


@pytest.mark.share("flash")
@pytest.mark.produces("bad_passphrase")
def test_a_board_is_flashed_from_a_sealed_file(tmp_path, run, flash, forget):
    run("lock")
    forget("another horse")
    code, out, err = flash("bin-capitainerie", "/dev/null", "--no-input")
    assert (code, out) == (3, "")
    assert three_lines(err, "bad_passphrase")
    forget(WORDS)
    with PtyBoard(tmp_path, UID) as board:
        code, _out, err = flash("bin-capitainerie", board.port, "-q")
        assert (code, err) == (0, "")
        forget()
        code, _out, err = flash("bin-capitainerie", board.port, "--no-input")
        assert code == 3
        assert "nobody is there to be asked" in err
    assert json.loads(PATH.read_text())["jourdain"] == "sealed"
    forget(WORDS)
    assert secrets.read(PATH)["0001"]["counts_on"] == UID


def test_a_link_to_the_file_stays_one(fleet, run):
    Path("stick").mkdir()
    PATH.rename("stick/secrets.json")
    PATH.symlink_to("stick/secrets.json")
    secrets.counts_on(PATH, "0002", "aa" * 8)
    run("new")
    assert PATH.is_symlink()
    assert secrets.load(Path("stick/secrets.json"))["0002"]["counts_on"] == "aa" * 8
    assert sorted(os.listdir("stick") + os.listdir()) == ["secrets.json", "secrets.json", "stick"]


@pytest.mark.produces("disk_full")
def test_a_full_disk_keeps_the_old_file(fleet, run, monkeypatch):
    before = PATH.read_bytes()

    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for words in (["rotate", "bin-quai", *FLEET, "-y"], ["new"]):
        with pytest.raises(HostError) as caught:
            run(*words)
        assert caught.value.name == "disk_full"
    assert PATH.read_bytes() == before
    assert os.listdir() == ["secrets.json"]


@pytest.mark.produces("bad_passphrase")
def test_on_a_terminal(tmp_path):
    """Asked twice for a new file, three times for an old one; what is typed does not show."""
    new, same, old = "New passphrase of secrets.json: ", "The same once more: ", "Passphrase of secrets.json: "
    code, said = on_terminal(tmp_path, ["keys", "new"], [(new, "short"), (same, "short"), (new, WORDS), (same, WORDS)])
    assert code == 0, said
    assert "at least 12 are needed" in said
    assert "key id 0001 made" in said
    assert WORDS not in said
    code, said = on_terminal(tmp_path, ["keys", "list"], [(old, "wrong"), (old, WORDS)])
    assert code == 0, said
    assert "0001" in said
    code, said = on_terminal(tmp_path, ["keys", "list"], [(old, "wrong")] * 3)
    assert code == 3
    assert said.count(old) == 3
    assert said.splitlines()[-3].startswith("bad_passphrase: ")
    assert "wrong" not in said
    code, said = on_terminal(tmp_path, ["keys", "list", "--no-input"], [])
    assert (code, old in said) == (3, False)



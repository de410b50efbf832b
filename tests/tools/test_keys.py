"""`jourdain keys`: secrets that nobody else reads, key ids that are never issued twice, exports without secrets."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from firmware.wire.seal import derive
from gateway.errors import HostError
from gateway.inventory import load as load_fleet
from gateway.keys import load
from tools.keys import issue, secrets
from tools.keys.command import keys

sys.path.insert(0, str(Path(__file__).resolve().parent))
from keydesk import FLEET, ROOT, WORDS


def _issued(path="secrets.json"):
    return secrets.load(Path(path))


def _mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_new_for_a_board_of_the_fleet(run):
    done = run("new", "bin-quai", *FLEET)
    assert done.exit_code == 0
    assert "0002" in done.output
    entry = _issued()["0002"]
    assert entry["board"] == "bin-quai"
    assert len(bytes.fromhex(entry["secret"])) == 16
    assert entry["secret"] not in done.output
    assert secrets.read(Path("secrets.json")) == {"0002": entry}
    assert _mode("secrets.json") == 0o600
    assert os.listdir() == ["secrets.json"]


def test_secrets_differ_and_stay(run):
    run("new")
    first = _issued()
    for _ in range(4):
        run("new")
    issued = _issued()
    assert list(issued) == ["0001", "0002", "0003", "0004", "0005"]
    assert len({entry["secret"] for entry in issued.values()}) == 5
    assert issued["0001"] == first["0001"]


def test_a_board_that_has_a_key_gets_the_next_free_key_id(run):
    run("new", "bin-quai", *FLEET)
    done = run("new", "bin-quai", *FLEET, "--json")
    made = json.loads(done.stdout)
    assert made["kid"] not in ("0001", "0002")
    fleet = (ROOT / "boards.yaml").read_text()
    assert f'"{made["kid"]}"' not in fleet
    assert f'add it to {FLEET[1]}, bin-quai: kids: [..., "{made["kid"]}"]' in done.stderr


def test_json(run):
    assert json.loads(run("new", "--json").stdout) == {"kid": "0001", "board": "", "file": "secrets.json"}
    assert json.loads(run("new", "bin-gare", "bin-gare", *FLEET, "--json").stdout)["kid"] == "0006", "said twice, made once"
    assert json.loads(run("new", "--json", "--kid", "0000ABCD").stdout)["kid"] == "0000abcd"
    assert run("new", "--show").exit_code == 2, "no option shows a secret"


def test_all_boards_that_lack_a_key(run):
    town = load_fleet(ROOT / "boards.yaml")
    run("new", "bin-quai", *FLEET)
    before = _issued()["0002"]
    tried = json.loads(run("new", "--all", "--json", "-n", *FLEET).stdout)
    assert list(_issued()) == ["0002"], "a dry run"
    said = json.loads(run("new", "--all", "--json", *FLEET).stdout)
    assert tried == {**said, "dry_run": True}
    lacked = [{"kid": board.kid, "board": board.name} for board in town.nodes if board.name != "bin-quai"]
    assert said == {"file": "secrets.json", "keys": lacked}
    issued = _issued()
    assert {kid: entry["board"] for kid, entry in issued.items()} == {board.kid: board.name for board in town.nodes}
    assert issued["0002"] == before
    assert {entry["made"] for entry in issued.values()} <= {before["made"], issue.today()}
    assert len({entry["secret"] for entry in issued.values()}) == len(town.nodes)
    done = run("new", "--all", *FLEET)
    assert "every board" in done.stdout
    assert _issued() == issued
    assert run("check", *FLEET).exit_code == 0


@pytest.mark.parametrize("words", ["--all bin-quai", "--all --kid 0099", f"bin-quai bin-gare --secret {'ab' * 16}"])
def test_words_that_contradict(run, words):
    words = words.split()
    done = run("new", *words, *FLEET)
    assert done.exit_code == 2
    assert "ab" * 16 not in done.output
    assert os.listdir() == []


@pytest.mark.produces("bad_keys")
@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--kid", "0001"), "issued already"),
        (("--kid", "1"), "hexadecimal digits"),
        (("--kid", "00000g01"), "hexadecimal digits"),
        (("--kid", "0003", *FLEET), "belongs to"),
        (("bin-quai", "--kid", "0003", *FLEET), "belongs to"),
        (("bridge-1", *FLEET), "has no key"),
        (("--secret", "0011"), "32 hexadecimal"),
        (("--secret", "zz" * 16), "32 hexadecimal"),
        (("--out", "no/such/folder/s.json"), "cannot write"),
    ],
)
def test_refused(run, words, what):
    run("new", "--kid", "0001")
    before = Path("secrets.json").read_bytes()
    with pytest.raises(HostError, match=what) as caught:
        run("new", *words)
    assert caught.value.name == "bad_keys"
    assert caught.value.where
    assert caught.value.hint
    assert Path("secrets.json").read_bytes() == before


@pytest.mark.produces("unknown_board")
def test_a_board_that_is_not_there(run):
    with pytest.raises(HostError, match="bin-quay") as caught:
        run("new", "bin-quay", *FLEET)
    assert caught.value.name == "unknown_board"
    assert "bin-quai" in caught.value.hint


@pytest.mark.produces("test_key", "bad_keys")
@pytest.mark.parametrize(
    ("secret", "name"),
    [(bytes(range(16)).hex(), "test_key"), (bytes(range(32, 48)).hex(), "test_key"), ("00" * 16, "test_key"),
     ("ab" * 16, "bad_keys"), ("0123456789abcdef" * 2, "bad_keys"), (bytes(range(7, 119, 7)).hex(), "bad_keys")],
)  # fmt: skip
def test_secrets_that_are_none(run, secret, name):
    with pytest.raises(HostError) as caught:
        run("new", "--secret", secret)
    assert caught.value.name == name
    assert secret not in str(caught.value)
    assert not Path("secrets.json").exists()


def test_a_secret_from_elsewhere_is_taken_over_once(run):
    secret = os.urandom(16).hex()
    assert secret not in run("new", "--secret", secret).output
    assert _issued()["0001"]["secret"] == secret
    with pytest.raises(HostError, match="0002 and 0001 have one secret") as caught:
        run("new", "--secret", secret.upper())
    assert caught.value.name == "bad_keys"
    assert secret not in str(caught.value).lower()
    assert list(_issued()) == ["0001"]


def test_a_secret_from_elsewhere_by_stdin(run):
    secret = os.urandom(16).hex()
    assert CliRunner().invoke(keys, ["new", "--secret", "-"], input=secret + "\n").exit_code == 0
    assert _issued()["0001"]["secret"] == secret


@pytest.mark.parametrize("text", ["{", "[]", "1", '{"keys": []}', '{"keys": {"0001": "x"}}', '{"keys": {"1": {"secret": "00"}}}',
                                  '{"keys": {"0001": {"board": 1, "secret": "%s"}}}' % ("ab" * 16),
                                  '{"keys": {"0001": {"board": "a"}}}', "\u00ff" + "[" * 3000])
def test_a_file_that_is_not_ours_is_left_alone(run, text):
    path = Path("secrets.json")
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(HostError) as caught:
        run("new")
    assert caught.value.name == "bad_keys"
    assert path.read_text() == text


def test_a_file_that_others_can_read_is_refused(run):
    run("new")
    Path("secrets.json").chmod(0o640)
    with pytest.raises(HostError, match="other users") as caught:
        run("new")
    assert caught.value.hint == "chmod 600 secrets.json"


@pytest.mark.produces("disk_full")
def test_a_full_disk_keeps_what_was_there(run, monkeypatch):
    run("new")
    before = Path("secrets.json").read_bytes()

    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HostError) as caught:
        run("new")
    assert caught.value.name == "disk_full"
    assert Path("secrets.json").read_bytes() == before
    assert os.listdir() == ["secrets.json"]


def test_several_at_once_never_issue_one_key_id_twice(tmp_path, monkeypatch):
    code = "from gateway import vault; vault.COST = (4, 8, 1); from tools.keys.command import keys; keys(['new'])"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "JOURDAIN_PASSPHRASE": WORDS}
    command = [sys.executable, "-P", "-c", code]
    running = [subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL) for _ in range(3)]
    assert [process.wait(60) for process in running] == [0] * 3
    monkeypatch.setenv("JOURDAIN_PASSPHRASE", WORDS)
    assert list(_issued(tmp_path / "secrets.json")) == ["0001", "0002", "0003"]


@pytest.mark.parametrize("role", ["street", "reader", "controller"])
def test_export(run, role):
    for _ in range(3):
        run("new")
    done = run("export", "--role", role)
    assert "3 key contexts" in done.output
    issued = _issued()
    text = Path("keys.json").read_text()
    assert _mode("keys.json") == 0o600
    assert not any(entry["secret"] in text + done.output for entry in issued.values())
    held = load(Path("keys.json"), issued, role)
    for kid, entry in issued.items():
        whole = derive(bytes.fromhex(entry["secret"]), bytes.fromhex(kid))
        mine = held[bytes.fromhex(kid)]
        reads = role != "street"
        assert (mine.k_up, mine.iv, mine.k_hop) == (*((whole.k_up, whole.iv) if reads else (None, None)), whole.k_hop)
        assert mine.k_dn == (whole.k_dn if role == "controller" else None)
        # What a thief of the file gets of other roles: nothing.
        others = {"street": ("k_up", "iv", "k_dn"), "reader": ("k_dn",), "controller": ()}[role]
        assert not any(getattr(whole, name).hex() in text for name in others)


def test_a_relay_needs_no_keys(run):
    run("new")
    assert "a relay needs no keys" in run("export", "--role", "relay").output
    assert json.loads(run("export", "--role", "relay", "--json").stdout) == {"role": "relay", "file": None, "kids": []}
    assert not Path("keys.json").exists()


def test_export_takes_only_the_fleets_key_ids(run):
    run("new", "bin-quai", *FLEET)
    run("new", "--kid", "00ff")
    said = json.loads(run("export", *FLEET, "--json").stdout)
    assert said == {"role": "reader", "file": "keys.json", "kids": ["0002"]}


def test_export_without_secrets(run):
    with pytest.raises(HostError, match="no secrets yet"):
        run("export")

"""Keys are replaced and given up in an order that a cut cannot spoil; what must not be a key is refused; none is ever shown."""

import json
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from keydesk import ROOT

from gateway import inventory
from gateway import keys as gateway_keys
from gateway.errors import FaultsError, HostError
from tools import cli, edit
from tools.flash.config import board_secret
from tools.keys import secrets

PATH, BOARDS = Path("secrets.json"), Path("boards.yaml")
CHIP = "e6614c311b7e6a10"


@pytest.fixture
def town(run):
    """boards.yaml of the town in the folder, and a key for each board, that of bin-quai in use."""
    BOARDS.write_bytes((ROOT / "boards.yaml").read_bytes())
    run("new", "--all")
    secrets.counts_on(PATH, "0002", CHIP)
    return inventory.load(BOARDS)


def _plain(**secret_of):
    """A plain file with these secrets for the town's boards, chance for the others."""
    fleet = inventory.load(BOARDS)
    made = {kid: {"board": board.name, "secret": os.urandom(16).hex()} for board in fleet.nodes for kid in board.kids}
    for kid, secret in secret_of.items():
        made[kid.removeprefix("k")]["secret"] = secret
    PATH.write_text(json.dumps({"keys": made}))
    PATH.chmod(0o600)


def _lines(before, after):
    return [(a, b) for a, b in zip(before.splitlines(), after.splitlines(), strict=True) if a != b]


def test_rotate(town, run):
    before, fleet = secrets.load(PATH), BOARDS.read_text()
    tried = json.loads(run("rotate", "bin-quai", "bay-ecole", "-n", "--json").stdout)
    assert (secrets.load(PATH), BOARDS.read_text()) == (before, fleet)
    done = run("rotate", "bin-quai", "bay-ecole", "-y", "--json")
    said = json.loads(done.stdout)
    assert said == {**tried, "dry_run": False}
    assert said["keys"] == [{"board": "bin-quai", "old": "0002", "kid": "0022", "ready": False},
                            {"board": "bay-ecole", "old": "0015", "kid": "0023", "ready": False}]  # fmt: skip
    assert _lines(fleet, BOARDS.read_text()) == [('    kids: ["0002"]', '    kids: ["0002", "0022"]'),
                                                 ('    kids: ["0015"]', '    kids: ["0015", "0023"]')]  # fmt: skip
    after = secrets.load(PATH)
    assert {kid: after[kid] for kid in before} == before
    assert after["0022"]["secret"] != before["0002"]["secret"]
    steps = ("keys export --role controller", "flash bin-quai bay-ecole", "retire 0002 0015")
    order = [done.stderr.index(step) for step in steps]
    assert order == sorted(order)
    run("export", "--role", "controller")
    fleet = inventory.load(BOARDS)
    held = gateway_keys.load(Path("keys.json"), [kid for board in fleet.nodes for kid in board.kids], "controller")
    assert {b"\0\2", b"\0\x22", b"\0\x15", b"\0\x23"} <= set(held), "frames of the old key may be under way"


def test_a_rotation_that_was_cut_short_goes_on(town, run):
    run("new", "bin-quai")  # what is there when it was cut: a key that boards.yaml does not name
    issued = secrets.load(PATH)
    assert "0022" in issued
    for _again in range(2):  # nor is a key made in vain when it is said twice
        said = json.loads(run("rotate", "bin-quai", "-y", "--json").stdout)["keys"]
        assert said == [{"board": "bin-quai", "old": "0002", "kid": "0022", "ready": True}]
        assert secrets.load(PATH) == issued
        assert inventory.load(BOARDS).boards["bin-quai"].kids == ("0002", "0022")
    secrets.counts_on(PATH, "0022", CHIP)
    assert json.loads(run("rotate", "bin-quai", "-y", "--json").stdout)["keys"][0]["kid"] == "0023"


def test_without_a_yes_nothing_is_rotated(town, run):
    before, fleet = PATH.read_bytes(), BOARDS.read_text()
    for words in (["rotate", "bin-quai"], ["rotate", "bin-quai", "--no-input"], ["retire", "0099"]):
        if words[0] == "retire":
            edit.add_kid(BOARDS, "bin-quai", "0098")
            run("new", "--kid", "0099")
            before, fleet = PATH.read_bytes(), BOARDS.read_text()
        done = run(*words)
        assert done.exit_code == 2
        assert "--yes" in done.output
    assert (PATH.read_bytes(), BOARDS.read_text()) == (before, fleet)


def test_new_key_ids_come_into_boards_yaml_on_request(town, run):
    done = run("new", "bin-quai", "-y")
    assert inventory.load(BOARDS).boards["bin-quai"].kids == ("0002", "0022")
    assert 'boards.yaml: bin-quai has "0022" now' in done.stderr
    assert "add it to" not in done.stderr


@pytest.mark.produces("bad_keys")
def test_a_retired_key_leaves_its_id(town, run):
    with pytest.raises(HostError, match="bin-quai has this key id"):
        run("retire", "0002", "-y")
    with pytest.raises(HostError, match="never issued"):
        run("retire", "0077", "-y")
    run("rotate", "bin-quai", "-y")
    BOARDS.write_text(BOARDS.read_text().replace('"0002", "0022"', '"0022"'))
    secret = secrets.load(PATH)["0002"]["secret"]
    run("retire", "0002", "-n")
    assert secrets.load(PATH)["0002"]["secret"] == secret
    assert json.loads(run("retire", "0002", "-y", "--json").stdout)["retired"] == ["0002"]
    entry = secrets.load(PATH)["0002"]
    assert (sorted(entry), entry["counts_on"]) == (["board", "counts_on", "made", "retired"], CHIP)
    assert "0002" not in secrets.read(PATH)
    with pytest.raises(HostError, match="issued already, for bin-quai"):
        run("new", "--kid", "0002")
    listed = {row["kid"]: row for row in json.loads(run("list", "--json").stdout)["keys"]}
    assert (listed["0002"]["state"], listed["0022"]["state"], listed["0003"]["state"]) == ("retired", "in_force", "in_force")
    assert run("check").exit_code == 0
    run("export")
    assert "0002" not in json.loads(Path("keys.json").read_text())["keys"]


def test_list(town, run):
    run("rotate", "bin-quai", "-y")
    run("new", "--kid", "0000beef")
    said = json.loads(run("list", "--json").stdout)
    assert (said["file"], said["encrypted"]) == ("secrets.json", True)
    rows = {row["kid"]: row for row in said["keys"]}
    assert rows["0002"] == {"kid": "0002", "board": "bin-quai", "made": rows["0003"]["made"], "counts_on": CHIP, "state": "old",
                            "retired": None}  # fmt: skip
    assert (rows["0022"]["state"], rows["0000beef"]["state"], rows["0000beef"]["board"]) == ("in_force", "unused", "")
    table = run("list").stdout.splitlines()
    assert len(table) == 1 + len(rows)
    line = next(line for line in table if line.startswith("0002"))
    assert line.split() == ["0002", "bin-quai", rows["0002"]["made"], CHIP, "old"]


def test_check_names_every_fault(town, run):
    assert json.loads(run("check", "--json").stdout) == {"file": "secrets.json", "encrypted": True, "boards": 14, "unused": []}
    run("new", "--kid", "0099")
    assert "key id 0099 of ? is not in boards.yaml" in run("check").stdout
    shared = os.urandom(16).hex()
    _plain(k0003=shared, k0004=shared, k0005="00" * 16, k0006="cd" * 16)
    made = json.loads(PATH.read_text())
    made["keys"]["0010"]["board"] = "bay-quai-2"
    del made["keys"]["0012"]
    PATH.write_text(json.dumps(made))
    with pytest.raises(FaultsError) as caught:
        run("check")
    assert caught.value.name == "bad_keys"
    said = "\n".join(map(str, caught.value.faults))
    for words in ("0003 and 0004 have one", "0004 and 0003 have one", "0005: everybody knows", "0006: this secret is not random",
                  "0010 of bay-quai-1 was issued for bay-quai-2", "bay-marche-1 has no secret for its key id 0012"):  # fmt: skip
        assert words in said
    places = [(fault.file, fault.line) for fault in caught.value.faults]
    lines = town.lines
    assert places == [("boards.yaml", lines["bay-quai-1"]), ("boards.yaml", lines["bay-marche-1"]), *[("secrets.json", 0)] * 4]
    assert shared not in said


BAY = 'type: pico, service: parking, link: serial, kids: ["0001"], position: [48.6, -2.8], sensors: {field: rm3100}'
TWO_SITES = f"""
sites: {{nord: {{}}, sud: {{}}}}
gateways:
  n: {{site: nord, position: [48.6, -2.8]}}
  s: {{site: sud, position: [48.6, -2.8]}}
boards:
  a: {{site: nord, gateway: n, {BAY}}}
  b: {{site: sud, gateway: s, {BAY}}}
"""


@pytest.mark.produces("bad_keys")
def test_a_key_id_that_two_boards_have(run):
    BOARDS.write_text(TWO_SITES)
    with pytest.raises(HostError, match="belongs to b") as caught:
        run("new", "a")
    assert caught.value.name == "bad_keys"
    run("new", "--kid", "0001", "--inventory", "none")
    with pytest.raises(FaultsError) as faults:
        run("check")
    assert "key id 0001 is given to a and b" in str(faults.value)


@pytest.mark.produces("bad_keys", "test_key")
def test_what_must_not_be_used_is_neither_exported_nor_flashed(town, run):
    shared = os.urandom(16).hex()
    _plain(k0003=shared, k0004=shared, k0005=bytes(range(16)).hex(), k0006="cd" * 16)
    issued = {kid: entry["secret"] for kid, entry in secrets.read(PATH).items()}
    refused = (("bin-marche", "bad_keys", "0003 and 0004 have one secret"), ("bin-plage-sud", "test_key", "everybody"),
               ("bin-gare", "bad_keys", "not random"))  # fmt: skip
    for name, fault, what in refused:
        with pytest.raises(HostError, match=what) as caught:
            board_secret(town.boards[name], issued)
        assert caught.value.name == fault
        assert "keys rotate" in caught.value.hint
        assert not any(secret in str(caught.value) for secret in issued.values())
    assert board_secret(town.boards["bin-quai"], issued), "the others' faults are not this one's"
    with pytest.raises(HostError, match="one secret"):
        run("export")
    assert not Path("keys.json").exists()


@pytest.mark.produces("bad_keys")
def test_a_key_that_was_issued_for_another_board_is_not_exported(town, run):
    _plain()
    made = json.loads(PATH.read_text())
    made["keys"]["0003"]["board"] = "bin-gare"
    PATH.write_text(json.dumps(made))
    with pytest.raises(HostError, match="0003 of bin-marche was issued for bin-gare"):
        run("export")


@pytest.mark.produces("bad_keys")
def test_a_key_id_that_stands_twice_in_the_file(town, run):
    _plain()
    again = json.dumps({"board": "bin-gare", "secret": os.urandom(16).hex()})
    PATH.write_text(PATH.read_text().replace('"0003": {', f'"0002": {again}, "0003": {{'))
    for words in (["list"], ["export"], ["new"], ["rotate", "bin-quai", "-y"]):
        with pytest.raises(HostError, match="0002 stands twice") as caught:
            run(*words)
        assert caught.value.name == "bad_keys"


def test_no_word_of_any_subcommand_is_a_secret(town, run, capsys):
    """Everything that is said, by JSON and by errors, beside every secret of every file, in the forms that a secret may have."""
    given = os.urandom(16).hex()
    said = []

    def say(*words):
        code = cli.run(["keys", *words])
        found = capsys.readouterr()
        said.append(found.out + found.err)
        return code

    every = {entry["secret"] for entry in secrets.read(PATH).values()}
    for extra in ([], ["--json"]):
        assert say("new", "bin-quai", "-n", *extra) == 0
        assert say("new", "bin-quai", *extra) == 0
        assert say("new", "--secret", given if not extra else os.urandom(16).hex(), *extra) == 0
        assert say("new", "--secret", given, *extra) == 3
        assert say("new", "--secret", given + "00", *extra) == 3
        assert say("rotate", "bin-gare", "bin-marche", "-y", *extra) == 0
        assert say("list", *extra) == 0
        assert say("check", *extra) == 0
        assert say("export", "--role", "controller", *extra) == 0
        assert say("lock", *extra) == 0
        assert say("passphrase", "--no-input", *extra) == 3
        assert say("retire", "0022", "-y", "-n", *extra) in (0, 3)
        every |= {entry["secret"] for entry in secrets.read(PATH).values()}
    entries = secrets.load(PATH)
    entries["0005"]["secret"] = entries["0004"]["secret"]
    entries["0006"]["secret"] = "cd" * 16
    PATH.write_text(json.dumps({"keys": entries}))
    for extra in ([], ["--json"]):
        assert say("check", *extra) == 3
        assert say("export", *extra) == 3
        assert say("list", *extra) == 0
    PATH.write_text(json.dumps({"keys": entries})[:-30])
    assert say("list", "--json") == 3
    every |= {given, "cd" * 16}
    assert len(every) > 20
    text = "".join(said)
    assert len(said) == 31
    for secret in every:
        raw = bytes.fromhex(secret)
        for form in (secret, secret.upper(), raw.hex(" "), str(raw)[2:-1], str(list(raw))):
            assert form not in text

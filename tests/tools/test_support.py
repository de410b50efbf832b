"""`jourdain support`: secrets planted in every place that it reads, and none of them in the zip."""

import base64
import json
import os
import secrets
import shutil
import stat
import sys
import zipfile
from pathlib import Path

import pytest

from gateway import record
from tools import cli

ROOT = Path(__file__).resolve().parent.parent.parent
JOURNALCTL = """#!/bin/sh
test "$*" = "--unit jourdain-gateway --lines 400 --no-pager --output short-iso-precise" || exit 64
cat "$(dirname "$0")/journal"
"""


def pem(kind, body):
    return f"-----BEGIN {kind}-----\n{base64.encodebytes(body).decode()}-----END {kind}-----\n"


@pytest.fixture
def planted():
    """Name -> a secret that stands somewhere in what is read."""
    return {
        **{name: secrets.token_hex(16) for name in ("board", "derived", "comment", "file", "frame")},
        "log": secrets.token_hex(16).upper(), "record": base64.b64encode(secrets.token_bytes(16)).decode(),
        "owner": "OWN3R", "contact": "+33 2 96 00 00 00", "url": "poste:str0ng,w0rd", "word": "tr0ub4dor and three",
        "environment": "correct horse battery", "passphrase": "paper clip over lunch",
        "pem": base64.encodebytes(secrets.token_bytes(60)).decode().splitlines()[0], "quoted": "open sesame",
        "told": "lantern oyster seven",
    }  # fmt: skip


@pytest.fixture
def workshop(tmp_path, planted, monkeypatch):
    """A folder with boards.yaml, secrets, a gateway and its store, a record; a journald; an environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LANGUAGE", "en")
    for name, value in {"PASSWORD": planted["environment"], "PASSPHRASE": planted["passphrase"], "SECRET": planted["frame"],
                        "BROKER": f"mqtt://{planted['url']}@127.0.0.1:1"}.items():  # fmt: skip
        monkeypatch.setenv(f"JOURDAIN_{name}", value)
    (tmp_path / "passphrase").write_text(planted["told"] + "\n")
    monkeypatch.setenv("JOURDAIN_PASSPHRASE_FILE", str(tmp_path / "passphrase"))
    monkeypatch.setenv("TOKEN_OF_SOMETHING_ELSE", planted["word"])
    text = (ROOT / "boards.yaml").read_text()
    text = text.replace("    title: Port-Luce\n", f"    title: Port-Luce\n    contact: \"{planted['contact']}\"\n")
    lorawan = f'dev_eui: "70b3d57ed0000001", join_eui: "70b3d57ed0000002", profile: "00010002", owner: {planted["owner"]}'
    text = text.replace("    title: Fish quay\n", f"    title: Fish quay  # {planted['comment']}\n    lorawan: {{{lorawan}}}\n")
    (tmp_path / "boards.yaml").write_text(text)
    private = {
        "secrets.json": json.dumps({"keys": {"0002": {"board": "bin-quai", "secret": planted["board"]}}}),
        "keys.json": json.dumps({"role": "reader", "keys": {"0002": {"k_up": planted["derived"]}}}),
        f"{planted['file']}.key": pem("PRIVATE KEY", planted["pem"].encode()),
        "release.key": pem("ENCRYPTED PRIVATE KEY", b"x" * 40),
        "word.txt": planted["word"] + "\n",
    }
    for name, content in private.items():
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o600)
    (tmp_path / "gateway.toml").write_text(
        f'# the old password: {planted["quoted"]}\n[gateway]\nname = "capitainerie"\n\n[[upstream]]\nurl = "mqtts://127.0.0.1:1"\n'
        f'username = "poste"  # {planted["log"]}\npassword_file = "word.txt"\n'
        f'cert_file = "poste.pem"\nkey_file = "{planted["file"]}.key"\n'
    )
    assert cli.run(["gateway", "init"]) == 0
    entry = {"at": 1.7e9, "who": "marie", "board": "bin-quai", "uid": "e6614c311b7e6a10", "result": "failed", "error": "bad_keys",
             "what": f"key {planted['board']} token {planted['record']}", "port": "/dev/ttyACM0"}  # fmt: skip
    for _ in range(130):
        record.append(tmp_path / "commissioning.jsonl", {**entry, "what": f"key token {planted['record']}"})
    log = [f"kid 0002: {planted['log']} and {planted['derived']}", f"login with {planted['word']} failed at mqtts://{planted['url']}@h",
           f'password="{planted["quoted"]}"', pem("RSA PRIVATE KEY", planted["pem"].encode()),
           planted["pem"], f"{planted['environment']}, {planted['passphrase']}, {planted['told']}, {planted['frame']}",
           "store: disk_full at /var/lib/jourdain/store.db",
           f"LW:D0:70B3D57ED0000002:70B3D57ED0000001:00010002:O{planted['owner']}:SBIN-QUAI", planted["contact"]]  # fmt: skip
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "journal").write_text("\n".join(log) + "\n")
    (tools / "journalctl").write_text(JOURNALCTL)
    (tools / "journalctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    return tmp_path


def test_no_planted_secret_is_in_the_zip_and_what_helps_is(workshop, planted, capsys):
    capsys.readouterr()
    assert cli.run(["support", "--out", "help.zip", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["file"] == "help.zip"
    assert stat.S_IMODE((workshop / "help.zip").stat().st_mode) == 0o600
    with zipfile.ZipFile("help.zip") as opened:
        found = {name.removeprefix("help/"): opened.read(name).decode() for name in opened.namelist()}
    assert list(found) == list(said["contents"]) == [
        "about.json", "doctor.json", "versions.json", "environment.json", "boards.yaml", "gateway.toml", "gateway.json",
        "commissioning.jsonl", "journal.txt"]  # fmt: skip
    assert {name: len(text.encode()) for name, text in found.items()} == said["contents"]
    for what, secret in planted.items():
        for name, text in found.items():
            assert secret not in text, (what, name)
            assert secret.lower() not in text.lower(), (what, name)
    # What helps is there.
    assert json.loads(found["about.json"])["not there"] == {}
    assert {check["name"] for check in json.loads(found["doctor.json"])["checks"]} >= {"python", "clock", "broker", "secrets"}
    assert json.loads(found["gateway.json"])["upstreams"]["senml"]["accepted"] == 0
    assert 'uid: "e6614c311b7e6a10"' in found["boards.yaml"]
    assert 'dev_eui: "70b3d57ed0000001"' in found["boards.yaml"]
    assert "position: [48.64905, -2.82402]" in found["boards.yaml"]
    assert "contact: (removed)" in found["boards.yaml"]
    assert 'url = "mqtts://127.0.0.1:1"' in found["gateway.toml"]
    assert 'password_file = "word.txt"' in found["gateway.toml"]
    assert "store: disk_full at /var/lib/jourdain/store.db" in found["journal.txt"]
    assert found["commissioning.jsonl"].count("\n") == 100
    assert '"error":"bad_keys"' in found["commissioning.jsonl"].replace(": ", ":")
    environment = json.loads(found["environment.json"])
    assert environment["JOURDAIN_PASSWORD"] == "(removed)"
    assert environment["JOURDAIN_BROKER"] == "mqtt://(removed)@127.0.0.1:1"
    assert "TOKEN_OF_SOMETHING_ELSE" not in environment
    assert json.loads(found["versions.json"])["installed"]["click"]


@pytest.mark.produces("file_exists")
def test_it_says_what_it_would_gather_and_overwrites_nothing(workshop, capsys):
    capsys.readouterr()
    assert cli.run(["support", "-n", "--out", "help.zip"]) == 0
    said = capsys.readouterr()
    assert "gateway.toml: 10 lines" in said.out
    assert said.err == "nothing was written\n"
    assert not (workshop / "help.zip").exists()
    (workshop / "help.zip").touch()
    assert cli.run(["support", "--out", "help.zip"]) == 3
    assert capsys.readouterr().err.startswith("file_exists: ")
    assert cli.run(["support", "--out", "none/help.zip", "--json"]) == 12
    assert json.loads(capsys.readouterr().out)["error"] == "disk_error"


def test_where_nothing_is_there_it_says_so_and_gathers_the_rest(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    monkeypatch.setenv("LANGUAGE", "en")
    monkeypatch.delenv("JOURDAIN_PORT", raising=False)
    assert cli.run(["support"]) == 0
    assert "written, for you alone to read" in capsys.readouterr().err
    (made,) = tmp_path.glob("jourdain-support-*.zip")
    with zipfile.ZipFile(made) as opened:
        about = json.loads(opened.read(f"{made.stem}/about.json"))
    assert set(about["not there"]) == {"boards.yaml", "gateway.toml", "gateway.json", "commissioning.jsonl", "journal.txt"}
    # A configuration with faults goes in as it stands, without its password.
    shutil.copy(ROOT / "boards.yaml", tmp_path)
    text = '[gateway]\nnam = "x"\n[[upstream]]\nurl = "mqtt://me:hunter22@broker"\npassword = "hunter22"\n'
    (tmp_path / "gateway.toml").write_text(text)
    assert cli.run(["support", "--out", "two.zip"]) == 0
    with zipfile.ZipFile("two.zip") as opened:
        about = json.loads(opened.read("two/about.json"))
        toml = opened.read("two/gateway.toml").decode()
        assert all(b"hunter22" not in opened.read(name) for name in opened.namelist())
    assert about["not there"]["gateway.json"].startswith("bad_config: ")
    assert toml == '[gateway]\nnam = "x"\n[[upstream]]\nurl = "mqtt://(removed)@broker"\npassword = "(removed)"\n'

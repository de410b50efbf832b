"""`jourdain record`: what was done to boards, for people and for programs; a broken chain is named."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway import record
from tools import cli

ROOT = Path(__file__).resolve().parent.parent.parent
CHECKS = [
    {"name": "radio", "passed": True, "value": None, "unit": "", "limits": None, "error": ""},
    {"name": "battery", "passed": False, "value": 2100, "unit": "mV", "limits": [2800, 6000], "error": ""},
]
SAID = {"at": 1_790_000_000, "who": "anne@atelier", "uid": "e6614c311b7e6a10", "kid": "0002", "result": "applied",
        "versions": {"jourdain": "0.1.0", "firmware": "0.1.0", "micropython": "1.28.0"}, "selftest": CHECKS}  # fmt: skip


@pytest.fixture
def path(tmp_path):
    path = tmp_path / record.FILE
    record.append(path, {**SAID, "board": "bin-quai", "result": "failed", "error": "transfer", "what": "the cable broke"})
    record.append(path, {**SAID, "board": "bin-quai", "selftest": CHECKS[:1]})
    record.append(path, {**SAID, "board": "bin-of-old", "result": "already so"})
    return path


def run(capsys, *words):
    code = cli.run(["record", *words, "--inventory", str(ROOT / "boards.yaml")])
    return code, capsys.readouterr()


def test_the_table(path, capsys):
    code, said = run(capsys, "--record", str(path))
    assert (code, said.err) == (0, "")
    head, first, second, last = ([cell.strip() for cell in line.split("  ") if cell] for line in said.out.splitlines())
    assert head == ["when", "board", "result", "who", "key id", "chip", "firmware", "self-test"]
    assert first[1:] == ["bin-quai", "FAILED", "anne", "0002", "7e6a10", "0.1.0", "transfer: the cable broke"]
    assert second[1:] == ["bin-quai", "applied", "anne", "0002", "7e6a10", "0.1.0", "1 of 1 passed"]
    assert last[-1] == "FAILED battery"


def test_filters_and_json_lines(path, capsys):
    code, said = run(capsys, "bin-quai", "--json", "--record", str(path))
    found = [json.loads(line) for line in said.out.splitlines()]
    assert code == 0
    assert found == record.read(path)[:2]
    code, said = run(capsys, "--failed", "--json", "--record", str(path))
    assert [json.loads(line)["error"] for line in said.out.splitlines()] == ["transfer"]
    code, said = run(capsys, "bin-of-old", "--record", str(path))  # it has left the fleet since
    assert len(said.out.splitlines()) == 2
    code, said = run(capsys, "JD:PORT-LUCE:BIN-QUAI", "--record", str(path))
    assert len(said.out.splitlines()) == 3
    code, said = run(capsys, "bin-gare", "--record", str(path))
    assert (code, said.out) == (0, "")
    assert "nothing of it is in" in said.err


@pytest.mark.produces("unknown_board", "bad_record")
def test_what_is_not_there_and_what_was_changed(path, capsys):
    assert run(capsys, "bin-quay", "--record", str(path))[0] == 3
    code, said = run(capsys, "--verify", "--record", str(path))
    assert (code, said.out) == (0, f"3 entries, as they were written; head {record.examine(path).head}\n")
    code, said = run(capsys, "--verify", "--record", str(path.with_name("mistyped.jsonl")))
    assert (code, said.out) == (3, "")
    assert said.err.startswith("bad_record: there is no record here\n")
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"prev":"')
    code, said = run(capsys, "--verify", "--json", "--record", str(path))
    assert json.loads(said.out) == {"file": str(path), "entries": 3, "head": record.examine(path).head, "torn_bytes": 9}
    code, said = run(capsys, "--verify", "--record", str(path))
    assert "the last line is torn (9 bytes)" in said.err
    path.write_bytes(whole.replace(b"cable", b"mouse"))
    for words in ([], ["--verify"], ["--json"]):
        code, said = run(capsys, *words, "--record", str(path))
        assert code == 3
        assert said.err.startswith("bad_record: line 2: ")
        assert f"  where: {path}:2\n" in said.err


def test_hostile_words_steer_no_terminal(path):
    """Entries that were made by somebody else: escapes, lone surrogates, odd types inside of maps and lists."""
    odd = {"who": "a\x1b[2J\u202e\udcff", "versions": {"firmware": ["x"]}, "kid": "\n\n", "uid": "\t",
           "selftest": [7, {"name": "x\x1b", "passed": "yes", "limits": 3},
                        {"limits": [None, {}], "error": ["e"]}, []]}  # fmt: skip
    record.append(path, {**SAID, "board": "bin-\x07odd", **odd})
    record.append(path, {**SAID, "board": "b", "result": "failed", **odd, "what": "\x1b]0;x\x07"})
    words = [Path(sys.executable).parent / "jourdain", "record", "--record", str(path)]
    for more in ([], ["--json"]):
        env = {**os.environ, "LC_ALL": "C", "LANGUAGE": "en"}
        done = subprocess.run([*words, *more], capture_output=True, env=env, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
        assert not set(done.stdout) & (set(range(32)) - {10})
        assert more or b"\xe2\x80\xae" not in done.stdout

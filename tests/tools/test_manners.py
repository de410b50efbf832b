"""The manners of the whole command tree, each command held to the same ones: help, JSON, exit codes, no questions, quiet ends."""

import itertools
import json
import os
import pty
import re
import resource
import select
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
import tree

from tools import cli, errors

ROOT = Path(__file__).resolve().parent.parent.parent
JOURDAIN = Path(sys.executable).parent / "jourdain"
COMMANDS = tree.commands()
LEAVES = sorted(path for path, command in COMMANDS.items() if tree.is_leaf(command))
CODES = {0, 1, 2, 130, *errors.EXIT.values()}
ESCAPE = re.compile(r"\033\[")


@pytest.fixture(autouse=True)
def plain(monkeypatch, tmp_path):
    """An empty folder, English, and nothing of this machine's settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LANGUAGE", "en")
    for name in [name for name in os.environ if name.startswith("JOURDAIN_")]:
        monkeypatch.delenv(name)


# Help


def shown(path, capsys):
    words = tree.line(path, "x") if path.startswith("board ") else path.split()
    assert cli.run([*words, "--help"]) == 0
    return " ".join(capsys.readouterr().out.split())


def examples(text):
    return [found for found in re.findall(r"`(jourdain [^`]+)`|^  (jourdain .+)$", text, re.M) for found in found if found]


@pytest.mark.parametrize("path", COMMANDS)
def test_each_command_helps_and_brings_an_example_that_is_one(path, capsys):
    command = COMMANDS[path]
    assert "jourdain" in shown(path, capsys)
    assert command.help
    text = f"{command.help} {command.epilog}"
    assert [param.name for param in command.params if isinstance(param, click.Option) and not (param.help or param.hidden)] == []
    found = [words for words in examples(text) if words.startswith(f"jourdain {path.split()[0]}") and "BOARD" not in words]
    assert found, "no example"
    assert all(len(words) <= 76 for words in found), "too long for one line of a terminal"
    for words in found:
        mine = tree.parsed(shlex.split(words)[1:])
        assert mine is command or isinstance(command, click.Group)


def test_the_readme_s_command_lines_are_ones():
    """Every line of the list in tools/README.md parses."""
    text = (ROOT / "tools/README.md").read_text()
    lines = re.findall(r"^(jourdain [^\n]*?)(?:  +[^\n]*)?$", text, re.M)
    assert len(lines) > 30
    for words in lines:
        for one in words.split(" | "):
            if one.startswith("jourdain") and not re.search(r"\b[A-Z]{3,}\b", one):
                tree.parsed(shlex.split(one)[1:])


# What each is


def test_every_command_is_known_to_look_or_to_change():
    assert {*tree.LOOKS, *tree.CHANGES} - set(LEAVES) <= {"sheet"}
    assert set(LEAVES) - {*tree.LOOKS, *tree.CHANGES} == set(), "say in tree.py what they are"
    assert not tree.LOOKS & set(tree.CHANGES)
    assert set(LEAVES) - set(tree.FAILS) == set(), "say in tree.py how they fail"


@pytest.mark.parametrize("path", LEAVES)
def test_each_has_the_options_of_its_kind(path):
    has = tree.options(COMMANDS[path])
    assert ("--json" in has) is (path not in tree.NO_JSON)
    if tree.CHANGES.get(path) is True:
        assert {"-n", "--dry-run"} <= has
    else:
        assert not {"-n", "--dry-run"} & has
    assert ("--no-input" in has) is (path in tree.ASKS)
    if "--yes" in has:
        assert {"-y", "--no-input"} <= has


# How each fails


@pytest.mark.parametrize("path", LEAVES)
def test_each_fails_by_the_table_in_three_lines_and_one_document(path, capsys, monkeypatch):
    """No question, no traceback, no colours; the code of the table; with --json one document, whatever goes wrong."""
    words, wanted = tree.FAILS[path]
    as_json = path not in tree.NO_JSON
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        code = cli.run([*tree.line(path, words), *(["--json"] if as_json else [])])
    said = capsys.readouterr()
    assert code == wanted, said.err
    assert "Traceback" not in said.err
    assert not ESCAPE.search(said.out + said.err)
    if as_json:
        documents = [json.loads(one) for one in said.out.splitlines()] if path != "twin" else [json.loads(said.out)]
        assert len(documents) == 1
        if code and path not in ("doctor", "decode"):
            assert errors.EXIT.get(documents[0]["error"], errors.USAGE) == code
    else:
        assert said.out == ""
    assert not code or said.err or path == "doctor"


@pytest.fixture
def town(tmp_path, monkeypatch):
    """The shipped town, its secrets under a passphrase, a gateway with its store; the passphrase is known no more."""
    (tmp_path / "boards.yaml").write_text((ROOT / "boards.yaml").read_text())
    (tmp_path / "gateway.toml").write_text('[gateway]\nname = "capitainerie"\n')
    monkeypatch.setenv("JOURDAIN_PASSPHRASE", "lantern oyster seven ferries")
    for words in ("keys new bin-quai -q", "keys export --role controller", "gateway init", "release key"):
        assert cli.run(words.split()) == 0
    monkeypatch.delenv("JOURDAIN_PASSPHRASE")
    # What this process has opened and was told stays with this test.
    monkeypatch.setattr("tools.keys.secrets._locks", {})
    monkeypatch.setattr("tools.keys.passphrase._may_ask", True)


FRAME = json.loads((ROOT / "firmware/wire/vectors/frame-v1.json").read_text())["vectors"][0]["frame"]
ASKING = ["keys new bin-gare", "keys rotate bin-quai", "keys check", "keys export", "keys passphrase", "release build bin-quai",
          "release key --out other.key", "gateway backup x.backup", f"decode {FRAME}"]  # fmt: skip


def test_what_would_ask_says_what_it_needs_where_nobody_answers(town, capsys, monkeypatch):
    capsys.readouterr()
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        for words in ASKING:
            for more in ([], ["--no-input"]):
                code = cli.run([*words.split(), *more])
                said = capsys.readouterr()
                assert (code, "assphrase" in said.err or "--yes" in said.err) in ((2, True), (3, True)), (words, said.err)
                assert said.out == ""


BAD_FILES = ("folder", "garbage", "empty", "list.json", "deep.json", "/dev/null/x", "no/such/x")
# Enough of a command line for the file to be looked at. Not those of a board, which need one; nor what would run.
ENOUGH = {
    "check": "", "keys new": "bin-gare -n", "keys rotate": "bin-quai -n -y", "keys retire": "0002 -n -y", "keys list": "",
    "keys check": "", "keys export": "", "keys lock": "", "keys passphrase": "--no-input", "wiring": "bin-quai", "bundle": "-n",
    "bundle check": "", "label": "bin-quai", "sheet": "bin-quai", "record": "", "support": "-n", "plan battery": "bin-quai",
    "release key": "--out new.key", "release build": "bin-quai", "release check": "new.zip", "decode": FRAME,
    "command": "bin-quai time --anyway", "gateway init": "", "gateway check": "", "gateway alarms": "",
    "gateway backup": "new.backup", "gateway restore": "none --into new", "flash": "bin-quai --port /dev/null",
}  # fmt: skip


def test_whatever_file_is_named_the_answer_is_one_of_the_table(town, tmp_path, capsys, monkeypatch):
    """A folder, noise, nothing, another JSON, a place that cannot be: for every option and argument that is a file."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "garbage").write_bytes(os.urandom(300))
    (tmp_path / "empty").touch()
    (tmp_path / "list.json").write_text('[1, {"a": null}]')
    (tmp_path / "deep.json").write_text("[" * 100_000)
    monkeypatch.setenv("JOURDAIN_PASSPHRASE", "lantern oyster seven ferries")
    asked = [(path, param) for path in ENOUGH for param in COMMANDS[path].params if isinstance(param.type, click.Path)]
    assert len(asked) > 50
    bad = itertools.cycle(BAD_FILES)
    for (path, param), name in zip(asked, bad, strict=False):
        words = tree.line(path, ENOUGH[path])
        if isinstance(param, click.Option):
            words.append(f"{param.opts[0]}={name}")
        else:
            words = [word for word in words if word not in ("none", "new.zip", "new.backup")] + [name]
        code = cli.run(words)
        err = capsys.readouterr().err
        assert code in CODES - {1, 130}, (words, err)
        assert "unexpected" not in err, (words, err)


def test_a_wrong_command_line_is_a_document_too(capsys):
    for words in (["falsh", "--json"], ["check", "--no-such", "--json"], ["completion", "--json"], ["keys", "nwe", "--json"]):
        assert cli.run(words) == 2
        said = capsys.readouterr()
        assert json.loads(said.out)["error"] == "usage"
        assert "Usage" in said.err


def test_a_slip_is_answered_with_what_was_meant(capsys):
    for words, meant in ((["falsh"], "Did you mean flash?"), (["frobnicate"], "There are: check, keys"),
                         (["keys", "nwe"], "Did you mean 'new'?"), (["flash", "--prot"], "'--port'")):  # fmt: skip
        assert cli.run(words) == 2
        assert meant in capsys.readouterr().err


# Quiet ends

# Each command that answers without a board, in a folder with the shipped boards.yaml.
ANSWERS = ["--help", "check --json", "plan battery", "wiring bin-quai", "doctor", "completion bash", "keys list --json",
           "label bin-quai --json"]  # fmt: skip


@pytest.mark.parametrize("words", ANSWERS)
def test_a_reader_that_went_away_is_no_fault(words, tmp_path):
    (tmp_path / "boards.yaml").write_text((ROOT / "boards.yaml").read_text())
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([JOURDAIN, *words.split()], stdout=write, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
                          timeout=120, check=False)  # fmt: skip
    os.close(write)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "Broken" not in done.stderr
    assert not ESCAPE.search(done.stderr)


@pytest.mark.parametrize("path", LEAVES)
def test_ctrl_c_is_quiet_in_each(path, capsys, monkeypatch):
    """Wherever it comes: what runs the command ends with 130, and says nothing of it."""

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    words, code = tree.FAILS[path]
    if code == errors.USAGE and path == "completion":
        words = "bash"
    monkeypatch.setattr(COMMANDS[path], "callback", interrupted)
    monkeypatch.setattr(cli, "load", lambda row: COMMANDS[next(name for name, one in cli.COMMANDS.items() if one is row)])
    assert cli.run(tree.line(path, words)) == 130
    said = capsys.readouterr()
    assert (said.out, said.err.strip()) == ("", "")


@pytest.mark.parametrize("words", ["gateway run --config gateway.toml", "listen --broker mqtt://127.0.0.1:{port}"])
def test_ctrl_c_ends_what_waits(words, tmp_path):
    """A real one, to a real process: a broker that never answers, a port that is not there."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as deaf:
        (tmp_path / "boards.yaml").write_text((ROOT / "boards.yaml").read_text())
        (tmp_path / "gateway.toml").write_text('[gateway]\nname = "capitainerie"\nkeys = "none.json"\n')
        (tmp_path / "none.json").write_text('{"role": "controller", "keys": {}}')
        (tmp_path / "none.json").chmod(0o600)
        command = [JOURDAIN, *words.format(port=deaf.getsockname()[1]).split()]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if "listen" in words:
            deaf.settimeout(60)
            deaf.accept()
        else:
            assert select.select([child.stderr], [], [], 60)[0]
            time.sleep(0.2)
        child.send_signal(2)
        out, err = child.communicate(timeout=60)
    assert child.returncode in (0, 130), err
    assert "Traceback" not in out + err


@pytest.mark.parametrize(("env", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_terminal_gets_colours_unless_it_says_no(env, coloured):
    base = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR")}
    ours, theirs = pty.openpty()
    done = subprocess.Popen([JOURDAIN, "doctor"], stdout=theirs, stderr=theirs, stdin=theirs,
                            env={**base, "TERM": "xterm-256color", **env})  # fmt: skip
    os.close(theirs)
    said = b""
    try:
        while data := os.read(ours, 4096):
            said += data
    except OSError:  # its end, on Linux
        pass
    os.close(ours)
    assert done.wait(60) in CODES
    assert b"python" in said
    assert (b"\033[3" in said) is coloured


# Speed


def spent_s(*command, **env):
    """Processor seconds of a child: what a busy machine does not change."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, timeout=120, cwd=ROOT, env={**os.environ, **env})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_help_and_the_tab_key_cost_little_more_than_click():
    """Medians of runs in turns; at most three times `import click`."""
    completing = {"_JOURDAIN_COMPLETE": "bash_complete", "COMP_CWORD": "2"}
    ways = {
        "import click": lambda: spent_s(sys.executable, "-P", "-c", "import click"),
        "--help": lambda: spent_s(JOURDAIN, "--help"),
        "flash b<TAB>": lambda: spent_s(JOURDAIN, COMP_WORDS="jourdain flash b", **completing),
        "fl<TAB>": lambda: spent_s(JOURDAIN, COMP_WORDS="jourdain fl", **{**completing, "COMP_CWORD": "1"}),
    }
    runs = {name: [] for name in ways}
    for _ in range(3):
        for name, way in ways.items():
            runs[name].append(way())
    middle = {name: statistics.median(times) for name, times in runs.items()}
    ratios = {name: round(time_s / middle["import click"], 2) for name, time_s in middle.items()}
    print(f"\n{ratios}")
    assert max(ratios.values()) <= 3, ratios

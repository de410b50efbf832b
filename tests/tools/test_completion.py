"""Completion: a real bash, click's own interface, and that a press of the tab key does not wait for libraries."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import get_completion_class

from gateway import inventory
from tools import cli, completion

ROOT = Path(__file__).resolve().parent.parent.parent
JOURDAIN = Path(sys.executable).parent / "jourdain"
HEAVY = {"pydantic", "ruamel", "rich", "mpremote", "serial", "paho", "cbor2", "cryptography", "segno"}


@pytest.fixture
def in_town(monkeypatch):
    """In the folder of the shipped boards.yaml."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("LANGUAGE", "en")


@pytest.fixture(scope="module")
def names():
    return list(inventory.load(ROOT / "boards.yaml").boards)


def by_click(*words):
    """What click's own way says of the words, of which the last is being typed."""
    complete = get_completion_class("bash")(cli.jourdain, {}, "jourdain", completion.VARIABLE)
    return [item.value for item in complete.get_completions(list(words[:-1]), words[-1])]


def bash(script):
    env = {**os.environ, "PATH": f"{JOURDAIN.parent}:{os.environ['PATH']}", "LANGUAGE": "en"}
    done = subprocess.run(["bash", "--norc", "-euc", script], capture_output=True, text=True, timeout=120, check=True, cwd=ROOT,
                          env=env)  # fmt: skip
    assert done.stderr == ""
    return done.stdout


def test_a_real_bash_completes(names):
    out = bash("""
        source <(jourdain completion bash)
        complete -p jourdain
        try() {
            COMP_WORDS=(jourdain "$@") COMP_CWORD=$# COMPREPLY=()
            _jourdain_completion jourdain
            echo "${COMPREPLY[*]-}"
        }
        try fl
        try flash bin-
        try plan battery bin-gare bin-plage-nord bin-p
        try plan battery --chem
        try plan battery --chemistry li-
        try board bay-e
        try no-such-command x
    """)
    registered, *said = out.splitlines()
    assert registered == "complete -o nosort -F _jourdain_completion jourdain"
    assert said == [
        "flash", " ".join(name for name in names if name.startswith("bin-")), "bin-plage-sud", "--chemistry", "li-ion li-socl2",
        "bay-eglise bay-ecole", "",
    ]  # fmt: skip


@pytest.mark.parametrize("shell", completion.PLACES)
def test_the_script_says_where_it_belongs(shell, capsys):
    assert cli.run(["completion", shell]) == 0
    said = capsys.readouterr()
    assert f"# jourdain completion {shell} > {completion.PLACES[shell]}\n" in said.out
    assert f"_JOURDAIN_COMPLETE={shell}_complete" in said.out
    assert said.out.startswith("#compdef jourdain\n" if shell == "zsh" else "# jourdain")
    assert said.err == ""
    assert cli.run(["completion", "csh"]) == 2


ANSWERS = {"bash": "plain,bin-gare", "fish": "plain,bin-gare\tRailway station", "zsh": "plain\nbin-gare\nRailway station"}


@pytest.mark.parametrize("shell", completion.PLACES)
def test_each_shell_is_answered_in_its_words(shell, in_town, monkeypatch, capsys):
    monkeypatch.setenv(completion.VARIABLE, f"{shell}_complete")
    monkeypatch.setenv("COMP_WORDS", "jourdain flash bin-g")
    monkeypatch.setenv("COMP_CWORD", "bin-g" if shell == "fish" else "2")
    assert cli.run([]) == 0
    assert capsys.readouterr().out == ANSWERS[shell] + "\n"
    for unknown in ("tcsh_complete", "bash_nonsense", ""):
        monkeypatch.setenv(completion.VARIABLE, unknown)
        assert (cli.run([]), capsys.readouterr().out) == (1, "")


def test_a_quick_answer_is_the_one_that_click_gives(in_town, names, tmp_path):
    quick = completion._quickly
    assert [item.value for item in quick(cli.COMMANDS, [], "")] == list(cli.COMMANDS)
    for name, row in cli.COMMANDS.items():
        command = cli.load(row)
        words = next((param for param in command.params if isinstance(param, click.Argument)), None)
        ours = words is not None and by_click(name, "") == names
        assert row.takes == (("boards" if words.nargs == -1 else "board") if ours else ""), name
        if row.takes:
            for typed in ("", "b", "bin-plage", "x"):
                assert [item.value for item in quick(cli.COMMANDS, [name], typed)] == by_click(name, typed), (name, typed)
        if row.takes == "boards":
            assert [item.value for item in quick(cli.COMMANDS, [name, names[0]], "")] == names[1:] == by_click(name, names[0], "")
        if row.takes == "board":
            assert quick(cli.COMMANDS, [name, names[0]], "") is None


def test_key_ids_and_another_inventory(in_town, tmp_path, names):
    other = tmp_path / "fleet.yaml"
    other.write_text('sites: {}\nboards:\n  # first\n  one: {kids: ["00aa", "00ab"]}\n\n  two:\n    title: The second\n'
                     '    kids: ["000000ff"]\n  three.b:\ngateways:\n  four: {}\n')  # fmt: skip
    ctx = click.Context(click.Command("x", params=[click.Option(["--inventory"])]))
    ctx.params = {"inventory": other}
    param = click.Argument(["boards"], nargs=-1)
    assert [(item.value, item.help) for item in completion.boards(ctx, param, "")] == [
        ("one", None), ("two", "The second"), ("three.b", None)]  # fmt: skip
    assert [(item.value, item.help) for item in completion.kids(ctx, param, "00")] == [
        ("000000ff", "two"), ("00aa", "one"), ("00ab", "one")]  # fmt: skip
    assert by_click("plan", "battery", "--inventory", str(other), "t") == ["two", "three.b"]
    assert by_click("keys", "new", "--inventory", str(other), "--kid", "00a") == ["00aa", "00ab"]
    assert by_click("board", "/dev/no-such-port") == []
    toml = tmp_path / "gateway.toml"
    toml.write_text('[gateway]\nname = "x"\ninventory = "fleet.yaml"\n')
    ctx.params = {"config": toml}
    assert [item.value for item in completion.boards(ctx, param, "tw")] == ["two"]
    ctx.params = {"inventory": tmp_path / "none.yaml"}
    assert completion.boards(ctx, param, "") == []


def test_boards_are_found_by_lines_as_by_reading_it_whole(names):
    assert [item.value for item in completion._boards(ROOT / "boards.yaml", "", ())] == names


@pytest.mark.parametrize("words", ["jourdain ", "jourdain b", "jourdain flash bin-g", "jourdain board bay", "jourdain --v"])
def test_no_library_is_loaded_for_a_name(words):
    code = (
        "import json, sys\nfrom tools import cli\ncode = cli.run([])\nprint('\\n' + json.dumps([code, sorted(sys.modules)]))"
    )
    env = {**os.environ, completion.VARIABLE: "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60, check=True, cwd=ROOT,
                          env=env)  # fmt: skip
    *said, last = done.stdout.splitlines()
    code, modules = json.loads(last)
    assert (code, HEAVY & set(modules)) == (0, set())
    assert any(line.startswith("plain,") for line in said)

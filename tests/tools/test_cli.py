"""The manners of the command: languages, exit codes, what goes to stdout and what to stderr."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from firmware.wire.host.errors import HOST_ERRORS
from gateway.errors import HostError
from tools import cli, errors
from tools.flash import build

ROOT = Path(__file__).resolve().parent.parent.parent
JOURDAIN = Path(sys.executable).parent / "jourdain"


def jourdain(*words, env=None, **options):
    full = {**os.environ, "LANGUAGE": "en", **(env or {})}
    return subprocess.run([JOURDAIN, *words], env=full, capture_output=True, text=True, timeout=60, check=False, **options)


def test_help_imports_click_and_no_library_of_a_subcommand():
    code = (
        "import sys; from tools import cli; code = cli.run(['--help'])\n"
        "heavy = {'pydantic', 'ruamel', 'rich', 'mpremote', 'serial', 'paho', 'cbor2', 'cryptography'} & set(sys.modules)\n"
        "print(code, sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60, check=True)
    code, heavy = re.search(r"^(\d+) (\[.*\])$", done.stdout, re.M).groups()
    assert (code, heavy) == ("0", "[]")
    for name in cli.COMMANDS:
        assert re.search(rf"^  {name} ", done.stdout, re.M)


@pytest.mark.parametrize("name", list(cli.COMMANDS))
def test_every_command_is_there_and_helps(name, capsys):
    assert cli.run([name, "--help"]) == 0
    assert "Usage: jourdain " + name in capsys.readouterr().out
    assert isinstance(cli.load(cli.COMMANDS[name]), click.Command)


def test_usage_errors_are_2_and_on_stderr():
    for words in (["flahs"], ["flash"], ["check", "--no-such"]):
        done = jourdain(*words)
        assert (done.returncode, done.stdout) == (2, ""), words
        assert "Usage" in done.stderr
    done = jourdain("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("jourdain ")


@pytest.mark.produces("bad_inventory")
def test_check_names_every_fault_and_ends_with_3(tmp_path):
    path = tmp_path / "boards.yaml"
    text = (ROOT / "boards.yaml").read_text()
    path.write_text(text.replace("service: bin\n", "service: binn\n", 2).replace('["0002"]', "[0002]"))
    done = jourdain("check", "boards.yaml", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    assert all(re.match(r"boards\.yaml:\d+:\d+: boards\.", line) for line in lines)
    done = jourdain("check", "--json", cwd=tmp_path)
    said = json.loads(done.stdout)
    assert said["error"] == "bad_inventory"
    assert [f"boards.yaml:{fault['line']}:{fault['col']}: {fault['what']}" for fault in said["faults"]] == lines
    path.write_text(text)
    done = jourdain("check", "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(json.loads(done.stdout)["boards"]) == 15


def test_french(tmp_path):
    done = jourdain("--help", env={"LANGUAGE": "fr"})
    assert "Usage" not in done.stdout
    assert "Utilisation" in done.stdout
    assert "Options" in done.stdout
    (tmp_path / "boards.yaml").write_text("sites: {}\nbords: {}\n")
    done = jourdain("check", env={"LANGUAGE": "fr"}, cwd=tmp_path)
    assert "boards.yaml:2:1: bords: clé inconnue « bords » (vouliez-vous dire « boards » ?)" in done.stderr
    done = jourdain("check", "--json", env={"LANGUAGE": "fr"}, cwd=tmp_path)
    assert "unknown key 'bords'" in done.stdout
    done = jourdain("flash", env={"LANG": "fr_FR.UTF-8", "LANGUAGE": ""})
    assert "argument" in done.stderr.lower()
    assert "Missing" not in done.stderr


def test_a_reader_that_goes_away_is_no_fault():
    done = subprocess.run(f"{JOURDAIN} check --json | head -c 5", shell=True, cwd=ROOT, capture_output=True, text=True,
                          executable="/bin/bash", timeout=60, check=False)  # fmt: skip
    assert (done.stdout, done.stderr) == ('{"fau', "")
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([JOURDAIN, "check", "--json"], cwd=ROOT, stdout=write, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


def test_ctrl_c_is_quiet_and_130(monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("tools.check.load", interrupted)
    assert cli.run(["check"]) == 130
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.produces("unexpected")
def test_a_fault_of_ours_is_three_lines_too(monkeypatch, capsys):
    def broken(*_, **__):
        raise ValueError("odd")

    monkeypatch.setattr("tools.check.load", broken)
    monkeypatch.delenv("JOURDAIN_DEBUG", raising=False)
    assert cli.run(["check", "--json"]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["error"] == "unexpected"
    what, where, hint = said.err.splitlines()
    assert what == "unexpected: ValueError: odd"
    assert "test_cli.py:" in where
    assert "JOURDAIN_DEBUG=1" in hint
    monkeypatch.setenv("JOURDAIN_DEBUG", "1")
    with pytest.raises(ValueError, match="odd"):
        cli.run(["check"])


@pytest.mark.produces("missing_tool")
def test_a_library_that_is_not_installed_gives_the_line_that_helps(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "ruamel.yaml", None)
    for name in [name for name in sys.modules if name in ("tools.check", "gateway.yamlfile", "gateway.inventory")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.startswith(("gateway.inventory", "gateway.presets"))]:
        monkeypatch.delitem(sys.modules, name)
    assert cli.run(["check"]) == 12
    what, _, hint = capsys.readouterr().err.splitlines()
    assert what == "missing_tool: `jourdain check` needs ruamel, which is not installed"
    assert hint.endswith("-m pip install 'jourdain[gateway]'")
    secrets = tmp_path / "secrets.json"
    secrets.write_text(json.dumps({"keys": {"0001": {"board": "", "secret": os.urandom(16).hex()}}}))
    secrets.chmod(0o600)
    words = ["bin-capitainerie", "--port", "/dev/null", "--secrets", str(secrets), "--inventory", str(ROOT / "boards.yaml")]
    monkeypatch.undo()
    for name in ["mpremote", *(name for name in sys.modules if name.startswith("mpremote."))]:
        monkeypatch.setitem(sys.modules, name, None)
    assert cli.run(["flash", *words]) == 12
    assert "needs mpremote" in capsys.readouterr().err
    monkeypatch.setattr(build.importlib, "import_module", lambda name: (_ for _ in ()).throw(ImportError(name)))
    monkeypatch.setattr(build, "which", lambda name: None)
    with pytest.raises(HostError) as caught:
        build.compiler()
    assert caught.value.name == "missing_tool"


def test_every_error_has_its_exit_code_and_the_manual_says_which():
    assert set(errors.EXIT) == set(HOST_ERRORS)
    manual = (ROOT / "tools/README.md").read_text()
    table = {int(code): names for code, names in re.findall(r"^\| (\d+) \|[^|]*\|([^|]*)\|$", manual, re.M)}
    for name, code in errors.EXIT.items():
        assert f"`{name}`" in table[code], name
    assert set(table) == {0, 2, 130, *errors.EXIT.values()}

"""The shipped town, secrets for its boards, and the command that flashes them."""

import json
import os
from pathlib import Path

import pytest

from gateway import inventory
from tools import cli

ROOT = Path(__file__).resolve().parent.parent.parent


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
        code = cli.run([*words, *options])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run

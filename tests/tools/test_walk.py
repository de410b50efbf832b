"""The walk of tools/WALK.md, as a new technician does it: block after block in an empty folder, with a board on a pty."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
import tree
from flashing import ROOT, UID
from loaders import MACHINES, uf2_image
from pty_board import PtyBoard

from gateway import inventory, record
from tools.bundle.file import facts

TEXT = (ROOT / "tools/WALK.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent


def fenced(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```$", TEXT, re.M | re.S)


@pytest.mark.share("flash")
def test_from_an_empty_machine_to_a_labelled_board(tmp_path):
    """The installed command, a real MicroPython, MicroPython's site in a folder; no terminal, and nobody to answer."""
    town, site = tmp_path / "town", tmp_path / "site"
    town.mkdir()
    site.mkdir()
    (site / facts().file("RPI_PICO2", "rp2")).write_bytes(uf2_image("pico2", facts().version))
    blocks = fenced("sh")
    script = "set -eu\n" + "\n".join(f"echo '=== block {number}' >&2\n{block}" for number, block in enumerate(blocks, 1))
    env = {name: value for name, value in os.environ.items() if not name.startswith("JOURDAIN_")}
    env |= {"PATH": f"{BIN}:{env['PATH']}", "JOURDAIN_SOURCE": str(site), "LANGUAGE": "en"}
    with PtyBoard(tmp_path, UID, machine=MACHINES["RP2350"], uart=True) as board:
        done = subprocess.run(["sh", "-c", script], cwd=town, env={**env, "JOURDAIN_PORT": board.port}, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=220, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]
    assert done.stderr.count("=== block") == len(blocks) == len(re.findall(r"^## \d+\. ", TEXT, re.M))
    # Bound to its chip, in the record as in service, labelled; what a person reads is on the label.
    assert inventory.load(town / "boards.yaml").boards["bin-quai"].uid == UID
    (entry,) = record.read(town / "commissioning.jsonl")
    assert (entry["board"], entry["uid"], entry["result"], entry["error"]) == ("bin-quai", UID, "applied", None)
    assert all(check["passed"] for check in entry["selftest"])
    assert entry["uplink"]["kid"] == "0001"
    label = (town / "labels/bin-quai.svg").read_text()
    assert label.startswith("<svg")
    assert "Fish quay" in (town / "bin-quai.html").read_text()
    # The key is where it belongs, and nowhere else.
    assert json.loads((town / "secrets.json").read_text())["jourdain"] == "sealed"
    assert set(json.loads((town / "keys.json").read_text())["keys"]) == {"0001"}


def test_what_is_not_run_is_a_command_all_the_same():
    lines = [line.removeprefix("$ ") for block in fenced("console") for line in block.splitlines()]
    ours = [line.split() for line in lines if line.startswith("jourdain ")]
    assert len(ours) >= 3
    for words in ours:
        tree.parsed(words[1:])
    for words in re.findall(r"`(jourdain [^`]+)`", TEXT):
        assert words.split()[1] in tree.cli.COMMANDS

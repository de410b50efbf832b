"""`jourdain flash` with twenty boards at once, each a real MicroPython on a pty of its own."""

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from flashing import ROOT
from pty_board import PtyBoard

from gateway import record
from tools.flash import connect

COUNT = 20
COMMAND = (sys.executable, "-P", "-c", "from tools.cli import main; main()", "flash")
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("JOURDAIN_")}

HEAD = """
sites:
  quay: {title: Quay}
gateways:
  office: {site: quay, title: Office, position: [48.6, -2.8], role: reader}
boards:
"""
ENTRY = """
  bin-{n:02}:
    title: Bin {n}
    type: pico
    service: bin
    link: serial
    gateway: office
    uid: "{uid}"
    kids: ["{n:04x}"]
    position: [48.6, -2.8]
    report_s: 900
    settings: {{empty_mm: 1150, full_mm: 250}}
    sensors: {{distance: a02yyuw}}
"""
# A program that is no one's of ours: it hears no Ctrl-C, for ever.
BLOCKS = "import micropython, time\nmicropython.kbd_intr(-1)\nprint('busy')\nwhile True:\n    time.sleep(1)\n"
FILL = """
import os
with open('/photos.bin', 'wb') as file:
    for _ in range(os.statvfs('/')[3] - 20):
        file.write(bytes(4096))
"""


def uid(n):
    return f"e6614c311b7f{n:04x}"


def name(n):
    return f"bin-{n:02}"


class Workshop:
    """An inventory of twenty bins on cables, their secrets, and the command."""

    def __init__(self, folder, count=COUNT):
        self.folder = folder
        (folder / "boards.yaml").write_text(HEAD + "".join(ENTRY.format(n=n, uid=uid(n)) for n in range(1, count + 1)))
        made = {f"{n:04x}": {"board": name(n), "secret": os.urandom(16).hex()} for n in range(1, count + 1)}
        (folder / "secrets.json").write_text(json.dumps({"keys": made}))
        (folder / "secrets.json").chmod(0o600)

    def start(self, *words):
        return subprocess.Popen(
            [*COMMAND, *words, "--json"], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**ENVIRONMENT, "PYTHONPATH": str(ROOT)}, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def run(self, *words):
        """(exit code, document, stderr)."""
        done = self.start(*words)
        out, err = done.communicate(timeout=240)
        return done.returncode, json.loads(out), err


def prepare(board, script, until=b""):
    """Run a script on a board, and start it anew: `until` is what its program says then."""
    connection = connect.Connection(board.port)
    connection.run(script)
    connection.restart()
    line = connection.line()
    said, deadline = b"", time.monotonic() + 30
    while until not in said and time.monotonic() < deadline:
        said += line.read(1)
    connection.close()
    assert until in said


CUT, FULL, OTHER, DEAF = 3, 8, 12, 17
FOUR = {name(n): error for n, error in ((CUT, "transfer"), (FULL, "transfer"), (OTHER, "mismatch"), (DEAF, "no_device"))}


def good():
    return [name(n) for n in range(1, COUNT + 1) if name(n) not in FOUR]


@pytest.mark.produces("partial")
@pytest.mark.share("flash")
def test_twenty_boards_of_which_four_fail_and_a_second_run_that_does_the_rest(tmp_path):
    shop = Workshop(tmp_path)
    special = {CUT: {"cut_after": 30_000}, OTHER: {"uid": "e6614c311b7fffff"}}
    with ExitStack() as stack:

        def plug(n, **how):
            return stack.enter_context(PtyBoard(tmp_path, **{"uid": uid(n), "uart": True, **how}))

        def words():
            # Those up to ten and the one with a wrong chip are named with their ports, the others are a pool.
            for n, board in boards.items():
                yield from ("--port", f"{name(n)}={board.port}" if n <= 10 or n == OTHER else board.port)

        boards = {n: plug(n, **special.get(n, {})) for n in range(1, COUNT + 1)}
        prepare(boards[FULL], FILL)
        prepare(boards[DEAF], f"with open('/main.py', 'w') as file:\n    file.write({BLOCKS!r})", b"busy")
        code, said, err = shop.run("--all", *words())
        assert code == 9, err
        assert {each["board"]: each["error"] for each in said["boards"] if each["result"] == "failed"} == FOUR
        assert (said["applied"], said["already_so"], said["failed"]) == (16, 0, 4)
        in_service(said, 16)
        assert f"{boards[DEAF].port}: silent" in next(each for each in said["boards"] if each["board"] == name(DEAF))["where"]
        entries = record.read(tmp_path / "commissioning.jsonl")
        assert {each["board"]: each["error"] for each in entries if each["result"] == "failed"} == FOUR
        assert sorted(each["board"] for each in entries if each["selftest"] and each["uplink"]) == good()
        assert sorted(path.stem for path in (tmp_path / "labels").iterdir()) == good()
        assert err.count("partial: 4 of 20 boards failed: bin-03, bin-08, bin-12, bin-17") == 1

        # Plugged in again, emptied, the right board, and reset into a state without a program.
        boards[DEAF].pull()
        boards[DEAF].image.unlink()
        boards |= {n: plug(n) for n in (CUT, OTHER, DEAF)}
        prepare(boards[FULL], "import os\nos.remove('/photos.bin')")
        code, said, err = shop.run("--all", *words())
        assert code == 0, err
        assert {each["board"] for each in said["boards"] if each["result"] == "applied"} == set(FOUR)
        assert (said["applied"], said["already_so"], said["failed"]) == (4, 16, 0)
        in_service(said, 20)
        assert len(record.read(tmp_path / "commissioning.jsonl")) == 2 * COUNT


def in_service(said, count):
    """So many boards have run, passed, and sent a frame that their own key opens."""
    there = [each for each in said["boards"] if each["result"] != "failed"]
    assert len(there) == count
    for each in there:
        assert each["hello"]["uid"] == each["uid"]
        assert {check["name"] for check in each["selftest"]} == {"sensor distance (a02yyuw)", "flash free", "counter"}
        assert all(check["passed"] for check in each["selftest"])
        assert each["uplink"]["via"] == "cable"
        assert each["uplink"]["kid"] == f"{int(each['board'][-2:]):04x}"
        assert each["uplink"]["values"]["distance"] == {"value": 1.0, "unit": "m"}

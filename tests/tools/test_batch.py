"""`jourdain flash` with twenty boards at once, each a real MicroPython on a pty of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from flashing import ROOT
from loaders import wait
from pty_board import PtyBoard

from gateway import record
from tools.diag.service import Port, Service
from tools.flash import batch, connect
from tools.flash.job import Halt
from tools.flash.progress import Screen

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


# Every module of the application has a byte too many: it runs, and all of it is to be written.
AGED = """
import os
for folder in ('/a/firmware/node/', '/a/firmware/wire/', '/a/firmware/sensors/', '/a/firmware/services/'):
    for name in os.listdir(folder):
        with open(folder + name, 'ab') as file:
            file.write(b'x')
"""
SLOW = 6_000  # bytes a second: writing it takes longer than two boards can be apart


@pytest.mark.share("flash")
def test_ctrl_c_leaves_boards_running_and_a_later_run_goes_on(tmp_path):
    """A dry run writes nothing; what is stopped leaves the old application; what is in service is left out."""
    shop = Workshop(tmp_path, 2)
    short = ("--no-selftest", "--uplink", "0", "--yes")
    with PtyBoard(tmp_path, uid(1)) as one, PtyBoard(tmp_path, uid(2)) as two:
        ports = [word for board in (one, two) for word in ("--port", board.port)]
        before = sorted(path.name for path in tmp_path.iterdir())
        code, said, err = shop.run("--all", *ports, "-n")
        assert (code, said["applied"], said["failed"]) == (0, 2, 0), err
        assert all(len(each["files"]["written"]) > 60 and each["dry_run"] for each in said["boards"])
        assert sorted(path.name for path in tmp_path.iterdir()) == before
        code, said, err = shop.run("--all", *ports, *short)
        assert (code, said["applied"]) == (0, 2), err
        for board in (one, two):
            prepare(board, AGED)
    with PtyBoard(tmp_path, uid(1), bytes_s=SLOW) as one, PtyBoard(tmp_path, uid(2), bytes_s=SLOW) as two:
        ports = [word for board in (one, two) for word in ("--port", board.port)]
        going = shop.start("--all", *ports, *short)
        wait(lambda: min(one.received, two.received) > 8_000 or going.poll() is not None, 60)
        going.send_signal(signal.SIGINT)
        out, err = going.communicate(timeout=60)
        assert going.returncode == 130, err
        stopped = [(each["result"], each.get("error")) for each in json.loads(out)["boards"]]
        assert stopped == [("failed", "interrupted")] * 2, err
        assert "Traceback" not in err
        one._bytes_s = two._bytes_s = None
        for board, n in ((one, 1), (two, 2)):
            line = Port(board.port)
            assert Service(line, lambda _identity: b"").greet().board == name(n)
            line.close()
        code, said, err = shop.run("--all", *ports, *short, "--resume")
        assert (code, said["applied"], said["already_so"]) == (0, 2, 0), err
        received = one.received, two.received
        code, said, err = shop.run("--all", "--port", "/dev/no-such-port", *short, "--resume")
        assert (code, said["already_so"]) == (0, 2), err
        assert said["boards"][0]["items"][0]["why"].startswith("in service since ")
        assert (one.received, two.received) == received
    errors = [each["error"] for each in record.read(tmp_path / "commissioning.jsonl")]
    assert errors == [None, None, "interrupted", "interrupted", None, None]


def test_questions_are_put_by_one_thread_and_end_with_ctrl_c():
    stop, put = batch.Stop(), []
    questions = batch.Questions(lambda question: put.append((question, threading.current_thread())) or question == "yes?", stop)
    answers = {}
    threads = [threading.Thread(target=lambda word=word: answers.update({word: questions.ask(word)})) for word in ("yes?", "no?")]
    for thread in threads:
        thread.start()
    wait(lambda: questions.serve() or len(answers) == 2)
    assert answers == {"yes?": True, "no?": False}
    assert {thread for _, thread in put} == {threading.current_thread()}
    stop.now()
    with pytest.raises(Halt):
        questions.ask("never answered?")


def test_a_terminal_has_a_line_a_board(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Screen(["bin-01", "bin-02"], quiet=False) as screen:
        one = screen.row("bin-01")
        one.done("found: a Pico")
        one.doing("main.py")
        with screen.aside():
            pass
        screen.row("bin-02").done("first uplink: seen")
    out, err = capsys.readouterr()
    assert out == ""
    last = [line for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", err).splitlines() if line.strip()][-2:]
    assert last[0].split() == ["bin-01", "found:", "a", "Pico", "main.py"]
    assert last[1].split() == ["bin-02", "first", "uplink:", "seen"]

"""A folder with secrets, the command `jourdain keys` in it, and a terminal to answer its questions on."""

import os
import pty
import select
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FLEET = ("--inventory", str(ROOT / "boards.yaml"))
WORDS = "a horse that reads"
CHEAP = (4, 8, 1)  # the cost of scrypt where not its price is tried


def on_terminal(folder, words, answers, patience_s=60):
    """`jourdain WORDS` in a folder, on a terminal of its own: (exit code, all that stood on it).

    answers: [(the end of a question with its last blank, which comes once the echo is off; what is typed)], in order.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith("JOURDAIN_")}
    env.update(PYTHONPATH=str(ROOT), LANGUAGE="en", LC_ALL="C.UTF-8")
    code = "import sys; from tools.cli import run; sys.exit(run(sys.argv[1:]))"
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execve(sys.executable, [sys.executable, "-P", "-c", code, *words], env)
    said, at, waiting, end = "", 0, list(answers), time.monotonic() + patience_s
    try:
        while time.monotonic() < end:
            if waiting and (found := said.find(waiting[0][0], at)) >= 0:
                at = found + len(waiting[0][0])
                os.write(terminal, waiting.pop(0)[1].encode() + b"\n")
            if select.select([terminal], [], [], 0.2)[0]:
                try:
                    data = os.read(terminal, 4096)
                except OSError:
                    break
                if not data:
                    break
                said += data.decode(errors="replace")
    finally:
        if time.monotonic() >= end:
            os.kill(pid, 9)
        _pid, status = os.waitpid(pid, 0)
        os.close(terminal)
    assert not waiting, f"never asked {waiting[0][0]!r}: {said}"
    return os.waitstatus_to_exitcode(status), said

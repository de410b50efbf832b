"""What the tests of `jourdain doctor` share."""

import contextlib
import json
import os
import pty
import subprocess
import sys

from tools import cli


def plug(root, place, vid, pid, serial="E661", tty="", usb_serial=False):  # noqa: PLR0917
    """A device on USB, as the kernel shows it in sysfs; its port is in /dev too."""
    folder = root / "sys/bus/usb/devices" / place
    folder.mkdir(parents=True)
    for name, text in {"idVendor": f"{vid:04x}", "idProduct": f"{pid:04x}", "serial": serial, "product": "Board"}.items():
        (folder / name).write_text(text + "\n")
    if tty:
        (folder / f"{place}:1.0" / ("" if usb_serial else "tty") / tty).mkdir(parents=True)
        (root / "dev").mkdir(exist_ok=True)
        (root / "dev" / tty).touch()


@contextlib.contextmanager
def a_pty():
    """The name of one."""
    ends = pty.openpty()
    yield os.ttyname(ends[1])
    for end in ends:
        os.close(end)


def holding(port, *words):
    """A process that has the port open, once it says so."""
    code = "import sys, time; file = open(sys.argv[1], 'r+b', 0); print('open', flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", code, port, *words], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"open\n"
    return child


def ask(*words, capsys, **env):
    code = cli.run(["doctor", "--json", *map(str, words)])
    found = json.loads(capsys.readouterr().out)
    assert found["exit"] == code
    return code, {check["name"]: check for check in found["checks"]}

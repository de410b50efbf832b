"""What the tests of flashing share beside their fixtures (conftest.py)."""

from pathlib import Path

from serial.tools.list_ports_common import ListPortInfo

from firmware.node import RELEASE, VERSION
from firmware.node.manifest import kind_of
from gateway.bundle import compose
from tools.flash import build, config, connect, provision, write
from tools.flash.running import Running

ROOT = Path(__file__).resolve().parent.parent.parent
NAME, UID = "bin-capitainerie", "e6614c311b7e6a01"  # a pico
RELEASE_WORDS = "a horse that reads"
# A simulated board has no thermometer: it would fail the self-test, and takes its time for its first uplink.
BARE = ("--no-selftest", "--uplink", "0")


def three_lines(err, name):
    """The last error on stderr has its name, a place and a hint."""
    lines = err.splitlines()[-3:]
    return lines[0].startswith(f"{name}: ") and lines[1].startswith("  where: ") and lines[2].startswith("  next:  ")


def usb(device, serial=None, vid=0x2E8A, pid=0x0005, product="Board in FS mode", location=None):  # noqa: PLR0917
    """A port as pyserial lists it; `vid` None: one that is not on USB."""
    port = ListPortInfo(device)
    port.vid, port.pid, port.serial_number, port.product, port.location = vid, pid, serial, product, location
    return port


def older(files, fleet, entry, modules):
    """A board's files with an older edition of these modules, which works as well, and the manifest that belongs to it."""
    made = dict(files)
    for module in modules:
        text = build.written_out(build.source(module).read_text(encoding="utf-8"), module, build._tree) + "\nOLDER = 1\n"
        name = module.rpartition("/")[2]
        made[f"{build.SLOT}/firmware/{module}.mpy"] = build._compile(text.encode(), name, build.source(module))
    inside = {path.removeprefix(f"{build.SLOT}/"): data for path, data in made.items() if path.startswith(f"{build.SLOT}/")}
    del inside["manifest"]
    kind = kind_of(config.board_config(fleet, entry))
    made[f"{build.SLOT}/manifest"] = compose(kind, RELEASE, VERSION, inside)
    return made


def install(board, files, kid):
    """Put files and a key's counter onto a board, and wait until its program says hello."""
    connection = connect.Connection(board.port)
    connection.run(f"FILES = {config.counter_files(kid)!r}\n{provision.MAKE}")
    write.copy(connection, files, write.plan(files, write.hashes(connection, files)), lambda _: None)
    connection.restart()
    running = Running(connection.line(), lambda _identity: b"", lambda: None)
    try:
        return running.wait_hello(30)
    finally:
        running.close()


def on_board(board, script):
    """What a script prints on the board; its own program does not run meanwhile."""
    connection = connect.Connection(board.port)
    try:
        return connection.run(script).splitlines()
    finally:
        connection.close()

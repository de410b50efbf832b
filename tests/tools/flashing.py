"""What the tests of flashing share beside their fixtures (conftest.py)."""

from pathlib import Path

from serial.tools.list_ports_common import ListPortInfo

ROOT = Path(__file__).resolve().parent.parent.parent
UID = "e6614c311b7e6a01"  # bin-capitainerie, a pico
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

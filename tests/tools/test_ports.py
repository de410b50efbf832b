"""Which port has the board: two are never guessed between, and what is no board is no candidate."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from flashing import usb

from gateway.errors import HostError
from tools.flash import ports

PICO = usb("/dev/ttyACM10", "E6614C311B7E6A01", location="1-1.4:1.0")
S3 = usb("/dev/ttyACM9", "F4:12:FA:AB:CD:EF", 0x303A, 0x1001, "USB JTAG/serial debug unit", "1-1.2:1.0")
BRIDGE = usb("/dev/ttyUSB0", "0001", 0x10C4, 0xEA60, "CP2102 USB to UART Bridge", "1-1.1")
OTHERS = (
    usb("/dev/ttyS0", vid=None, product=None),
    usb("/dev/rfcomm0", vid=None, product=None),
    usb("/dev/cu.Bluetooth-Incoming-Port", vid=0x05AC, product=None),
    usb("/dev/cu.debug-console", vid=0x05AC, product=None),
)


def test_bluetooth_and_the_machines_own_ports_are_no_candidates(plugged):
    plugged(*OTHERS)
    assert ports.candidates() == []
    plugged(*OTHERS, PICO, BRIDGE, S3)
    assert [each.device for each in ports.candidates()] == ["/dev/ttyACM9", "/dev/ttyACM10", "/dev/ttyUSB0"]
    assert ports.candidates()[1] == ("/dev/ttyACM10", "E6614C311B7E6A01", 0x2E8A, 0x0005, "Board in FS mode")


def test_a_device_with_several_ports_is_one_candidate(plugged):
    second = usb("/dev/ttyACM11", "E6614C311B7E6A01", location="1-1.4:1.2")
    vendors = usb("/dev/cu.wchusbserial110", None, 0x1A86, 0x7523, "USB Serial", "1-1.1")
    apples = usb("/dev/cu.usbserial-110", None, 0x1A86, 0x7523, "USB Serial", "1-1.1")
    plugged(second, PICO, vendors, apples)
    assert [each.device for each in ports.candidates()] == ["/dev/cu.usbserial-110", "/dev/ttyACM10"]


def test_every_way_to_name_a_port(plugged, monkeypatch):
    plugged(*OTHERS, PICO)
    assert ports.resolve("auto") == ports.resolve(None) == ports.resolve("") == "/dev/ttyACM10"
    plugged(PICO, S3, BRIDGE)
    for word in ("id:e6614c311b7e6a01", "ID:E6614C311B7E6A01"):
        assert ports.resolve(word) == "/dev/ttyACM10"
    assert ports.resolve("id:f412faabcdef") == ports.resolve("id:F4:12:FA:AB:CD:EF") == "/dev/ttyACM9"
    for word in ("/dev/serial/by-id/usb-x", "COM3", "socket://127.0.0.1:2217", "rfc2217://10.0.0.7:2217", "/dev/tty.x"):
        assert ports.resolve(word) == word
    assert all(map(ports.is_port, ("auto", "id:0001", "COM3", "/dev/ttyACM0", "socket://127.0.0.1:1")))
    assert not any(map(ports.is_port, ("bin-quai", "com-3", "identity")))
    monkeypatch.setattr(ports.sys, "platform", "darwin")
    plugged(usb("/dev/tty.usbmodem101", "E6614C311B7E6A01"))
    assert ports.resolve("auto") == ports.resolve("/dev/tty.usbmodem101") == "/dev/cu.usbmodem101"


def test_a_chip_is_found_by_the_serial_of_its_usb(plugged):
    plugged(PICO, S3, BRIDGE)
    assert ports.for_chip("e6614c311b7e6a01") == "/dev/ttyACM10"
    assert ports.for_chip("f412faabcdef") == "/dev/ttyACM9"
    assert ports.for_chip("e6614c311b7e6a02") is None
    assert ports.for_chip("") is None


@pytest.mark.produces("ambiguous")
def test_two_candidates_are_named_and_none_is_taken(plugged):
    plugged(PICO, BRIDGE)
    with pytest.raises(HostError) as caught:
        ports.resolve("auto")
    assert caught.value.name == "ambiguous"
    assert caught.value.where == ("/dev/ttyACM10 (E6614C311B7E6A01, Board in FS mode), "
                                  "/dev/ttyUSB0 (0001, CP2102 USB to UART Bridge)")  # fmt: skip
    plugged(BRIDGE, usb("/dev/ttyUSB1", "0001", 0x10C4, 0xEA60, None, "1-1.3"))
    with pytest.raises(HostError, match="several boards have the USB serial 0001") as caught:
        ports.resolve("id:0001")
    assert caught.value.where.endswith("/dev/ttyUSB1 (0001)")


@pytest.mark.produces("no_device")
def test_a_board_that_is_not_plugged_in(plugged):
    plugged(*OTHERS)
    with pytest.raises(HostError, match="no board is plugged in"):
        ports.resolve("auto")
    plugged(PICO)
    with pytest.raises(HostError, match="no board with the USB serial 0002 is plugged in") as caught:
        ports.resolve("id:0002")
    assert (caught.value.name, caught.value.where) == ("no_device", "/dev/ttyACM10 (E6614C311B7E6A01, Board in FS mode)")

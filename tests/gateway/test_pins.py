"""What a pin can do: a wiring that the chip cannot have is refused in boards.yaml, at its line, with what would do."""

import pytest

from gateway import inventory
from gateway.presets import presets

HEAD = """\
sites: {ville: {plan: town}}
plans: {town: {freq_hz: 868100000, sf: 9}}
gateways: {quai: {site: ville, position: [48.6, -2.8]}}
boards:
  bridge: {type: pico, role: bridge, gateway: quai, position: [48.6, -2.8], radio: ra-01sh}
"""
BIN = HEAD + """\
  bin-1:
    type: TYPE
    service: bin
    kids: ["0001"]
    position: [48.6, -2.8]
    settings: {empty_mm: 1200, full_mm: 250}
    sensors: {distance: {driver: a02yyuw, WIRES}}
    radio: {module: ra-01sh, MORE}
"""
BUOY = HEAD + """\
  buoy-1:
    type: pico2
    service: buoy
    kids: ["0001"]
    position: [48.6, -2.8]
    sensors: {motion: {driver: lsm6dso, WIRES}, position: nmea}
    radio: ra-01sh
"""


def faults(text: str) -> list[str]:
    with pytest.raises(inventory.InventoryError) as caught:
        inventory.loads(text)
    return str(caught.value).splitlines()


def wired(kind: str, wires: str = "", more: str = "") -> str:
    text = BIN.replace("TYPE", kind).replace(", WIRES", f", {wires}" if wires else "")
    return text.replace(", MORE", f", {more}" if more else "")


@pytest.mark.parametrize(
    ("kind", "wires", "more", "where", "what"),
    [
        # A Pico's functions are at few of its pins, and the fault says at which.
        ("pico", "uart: 0, tx: 4, rx: 1", "", "12:56", "pin 4 of a pico cannot be UART 0 TX (it can be: 0, 12, 16"),
        ("pico", "uart: 0", "", "12:49", "pin 4 of a pico cannot be UART 0 TX (it can be: 0, 12, 16"),
        ("pico", "tx: 8, rx: 6", "", "12:54", "pin 6 of a pico cannot be UART 1 RX (it can be: 5, 9, 21"),
        ("pico", "", "spi: 0, sck: 10", "13:43", "radio sck: pin 10 of a pico cannot be SPI 0 SCK (it can be: 2, 6, 18, 22)"),
        ("pico", "", "miso: 11", "13:36", "radio miso: pin 11 of a pico cannot be SPI 0 MISO (it can be: 0, 4, 16, 20)"),
        ("pico", "uart: 2", "", "12:49", "there is no uart 2 for it (there is: 0, 1)"),
        ("pico", "power: 29", "", "12:50", "distance power: pin 29 of a pico comes out nowhere"),
        ("pico-w", "power: 23", "", "12:50", "distance power: pico-w has no pin 23"),
        # An ESP32's matrix is free, but not with the flash chip, the console, and inputs that cannot drive.
        ("esp32", "power: 8", "", "12:50", "distance power: pin 8 belongs to the flash chip"),
        ("esp32", "rx: 3", "", "12:47", "distance rx: pin 3 belongs to the console"),
        ("esp32", "tx: 34", "", "12:47", "distance tx: pin 34 can only read"),
        ("esp32", "uart: 0", "", "12:49", "there is no uart 0 for it (there is: 1, 2)"),
        ("esp32-c3", "uart: 0", "", "12:49", "there is no uart 0 for it (there is: 1)"),
        ("esp32-c3", "power: 18", "", "12:50", "distance power: pin 18 belongs to the USB port"),
        ("esp32-s3", "power: 33", "", "12:50", "distance power: esp32-s3 has no pin 33"),
        ("esp32-s3", "", "spi: 3", "13:35", "radio: there is no spi 3 for it (there is: 1, 2)"),
    ],
)
def test_an_unable_pin_is_refused_at_its_line(kind, wires, more, where, what):
    found = faults(wired(kind, wires, more))
    assert any(line.startswith(f"boards.yaml:{where}:") and what in line for line in found), found


@pytest.mark.parametrize(
    ("kind", "adc", "known"),
    [("pico", 15, "26, 27, 28)"), ("esp32", 21, "0, 2, 4, 12"), ("esp32-c3", 5, "0, 1, 2, 3, 4"), ("esp32-s3", 38, "1, 2")],
)
def test_a_pin_without_a_converter_measures_no_battery(kind, adc, known):
    text = wired(kind) + f"    battery: {{adc: {adc}, divider_x1000: 2000}}\n"
    (line,) = faults(text)
    assert line.startswith("boards.yaml:14:20: ")
    assert f"pin {adc} of a {kind} cannot be ADC (it can be: {known}" in line


def test_a_module_that_plugs_on_fits_its_board_and_takes_its_pins():
    plugged = wired("pico").replace("module: ra-01sh", "module: waveshare-pico-sx1262")
    assert inventory.loads(plugged).boards["bin-1"].radio.wiring["cs"] == 3
    (line,) = faults(plugged.replace("type: pico\n    service", "type: esp32\n    service"))
    assert line.startswith("boards.yaml:13:5: ")
    assert line.endswith("waveshare-pico-sx1262 plugs onto: pico, pico-w, pico2, pico2-w")
    (line,) = faults(plugged.replace("driver: a02yyuw", "driver: a02yyuw, power: 26"))
    assert "pin 26 is already used by radio battery" in line
    own = plugged + "    battery: {adc: 26, divider_x1000: 3000}\n"
    assert inventory.loads(own).boards["bin-1"].battery["adc"] == 26


def test_what_a_chip_can_do_passes():
    for kind, wires in (("pico", "uart: 0, tx: 12, rx: 13"), ("esp32", "uart: 1, tx: 27, rx: 34"), ("esp32-s3", "tx: 1, rx: 2")):
        extra = "    battery: {adc: 27, divider_x1000: 2000}\n" if kind == "pico" else "    battery: false\n"
        board = inventory.loads(wired(kind, wires) + extra).boards["bin-1"]
        assert board.sensors["distance"].wiring["tx"] in (12, 27, 1)


def test_the_rp2350_has_more_uart_pins_than_the_rp2040():
    wires = "uart: 0, tx: 2, rx: 3"
    assert inventory.loads(wired("pico2", wires)).boards["bin-1"].sensors["distance"].wiring["tx"] == 2
    assert len(faults(wired("pico", wires))) == 2


def test_one_serial_line_has_one_sensor():
    text = wired("pico2").replace("distance: {driver: a02yyuw}", "distance: a02yyuw, level: {driver: a02yyuw, tx: 20, rx: 9}")
    assert any("level: uart 1 is already used by distance" in line for line in faults(text))


def test_one_bus_has_one_pair_of_pins_and_one_of_each_address():
    both = BUOY.replace("motion: {driver: lsm6dso, WIRES}", "motion: lsm6dso, tilt: {driver: lsm6dso, WIRES}")
    lines = faults(both.replace("WIRES", "sda: 12, scl: 13"))
    assert any(":11:61: " in line and "i2c 0 sda: pin 12, but 8 for motion: a bus has one pair of pins" in line for line in lines)
    assert any("tilt: address 106 on i2c 0 is already that of motion" in line for line in faults(both.replace(", WIRES", "")))
    lines = faults(both.replace("WIRES", "address: 107"))
    assert not any("address" in line or "pair of pins" in line for line in lines), lines


@pytest.mark.parametrize("kind", list(presets().boards))
def test_what_a_preset_wires_its_chip_can_do(kind):
    board, chips = presets().boards[kind], presets().chips
    chip = chips[board.chip]
    wires = {("spi", board.radio_wiring["spi"]): {key: board.radio_wiring[key] for key in ("sck", "mosi", "miso")}}
    for bus, wiring in board.wiring.items():
        wires[bus, wiring.get(bus)] = {role: pin for role, pin in wiring.items() if role != bus}
    for (unit, number), roles in wires.items():
        assert unit == "pin" or number in chip.units[unit], (unit, number)
        for role, pin in roles.items():
            able = chip.able(unit, number, role)
            assert able is None or pin in able, (unit, number, role, pin)
            assert pin not in chip.taken
    assert board.battery is None or board.battery["adc"] in chip.able(None, None, "adc")
    assert board.input_only == chip.input_only & board.gpio
    assert not board.gpio & set(chip.taken)

"""boards.yaml: what a right one says, and how each wrong one is refused."""

import random
from pathlib import Path

import pytest

from gateway import inventory
from gateway.presets import BUSES, RADIO_PINS, numbers, presets

ROOT = Path(__file__).resolve().parent.parent.parent

HEAD = """\
sites:
  ville: {plan: town}
plans:
  town: {freq_hz: 868100000, sf: 9}
gateways:
  quai: {site: ville, position: [48.6, -2.8]}
boards:
  bridge:
    {type: pico, role: bridge, gateway: quai, position: [48.6, -2.8], radio: ra-01sh}
"""
BIN = """\
  bin-1:
    type: pico
    service: bin
    uid: "e6614c311b7e6a01"
    kids: ["0001"]
    position: [48.601, -2.801]
    settings: {empty_mm: 1200, full_mm: 250}
    sensors: {distance: a02yyuw}
    radio: ra-01sh
"""


def faults(text: str) -> list[str]:
    with pytest.raises(inventory.InventoryError) as caught:
        inventory.loads(text)
    assert caught.value.name == "bad_inventory"
    assert str(caught.value).splitlines() == [str(fault) for fault in caught.value.faults]
    return [str(fault) for fault in caught.value.faults]


def changed(old: str, new: str) -> str:
    assert BIN.count(old) == 1
    return HEAD + BIN.replace(old, new)


def test_the_town_that_is_shipped():
    town = inventory.load(ROOT / "boards.yaml")
    services = [board.service for board in town.nodes]
    assert [services.count(word) for word in ("bin", "parking", "buoy")] == [6, 6, 2]
    assert [board.link for board in town.nodes].count("serial") == 1
    magnetometers = [board.sensors["field"].driver for board in town.nodes if board.service == "parking"]
    assert sorted(magnetometers) == ["qmc5883l"] * 2 + ["rm3100"] * 4
    (bridge,) = town.bridges("capitainerie")
    assert [board.name for board in town.wired("capitainerie")] == ["bridge-1", "bin-capitainerie"]
    for board in town.nodes:
        away = inventory.distance_m(bridge.position, board.position)
        assert 2000 <= away <= 3000 if board.service == "buoy" else away <= 1500
        # A first report at a random moment of the period, and one more within the hour.
        assert 2 * board.report_s <= 3600
        assert town.by_kid("port-luce", board.kid.upper()) is board
    assert town.site_of("bin-quai") is town.site_of(town.boards["bin-quai"]) is town.sites["port-luce"]


def test_an_entry_is_completed_by_its_presets():
    board = inventory.loads(HEAD + BIN).boards["bin-1"]
    assert board.site == "ville"
    assert (board.plan.freq_hz, board.plan.bw_hz, board.plan.cr, board.plan.sync) == (868_100_000, 125_000, 5, 0x12)
    assert board.radio.wiring["dio1"] == 22
    assert "rxen" not in board.radio.wiring
    assert dict(board.sensors["distance"].wiring) == {"uart": 1, "tx": 4, "rx": 5}
    assert board.battery == {"adc": 29, "divider_x1000": 3000}
    assert board.position == (4_860_100, -280_100)


def test_what_an_entry_says_goes_before_its_presets():
    text = changed("distance: a02yyuw", "distance: {driver: a02yyuw, uart: 0, tx: 0, rx: 1}")
    text = text.replace("    radio: ra-01sh\n", "    radio: {module: e22-900m22s, rxen: 15, antenna_dbi: -1}\n")
    board = inventory.loads(text + "    battery: false\n    led: 7\n").boards["bin-1"]
    assert dict(board.sensors["distance"].wiring) == {"uart": 0, "tx": 0, "rx": 1}
    assert (board.radio.wiring["rxen"], board.radio.antenna_dbi) == (15, -1)
    assert board.battery is None
    assert board.led == 7


TEN = """\
sites:
  ville: {plan: town}
plans:
  town: {freq_hz: 868650000, sf: 9}
gateways:
  quai: {site: ville, position: [48.6, -2.8]}
boards:
  bin-1:
    type: pcio
    service: bin
    kids: ["0001"]
    position: [48.6, -2.8]
    settings: {empty_mm: 1200, full_mm: 250}
    sensors: {distance: a02yyuv}
    radio: ra-01sh
  bin-3:
    type: pico
    service: bin
    kids: [0010]
    position: [98.6, -2.8]
    settings: {empty_mm: 1200, fulll_mm: 250}
    sensors: {distance: a02yyuw, temperature: {driver: ds18b20, pin: 4}}
    radio: ra-01sh
  bay-2:
    type: pico
    service: parking
    link: serial
    kids: ["0001"]
    position: [48.6, -2.8]
    sensors: {field: rm3100}
"""


@pytest.mark.produces("bad_inventory")
def test_ten_faults_give_ten_named_lines():
    assert faults(TEN) == [
        "boards.yaml:4:19: plans.town.freq_hz: 868.65 MHz, 125 kHz wide, is outside eu868"
        " (MHz: 865-868, 868-868.6, 868.7-869.2, 869.4-869.65, 869.7-870)",
        "boards.yaml:6:3: gateways.quai: no radio bridge: its site has radio boards that nobody hears; "
        "add a board with role: bridge and gateway: quai",
        "boards.yaml:9:11: boards.bin-1.type: unknown board type 'pcio' (did you mean 'pico'?)",
        "boards.yaml:14:25: boards.bin-1.sensors.distance: unknown driver 'a02yyuv' (did you mean 'a02yyuw'?)",
        'boards.yaml:19:12: boards.bin-3.kids.0: YAML reads 0010 as the number 10: put it in quotes, "0010"',
        "boards.yaml:20:5: boards.bin-3.position: latitude 98.6 is not within -90 to 90",
        "boards.yaml:21:32: boards.bin-3.settings.fulll_mm: unknown key 'fulll_mm' (did you mean 'full_mm'?)",
        "boards.yaml:22:70: boards.bin-3.sensors.temperature.pin: temperature pin: pin 4 is already used by distance tx",
        "boards.yaml:24:3: boards.bay-2: is wired and needs 'gateway': whose port does it hang on?",
        "boards.yaml:28:12: boards.bay-2.kids.0: key id 0001 is already used by bin-1",
    ]


@pytest.mark.parametrize(
    ("old", "new", "where", "what"),
    [
        ('"0001"', "1E04", "14:12", 'as the number 10000.0: put it in quotes, "1E04"'),
        ('"e6614c311b7e6a01"', "1E04567890123456", "13:10", 'as the number infinity: put it in quotes, "1E04567890123456"'),
        ('"e6614c311b7e6a01"', "0004300000000530", "13:10", 'the number 4300000000530: put it in quotes, "0004300000000530"'),
        ('"e6614c311b7e6a01"', '"e6614c311b7e"', "13:10", "a pico has a unique id of 16 hexadecimal digits"),
        ('"0001"', '"00g1"', "14:12", 'must be 4/8 hexadecimal digits, such as "0001"'),
        ('["0001"]', '"0001"', "14:11", 'must be a list, such as ["0001"]'),
        ('["0001"]', '["0001", "0001"]', "14:20", "key id 0001 is already used by bin-1"),
        ("empty_mm: 1200", "empty_mm: 12.5", "16:26", "must be a whole number"),
        ("empty_mm: 1200", "empty_mm: 99999", "16:26", "must be within 100 to 7500"),
        ("empty_mm: 1200, ", "", "16:5", "boards.bin-1.settings: needs 'empty_mm'"),
        ("full_mm: 250", "full_mm: 1200", "16:41", "must be less than empty_mm"),
        ("[48.601, -2.801]", "[-2.801, 48.601]", "15:5", "is over 50 km from every gateway of its site"),
        ("[48.601, -2.801]", "48.601", "15:15", "must be [latitude, longitude] in degrees"),
        ("[48.601, -2.801]", "[48.601, .inf]", "15:5", "longitude inf is not within -180 to 180"),
        ("distance: a02yyuw", "distance: rm3100", "17:25", "unknown driver for this 'rm3100' (known: a02yyuw)"),
        ("distance: a02yyuw", "distanse: a02yyuw", "17:15", "unknown key 'distanse' (did you mean 'distance'?)"),
        ("distance: a02yyuw", "distance: {driver: a02yyuw, sda: 4}", "17:43", "unknown key 'sda' (known: power, rx, tx, uart)"),
        ("distance: a02yyuw", "distance: {driver: a02yyuw, tx: 77}", "17:47", "distance tx: pico has no pin 77"),
        ("distance: a02yyuw", "distance: {driver: a02yyuw, rx: 21}", "17:47", "rx: pin 21 is already used by radio reset"),
        ("distance: a02yyuw", "distance: {driver: a02yyuw, power: 5}", "17:50", "distance power: pin 5 is already used"),
        ("distance: a02yyuw", "distance: a02yyuw, temperature: {driver: ds18b20, rom: 28}", "17:70", 'quotes, "28"'),
        ("radio: ra-01sh", "link: serial\n    gateway: quai\n    power: {profile: light}", "20:22", "does not sleep"),
        ("radio: ra-01sh", "radio: ra-10sh", "18:12", "unknown radio module 'ra-10sh' (did you mean 'ra-01sh'?)"),
        ("radio: ra-01sh", "hop: no", "18:10", "must be true or false"),
        ("radio: ra-01sh", "radio: {module: ra-01sh, antenna_dbi: 9}", "18:5", "14 dBm into an antenna of 9 dBi is over"),
        ("radio: ra-01sh", "link: cable", "18:11", "unknown value 'cable' (known: radio, serial)"),
        ("radio: ra-01sh", "gateway: qai", "18:14", "unknown gateway 'qai' (did you mean 'quai'?)"),
        ("radio: ra-01sh", "plan: twon", "18:11", "unknown plan 'twon' (did you mean 'town'?)"),
        ("radio: ra-01sh", "site: vile", "18:11", "unknown site 'vile' (did you mean 'ville'?)"),
        ("    kids", "    report_s: 10\n    kids", "14:15", "ms on air each need"),
        ("service: bin", "service: bins", "12:14", "unknown service 'bins' (did you mean 'bin'?)"),
        ("    service: bin\n", "", "10:3", "needs 'service' (known: bin, buoy, parking)"),
        ("    type: pico\n", "", "10:3", "boards.bin-1: needs 'type'"),
        ("  bin-1:", "  bin 1:", "10:3", "the name 'bin 1' may hold letters, digits, '.' and '-' only"),
        ("    radio: ra-01sh\n", "    radio: e22-900m22s\n    type: pico\n", "19:5", "'type' stands here a second time"),
        ("    type: pico\n    ", "    type: esp32-c3\n    ", "13:10", "a esp32-c3 has a unique id of 12"),
    ],
)
def test_one_fault_is_named_with_its_place(old, new, where, what):
    found = faults(changed(old, new))
    assert any(line.startswith(f"boards.yaml:{where}:") and what in line for line in found), found


@pytest.mark.parametrize(
    ("power", "where", "what"),
    [
        ("{profile: dark}", "19:22", "unknown value 'dark' (known: always, deep, gated"),
        ("{profil: light}", "19:13", "unknown key 'profil' (did you mean 'profile'?)"),
        ("{profile: deep}", "19:22", "a pico loses its memory in deep sleep: use light"),
        ("{profile: gated}", "19:5", "needs 'done': the pin that tells the power gate"),
        ("{profile: gated, done: 18}", "19:35", "pin 18 is already used by radio sck"),
        ("{done: 13}", "19:13", "power.done: belongs to the profile gated"),
        ("{capacity_mah: 2500}", "19:5", "needs both 'capacity_mah' and 'chemistry'"),
        ("{capacity_mah: 5}", "19:27", "must be at least 10"),
    ],
)
def test_a_fault_of_the_power(power, where, what):
    (line,) = faults(HEAD + BIN + f"    power: {power}\n")
    assert line.startswith(f"boards.yaml:{where}:")
    assert what in line


def test_a_service_that_samples_keeps_its_memory():
    bay = BIN.replace("type: pico", "type: esp32-module").replace("e6614c311b7e6a01", "3c71bf4a1c20")
    bay = bay.replace("service: bin", "service: parking").replace("{empty_mm: 1200, full_mm: 250}", "{}")
    bay = bay.replace("distance: a02yyuw", "field: qmc5883l") + "    power: {profile: deep}\n"
    (line,) = faults(HEAD + bay)
    assert line.endswith("the service parking samples every 10 s and must keep its memory: use light")
    assert inventory.loads(HEAD + bay.replace("deep", "light")).boards["bin-1"].power.profile == "light"


def test_a_battery_and_its_gate():
    power = "    power: {profile: gated, done: 13, capacity_mah: 19000, chemistry: li-socl2}\n"
    assert inventory.loads(HEAD + BIN + power).boards["bin-1"].power == inventory.Power("gated", 13, 19000, "li-socl2")
    assert inventory.loads(HEAD + BIN).boards["bin-1"].power == inventory.Power("always", None, None, None)


def test_a_fault_brings_no_others():
    assert len(faults(changed('["0001"]', "[0001]"))) == 1
    assert len(faults(changed("service: bin", "service: bins"))) == 1
    assert len(faults((HEAD + BIN).replace("sites:\n  ville: {plan: town}", "sites:\n  ville: {plann: town}"))) == 1


def test_a_gateway_that_nobody_hears():
    text = HEAD.replace("role: bridge, gateway: quai,", "service: parking, kids: [\"0009\"], sensors: {field: rm3100},")
    (line,) = faults(text + BIN)
    assert line.startswith("boards.yaml:6:3: gateways.quai: no radio bridge: its site has radio boards that nobody hears")


def test_two_sensors_share_a_bus_but_no_pin():
    buoy = BIN.replace("service: bin", "service: buoy").replace("{empty_mm: 1200, full_mm: 250}", "{}")
    buoy = buoy.replace("distance: a02yyuw", "motion: lsm6dso, temperature: {driver: ds18b20, pin: 9}")
    (line,) = faults(HEAD + buoy)
    assert "temperature pin: pin 9 is already used by i2c 0 scl" in line


@pytest.mark.parametrize(
    ("name", "raw", "what"),
    [
        ("empty", b"", "1:1: is empty or no mapping"),
        ("list", b"- a\n- b\n", "1:1: is empty or no mapping"),
        ("word", b"hello", "1:1: is empty or no mapping"),
        ("latin-1", "sites:\n  a: {title: Café}\n".encode("latin-1"), "2:1: is not UTF-8 (byte 0xe9): save it as UTF-8"),
        ("utf-16", "sites:\n".encode("utf-16"), "1:1: is not UTF-8"),
        ("nul", b"sites:\n  a\0b: 1\n", "not YAML: "),
        ("huge", b"a: 1\n" * 500_000, "1:1: is larger than 2000000 bytes"),
        ("many", b"a: [" + b"1," * 61_000 + b"]\n", "more than 60000 values"),
        ("deep", b"[" * 100_000, "1:17: nested deeper than 16 levels"),
        ("deep blocks", b"".join(b" " * i + b"a:\n" for i in range(300)), "nested deeper than 16 levels"),
        ("bomb", b"a: &a [1, 2]\nb: &b [*a, *a]\nc: [*b, *b]\n", "2:8: the alias *a is not allowed: write the value out"),
        ("tag", b"a: !!python/object/apply:os.system [ls]\n", "1:4: the tag"),
        ("open", b"a: [1, 2\nb: 3\n", "not YAML: "),
        ("tab", b"a:\n\tb: 1\n", "not YAML: "),
        ("map as key", b"{a: 1}: 2\n", "a key must be a word"),
        ("two documents", b"a: 1\n---\nb: 2\n", "a second document begins"),
        ("sites a list", b"sites: [a]\nboards: {}\n", "sites: must be a map of names"),
        ("board a word", b"sites: {v: }\nboards: {b: 7}\n", "boards.b: must be a map of keys and values"),
        ("section", b"sites: {}\nbords: {}\n", "2:1: bords: unknown key 'bords' (did you mean 'boards'?)"),
        ("long number", b"sites: {v: {title: " + b"9" * 6000 + b"}}\nboards: {}\n", f"YAML reads {'9' * 60}... as"),
    ],
)
def test_a_hostile_file_gives_one_clear_error(tmp_path, name, raw, what):
    path = tmp_path / "boards.yaml"
    path.write_bytes(raw)
    with pytest.raises(inventory.InventoryError) as caught:
        inventory.load(path)
    assert what in str(caught.value)
    assert str(caught.value).startswith("boards.yaml:")
    assert len(caught.value.faults) <= 2


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(inventory.InventoryError, match=r"boards\.yaml:1:1: cannot be read: No such file"):
        inventory.load(tmp_path / "boards.yaml")
    with pytest.raises(inventory.InventoryError, match="cannot be read"):
        inventory.load(tmp_path)


def test_each_preset_is_whole_and_its_wiring_possible():
    known = presets()
    assert {"pico", "pico-w", "pico2", "esp32", "esp32-s3", "esp32-c3"} <= set(known.boards)
    for board in known.boards.values():
        assert board.platform in ("rp2", "esp32")
        assert set(board.wiring) == set(BUSES)
        pins = [pin for bus, (_, names) in BUSES.items() for pin in (board.wiring[bus][name] for name in names)]
        pins += [board.radio_wiring[name] for name in RADIO_PINS]
        pins += [board.radio_wiring["rxen"]] if "rxen" in board.radio_wiring else []
        pins += [board.battery["adc"]] if board.battery else []
        assert set(pins) <= board.gpio, board.name
        assert len(set(pins)) == len(pins), board.name
        assert board.radio is None or board.radio in known.radios
    for radio in known.radios.values():
        assert radio.tcxo_mv in (0, 1600, 1700, 1800, 2200, 2400, 2700, 3000, 3300)
    for driver in known.drivers.values():
        assert driver.bus in BUSES
    for service in known.services.values():
        named = {driver for _, drivers in service.sensors.values() for driver in drivers}
        assert named <= set(known.drivers)
    assert numbers("0-2, 7") == {0, 1, 2, 7}


WORDS = ["null", "[]", "{}", "-1", "1e999", "true", '""', "[1,2]", "{a: 1}", ".nan", "9" * 30, "é", "\t", "- ", ": ", "#", "*a"]
WORDS += ["&a", "!x", "|", "> ", "%", "@", "0x10", "radio", "serial", "node", "bridge", "\n", "  ", "{", "}", "'"]


def test_no_damaged_file_gives_anything_but_named_faults():
    """Words of a right file replaced, put in and cut out by chance: the file is right still, or its faults are named."""
    from tools.errors import fault_line

    refused = []
    for seed in range(150):
        rng, text = random.Random(seed), HEAD + BIN
        for _ in range(rng.choice([1, 1, 2, 4])):
            at = rng.choice([place for place, letter in enumerate(text) if letter in " :{[,"])
            end = at + rng.choice([0, 0, rng.randrange(1, 20)])
            text = text[:at] + rng.choice(["", " "]) + rng.choice([*WORDS, ""]) + text[end:]
        try:
            inventory.loads(text)
        except inventory.InventoryError as error:
            refused.append(error)
    assert len(refused) > 100
    for error in refused:
        assert all(fault_line(fault).startswith("boards.yaml:") for fault in error.faults)

"""`jourdain wiring --bom`: what to buy, out of the same parts as the drawing, with dated prices; and the presets are whole."""

import csv
import io
import json
import re
from pathlib import Path

import pytest

from gateway import inventory
from gateway.presets import RADIO_PINS, parts, presets
from tools import cli
from tools.wiring import bom

ROOT = Path(__file__).resolve().parent.parent.parent
TOWN = inventory.load(ROOT / "boards.yaml")
WHERE = ["--inventory", str(ROOT / "boards.yaml")]
# Where a terminal may lead besides the roles of its bus and the other terminals of its part.
EVERYWHERE = {"supply", "ground", "open", "antenna"}


def run(capsys, *words):
    code = cli.run(["wiring", *words, *WHERE])
    return code, capsys.readouterr()


def pieces(items):
    return {item.what: item.pieces for item in items}


def test_what_a_bin_wants():
    found = pieces(bom.bom(TOWN, [TOWN.boards["bin-quai"]]))
    known = parts()
    assert found == {
        presets().boards["pico"].buy.what: 1,
        presets().radios["waveshare-pico-sx1262"].buy.what: 1,  # its antenna is in its box
        presets().drivers["a02yyuw"].buy.what: 1,
        presets().drivers["ds18b20"].buy.what: 1,
        known["battery-li-socl2"].buy.what: 1,
        f"{known['resistor'].buy.what}, 4.7 kohm": 1,
        known["housing-bin"].buy.what: 1,
        known["gland"].buy.what: 2,
        known["connector"].buy.what: 2,
        known["carrier"].buy.what: 1,
        known["wire"].buy.what: 1,
    }


def test_a_buoy_has_two_cells_a_load_switch_and_an_antenna():
    found = pieces(bom.bom(TOWN, [TOWN.boards["buoy-large"]]))
    assert [found[parts()[name].buy.what] for name in ("battery-li-socl2", "load-switch", "antenna", "splice")] == [2, 1, 1, 1]
    wired = pieces(bom.bom(TOWN, [TOWN.boards["bin-capitainerie"]]))
    assert wired[parts()["usb-cable"].buy.what] == 1
    assert parts()["antenna"].buy.what not in wired


def test_the_fleet_is_the_sum_of_its_boards(capsys):
    whole = bom.bom(TOWN, TOWN.boards.values())
    each = [bom.bom(TOWN, [board]) for board in TOWN.boards.values()]
    assert bom.total_eur_cents(whole) == sum(bom.total_eur_cents(items) for items in each)
    assert sum(item.pieces for item in whole) == sum(item.pieces for items in each for item in items)
    code, said = run(capsys, "--bom", "--all", "--json")
    document = json.loads(said.out)
    assert (code, document["total_eur_cents"], document["vat"]) == (0, bom.total_eur_cents(whole), False)
    (pico,) = [row for row in document["items"] if row["what"] == presets().boards["pico"].buy.what]
    assert pico["count"] == len(pico["boards"]) == sum(board.type == "pico" for board in TOWN.boards.values())


def test_the_table_adds_up_and_says_what_its_prices_are(capsys):
    code, said = run(capsys, "bin-quai", "--bom")
    rows = re.findall(r"^ +(\d+)  (.+?) +(\d+\.\d\d) +(\d+\.\d\d)", said.out, re.M)
    total = re.search(r"total +(\d+\.\d\d)", said.out)
    assert code == 0
    assert sum(int(pieces) * float(price) for pieces, _what, price, _sum in rows) == pytest.approx(float(total[1]))
    assert "prices of 2026-11 for one piece, without VAT and shipping" in said.out
    assert re.search(r"\d+ of \d+ prices are assumed: ask before you order", said.out)


def test_the_list_as_csv(capsys):
    code, said = run(capsys, "bay-ecole", "--bom", "--csv")
    rows = list(csv.DictReader(io.StringIO(said.out)))
    assert code == 0
    assert {row["boards"] for row in rows} == {"bay-ecole"}
    assert all(int(row["count"]) * int(row["price_eur_cents"]) == int(row["sum_eur_cents"]) for row in rows)
    assert all(row["source"] and row["as_of"] == "2026-11" for row in rows)


@pytest.mark.parametrize("words", [["--all"], ["bin-quai", "--csv"], ["bin-quai", "--all", "--bom"], ["--bom"]])
def test_what_does_not_go_together_is_refused(capsys, words):
    assert run(capsys, *words)[0] == 2


def _bought(buy):
    assert buy.what
    assert buy.price_eur_cents > 0
    assert re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", buy.as_of)
    assert buy.source
    assert buy.assumed or re.search(r"\w\.\w", buy.source), "a price is assumed, or has an address"


def test_every_board_type_has_its_header_its_power_and_a_price():
    for kind in presets().boards.values():
        _bought(kind.buy)
        numbers = [pin.number for pin in kind.header]
        gpios = [pin.gpio for pin in kind.header if pin.gpio is not None]
        assert len(set(numbers)) == len(numbers), kind.name
        assert len(set(gpios)) == len(gpios), kind.name
        assert any(pin.ground for pin in kind.header), kind.name
        labels = {pin.label for pin in kind.header}
        assert set(kind.supply_mv) <= labels
        assert {feed.pin for feed in kind.feed} | {feed.ground for feed in kind.feed if feed.ground} <= labels
        for pin in kind.gpio:
            used = [kind.on_board(role, pin) for role in ("led", "adc", "cs")]
            assert kind.outside(pin) or any(used) or kind.radio, f"{kind.name}: {pin} comes out nowhere"
        wires = {pin for wiring in kind.wiring.values() for role, pin in wiring.items() if role not in ("uart", "i2c")}
        assert all(kind.outside(pin) for pin in wires), kind.name
        assert kind.top


def test_every_sensor_and_radio_says_where_each_terminal_leads():
    roles = {"uart": {"tx", "rx"}, "i2c": {"sda", "scl"}, "pin": {"pin"}}
    for driver in presets().drivers.values():
        _bought(driver.buy)
        names = {terminal.name for terminal in driver.terminals}
        led = [to for each in driver.terminals for to in ([each.to] if not each.by_address else each.by_address.values())]
        assert set(led) <= roles[driver.bus] | EVERYWHERE | names, driver.name
        assert roles[driver.bus] | {"supply", "ground"} <= set(led), driver.name
        assert all(set(each.by_address) == set(driver.address) for each in driver.terminals if each.by_address)
        assert driver.supply_mv[0] <= 3300 <= driver.supply_mv[1], "its signals would not be 3.3 V"
        assert driver.peak_ua >= driver.active_ua
    for radio in presets().radios.values():
        if radio.plugs_onto:
            assert set(radio.plugs_onto) <= set(presets().boards)
            assert radio.wiring
        elif radio.buy is not None:
            led = {terminal.to for terminal in radio.terminals}
            assert {*RADIO_PINS, *radio.needs, "supply", "ground", "antenna"} <= led, radio.name
        else:
            assert radio.name in {kind.radio for kind in presets().boards.values()}
        if radio.buy is not None:
            _bought(radio.buy)


def test_every_other_part_has_a_price():
    for part in parts().values():
        _bought(part.buy)
    chemistries = {name.removeprefix("battery-") for name in parts() if name.startswith("battery-")}
    assert chemistries == {"alkaline", "lithium", "li-socl2", "nimh", "li-ion"}
    for name in chemistries:
        battery = parts()[f"battery-{name}"]
        assert 0 < battery.range_mv[0] < battery.range_mv[1]
        assert battery.cell_mah > 0
    services = set(presets().services)
    assert {name.removeprefix("housing-") for name in parts() if name.startswith("housing-")} == services

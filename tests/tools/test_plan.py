"""`jourdain plan battery`: the fleet's batteries, the usual combinations row by row, and what is assumed."""

import json
from pathlib import Path

import pytest

from gateway.inventory import load, loads
from tools import cli
from tools.plan import battery, command

ROOT = Path(__file__).resolve().parent.parent.parent
# Years with one reading a frame and with eight, for SF7, SF9 and SF12; two cells of AA or one of size D.
KNOWN = {
    "2 AA alkaline, ESP32 module, 0.6 s at 40 mA a wake": ((5.3, 5.6), (4.6, 5.5), (2.2, 4.4)),
    "2 AA alkaline, ESP32 module, 0.25 s at 30 mA a wake": ((8.0, 8.8), (6.6, 8.4), (2.5, 6.2)),
    "2 AA lithium, ESP32 module, 0.25 s at 30 mA a wake": ((11.3, 12.5), (9.0, 11.9), (3.1, 8.3)),
    "D cell Li-SOCl2, ESP32 module, 0.6 s at 40 mA a wake": ((28, 29), (25, 28), (13.9, 24.5)),
    "2 AA alkaline, Pico in light sleep": ((0.2, 0.2), (0.2, 0.2), (0.2, 0.2)),
    "D cell Li-SOCl2, Pico in light sleep": ((1.6, 1.6), (1.6, 1.6), (1.6, 1.6)),
}
FLEET = """
sites: {ville: {plan: town}}
plans: {town: {freq_hz: 868100000, sf: 9}}
gateways: {quai: {site: ville, position: [48.6, -2.8]}}
boards:
  bridge: {type: pico, role: bridge, gateway: quai, position: [48.6, -2.8], radio: ra-01sh}
  bin-1:
    type: esp32-module
    service: bin
    kids: ["0001"]
    position: [48.601, -2.801]
    settings: {empty_mm: 1200, full_mm: 250}
    sensors: {distance: {driver: a02yyuw, power: 13}}
    radio: ra-01sh
    power: {profile: deep, capacity_mah: 2500, chemistry: alkaline}
"""


def run(capsys, *words):
    code = cli.run(["plan", "battery", *words])
    return code, capsys.readouterr()


@pytest.mark.parametrize("title", list(KNOWN))
def test_the_usual_combinations_row_by_row(capsys, title):
    code, said = run(capsys, "--combinations", "--json")
    rows = {row["title"]: row for row in json.loads(said.out)["combinations"]}
    assert (code, set(rows)) == (0, set(KNOWN))
    for sf, wanted in zip(("7", "9", "12"), KNOWN[title], strict=True):
        for days, years in zip(rows[title]["days"][sf], wanted, strict=True):
            # Below a year the known figure's own rounding is more than 5 %.
            assert days / 365.25 == pytest.approx(years, rel=0.05 if years > 1 else 0, abs=0 if years > 1 else 0.05)


def test_the_combinations_as_a_table(capsys):
    code, said = run(capsys, "--combinations")
    assert code == 0
    assert "5.3 -> 5.6    4.6 -> 5.5" in said.out
    assert "self-discharge 3 % a year" in said.out


def test_a_board_of_the_fleet_by_hand():
    fleet = loads(FLEET)
    found = battery.project(fleet, fleet.boards["bin-1"], "deep", 2500, "alkaline")
    # 96 reports: 0.6 s of 40 mA; 308 ms of radio at 45 mA; 2.5 s of sensor at 8 mA, awake; a window a day.
    frame_ms = 308
    assert found.parts["base"] == 15
    assert found.parts["awake"] == pytest.approx(96 * 600 * 40_000 / 86.4e6)
    assert found.parts["sending"] == pytest.approx(96 * frame_ms * 45_000 / 86.4e6, rel=0.1)
    assert found.parts["distance"] == pytest.approx(96 * 2500 * 8000 / 86.4e6)
    assert found.parts["waiting"] == pytest.approx(96 * (2500 * 35_000 + frame_ms * 815) / 86.4e6, rel=0.02)
    self_ua = 2500 * 0.03 / 8766 * 1000
    assert found.days == pytest.approx(2_500_000 / (found.average_ua + self_ua) / 24, abs=1)


def test_the_fleet_that_is_shipped(capsys):
    code, said = run(capsys, "--inventory", str(ROOT / "boards.yaml"), "--json")
    document = json.loads(said.out)
    fleet = load(ROOT / "boards.yaml")
    radio = [board for board in fleet.nodes if board.link == "radio"]
    assert (code, set(document["boards"])) == (0, {board.name for board in radio})
    for board in radio:
        first, *others = document["boards"][board.name]
        assert first["profile"] == board.power.profile
        assert 10 < first["days"] < min(p["days"] for p in others)  # never asleep
        assert sum(first["parts_ua"].values()) == pytest.approx(first["average_ua"], abs=0.5)
        light = next(p for p in (first, *others) if p["profile"] == "light")
        assert light["average_ua"] < 0.9 * next(p for p in (first, *others) if p["profile"] == "always")["average_ua"]
        for name in (board.type, board.radio.module.name, board.service, *(s.driver for s in board.sensors.values())):
            assert len(document["assumptions"][name]) > 10
    buoy = {p["profile"] for p in document["boards"]["buoy-large"]}
    assert buoy == {"always", "light"}  # it samples, so it must keep its memory
    assert {p["profile"] for p in document["boards"]["bin-quai"]} == {"always", "light", "gated"}


def test_a_table_for_people_with_another_battery(capsys, tmp_path):
    (tmp_path / "boards.yaml").write_text(FLEET)
    code, said = run(capsys, "bin-1", "--inventory", str(tmp_path / "boards.yaml"))
    assert code == 0
    row = next(line for line in said.out.splitlines() if line.startswith("bin-1"))
    assert "2500 mAh alkaline" in row
    assert "deep" in row
    assert "What is assumed" in said.out
    code, said = run(capsys, "--inventory", str(tmp_path / "boards.yaml"), "--capacity", "90000", "--chemistry", "li-socl2")
    row = next(line for line in said.out.splitlines() if line.startswith("bin-1"))
    assert "> 15 years" in row


@pytest.mark.parametrize(
    ("words", "code", "what"),
    [(["bni-quai"], 3, "did you mean"), (["bridge-1"], 3, "on a serial port"), (["--capacity", "25"], 2, "belong together")],
)
def test_what_it_refuses(capsys, words, code, what):
    found, said = run(capsys, *words, "--inventory", str(ROOT / "boards.yaml"))
    assert (found, said.out) == (code, "")
    assert what in said.err


def test_lives_as_a_person_says_them():
    assert command.life(30, "alkaline") == "30 days"
    assert command.life(1000, "alkaline") == "2.7 years"
    assert command.life(4000, "alkaline") == "> 10 years"
    assert command.life(None, None) == "-"

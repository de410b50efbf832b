"""The commissioning sheet: what boards.yaml and the record say, on a page that needs nothing else."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import labels
import pytest

from gateway import record
from gateway.inventory import load, loads
from tools import cli
from tools.label import facts, sheet
from tools.label import page as html
from tools.label.book import when
from tools.plan import battery, command
from tools.wiring import draw

ROOT = Path(__file__).resolve().parent.parent.parent
AT = 1_790_000_000
CHECKS = [
    {"name": "sensor distance (a02yyuw)", "passed": True, "value": [1150, 1148, 1151], "unit": "mm", "limits": [30, 4500]},
    {"name": "sensor temperature (ds18b20)", "passed": False, "value": -8500, "unit": "0.01 Cel", "limits": [-4000, 6000]},
]  # fmt: skip
SAID = {
    "at": AT, "who": "anne@atelier", "board": "bin-quai", "uid": "e6614c311b7e6a10", "result": "applied", "kid": "0002",
    "versions": {"firmware": "0.1.0", "micropython": "1.28.0"}, "hashes": {"slot": "3f" * 32}, "selftest": CHECKS,
    "uplink": {"kid": "0002", "piv": 3, "via": "quai"}, "calibration": {"empty_mm": 1148, "full_mm": 250},
}  # fmt: skip


class Cells(HTMLParser):
    """The rows of a page's tables, its text, and the tags that it is made of."""

    def __init__(self, document):
        super().__init__()
        self.rows, self.tags, self.texts, self.failed, self.classes = [], [], [], [], []
        self.cell = False
        self.feed(document)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.classes += [value for name, value in attributes if name == "class"]
        if tag == "tr":
            self.rows.append([])
            self.failed.append(("class", "failed") in attributes)
        self.cell = tag in ("td", "th")
        if self.cell:
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        self.cell = self.cell and tag not in ("td", "th")

    def handle_data(self, data):
        self.texts.append(data)
        if self.cell and self.rows:
            self.rows[-1][-1] += data

    def value(self, name):
        return next(row[1] for row in self.rows if row and row[0] == name)


@pytest.fixture(scope="module")
def fleet():
    return load(ROOT / "boards.yaml")


def page(fleet, board, path=Path("no such file")):
    document = sheet.html(fleet, fleet.boards[board], record.examine(path))
    return document, Cells(document)


def test_all_that_is_known_of_a_board_is_on_its_sheet(fleet, tmp_path):
    path = tmp_path / record.FILE
    record.append(path, {**SAID, "at": AT - 500, "who": "marc", "calibration": {"empty_mm": 1300, "full_mm": 250}})
    record.append(path, {**SAID, "calibration": {"empty_mm": 1148}})
    broke = {"result": "failed", "error": "transfer", "versions": {"firmware": "9"}, "selftest": [], "calibration": None}
    record.append(path, {**SAID, "at": AT + 9, "what": "cable", **broke})
    record.append(path, {**SAID, "board": "bin-gare", "at": AT + 99, "versions": {"firmware": "8"}})
    document, cells = page(fleet, "bin-quai", path)
    text = " ".join(cells.texts)
    board = fleet.boards["bin-quai"]
    wanted = {"chip id": board.uid, "key id": "0002", "town": "Port-Luce", "coordinates": "48.64905, -2.82402",
              "service": "bin: fill level of a bin", "report": "every 900 s", "firmware": "0.1.0", "slot SHA-256": "3f" * 32,
              "flashed": f"{when(AT)}, anne@atelier", "height above ground": ""}  # fmt: skip
    assert {name: cells.value(name) for name in wanted} == wanted
    life = battery.project(fleet, board, board.power.profile, 19000, "li-socl2")
    assert cells.value("expected life") == f"{command.life(life.days, 'li-socl2')} at {life.average_ua:.0f} uA"
    # What the record says of a setting goes before boards.yaml, with its date; a newer entry before an older one.
    assert ["empty_mm", "1148", f"{when(AT)}, anne@atelier (boards.yaml: 1150)"] in cells.rows
    assert ["full_mm", "250", f"{when(AT - 500)}, marc"] in cells.rows
    assert ["passed", "sensor distance (a02yyuw)", "1148..1151 mm", "30..4500"] in cells.rows
    bad = cells.rows.index(["FAILED", "sensor temperature (ds18b20)", "-85 Cel", "-40..60"])
    assert [at for at, failed in enumerate(cells.failed) if failed] == [bad]
    assert f"{when(AT)}: key id 0002, counter 3, by quai" in text
    assert ["distance", "A02YYUW ultrasonic distance sensor, UART output (a02yyuw)", "uart 1, tx 4, rx 5, power 7"] in cells.rows
    assert f"Not in service. {when(AT + 9)}: transfer: cable" in cells.texts
    assert "openstreetmap.org/?mlat=48.64905&mlon=-2.82402" in text
    for words in ("installed by", "date", "photo number", "signature", "remarks"):
        assert words in cells.texts
    assert f"The record had 4 entries, 3 of this board; head {record.examine(path).head}" in text
    label, drawing = re.findall("<svg.*?</svg>", document, re.S)
    assert labels.read(labels.raster(label, 300)) == [("JD:PORT-LUCE:BIN-QUAI", "QRCode")]
    assert drawing in draw.svg(fleet, board)
    styled = set(re.findall(r"\.([a-z]+)", html.STYLE))
    assert not styled & {word for found in re.findall(r'class="([^"]*)"', drawing) for word in found.split()}


def test_a_failed_self_test_is_on_the_sheet_until_it_passes(fleet, tmp_path):
    path = tmp_path / record.FILE
    record.append(path, {**SAID, "result": "failed", "error": "device_fault", "what": "it is silent"})
    record.append(path, {key: SAID[key] for key in ("at", "who", "board", "result", "calibration")})  # settings, no flashing
    cells = page(fleet, "bin-quai", path)[1]
    assert ["FAILED", "sensor temperature (ds18b20)", "-85 Cel", "-40..60"] in cells.rows
    assert f"Not in service. {when(AT)}: device_fault: it is silent" in cells.texts
    record.append(path, {**SAID, "selftest": CHECKS[:1]})
    cells = page(fleet, "bin-quai", path)[1]
    assert not any(cells.failed)
    assert "alert" not in " ".join(cells.classes)


def test_every_board_has_a_sheet_that_needs_nothing_else(fleet):
    for board in fleet.boards.values():
        document, cells = page(fleet, board.name)
        assert not {"script", "link", "img", "iframe", "object"} & set(cells.tags)
        assert not re.search(r"src=|url\(|@import", document)
        assert "@page{size:A4" in document
        assert not re.search(r'<style.*<style| id="', document, re.S)  # what is inlined keeps to itself
        assert document.count("not recorded yet: `jourdain flash` does it") == (2 if board.role == "bridge" else 3)
        wired = [row[0] for row in cells.rows if len(row) == 3]
        assert set(board.sensors) <= set(wired)
        assert ("radio" in wired) == (board.radio is not None)
    assert page(fleet, "bin-capitainerie")[1].value("power") == "over its USB cable"
    assert page(fleet, "bridge-1")[1].value("service") == "radio bridge: passes frames on"
    assert ("motion", "LSM6DSO accelerometer and gyroscope (lsm6dso)", "i2c 0, sda 8, scl 9, address 0x6a") in facts.wires(
        fleet, fleet.boards["buoy-large"]
    )


def test_hostile_words_stay_words(tmp_path):
    path = tmp_path / record.FILE
    odd = "<script>alert(1)</script>\x1b\udcff\"'&amp;"
    entry = {**SAID, "who": odd, "versions": {odd: odd}, "hashes": {"a": {"b": 1}}, "calibration": {odd: [1], "x": odd},
             "uplink": {"kid": [odd]}, "selftest": [3, {"name": odd, "limits": odd, "value": {odd: [odd]}}]}  # fmt: skip
    record.append(path, entry)
    text = (ROOT / "boards.yaml").read_text().replace("title: Fish quay\n", 'title: "</h1><img src=x onerror=y>"\n')
    document, cells = page(loads(text), "bin-quai", path)
    assert not {"script", "img"} & set(cells.tags)
    assert "alert(1)" in " ".join(cells.texts)
    assert "</h1><img src=x onerror=y>" in " ".join(cells.texts)
    assert document.replace("\n", "").isprintable()


@pytest.mark.produces("unknown_board", "bad_record", "disk_error")
def test_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    where = ["--inventory", str(ROOT / "boards.yaml"), "--record", str(tmp_path / "r.jsonl")]
    record.append(tmp_path / "r.jsonl", SAID)
    assert cli.run(["sheet", "JD:PORT-LUCE:BIN-QUAI", *where]) == 0
    assert capsys.readouterr().out == "bin-quai.html\n"
    assert when(AT) in Path("bin-quai.html").read_text()
    assert cli.run(["sheet", "bin-quai", *where, "--json", "--out", "new/x.html"]) == 0
    assert json.loads(capsys.readouterr().out) == {"board": "bin-quai", "file": "new/x.html"}
    assert cli.run(["sheet", "bin-quay", *where]) == 3
    assert cli.run(["sheet", "bin-quai", *where, "--out", "r.jsonl/x"]) == 12
    Path("r.jsonl").write_text("no record\n")
    assert cli.run(["sheet", "bin-quai", *where]) == 3
    assert "bad_record: line 1: is not JSON" in capsys.readouterr().err

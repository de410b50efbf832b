"""Labels: what a decoder that is not ours reads from them, what a person reads, and that nothing secret is on any."""

import itertools
import json
import random
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import labels
import pytest
import segno
from PIL import Image, ImageFilter

from firmware.wire.seal import derive
from gateway.inventory import loads
from tools import cli
from tools.fleet import find_board
from tools.label import grid, letters, png, svg, write_label
from tools.label.code import text_of
from tools.label.label import SIZE_MM
from tools.label.layout import EDGE_MM, QUIET, layout

ROOT = Path(__file__).resolve().parent.parent.parent
TR005 = "LW:D0:1E04567890123456:70B3D57ED0000A10:00010002:OA1B2:SBIN-QUAI"


@pytest.fixture(scope="module")
def text():
    """The shipped town, with a contact, and with an identity for one of its bins."""
    lorawan = '    lorawan: {dev_eui: "70b3d57ed0000a10", join_eui: "1e04567890123456", profile: "00010002", owner: a1b2}\n'
    fleet = (ROOT / "boards.yaml").read_text()
    fleet = fleet.replace("  bin-quai:\n", "  bin-quai:\n" + lorawan).replace("    title: Port-Luce\n",
                          "    title: Port-Luce\n    contact: Mairie 02 96 00 00 00\n")  # fmt: skip
    return fleet.replace("title: Railway station", 'title: "Gare, côté <quai> & \\e[31mœuvre\\u202e]]>"')


@pytest.fixture(scope="module")
def fleet(text):
    return loads(text)


@pytest.fixture
def town_file(tmp_path, text):
    path = tmp_path / "boards.yaml"
    path.write_text(text)
    return path


def run(capsys, path, *words):
    code = cli.run(["label", *words, "--inventory", str(path)])
    return code, capsys.readouterr()


def _words(document):
    return [each.text for each in ET.fromstring(document).iter("{http://www.w3.org/2000/svg}text")]


def test_what_the_codes_say(fleet):
    assert text_of(fleet.boards["bin-quai"]) == TR005
    assert text_of(fleet.boards["bin-marche"]) == "JD:PORT-LUCE:BIN-MARCHE"
    for board in fleet.boards.values():
        text = text_of(board)
        assert re.fullmatch(r"[0-9A-Z $%*+\-./:]+", text)
        assert segno.make_qr(text).mode == "alphanumeric"
        assert find_board(fleet, text) is find_board(fleet, text.lower() + " ") is board
    moved = TR005.replace("00010002", "00010003").replace("BIN-QUAI", "OLD-NAME")
    assert find_board(fleet, moved) is fleet.boards["bin-quai"]


@pytest.mark.produces("ambiguous", "unknown_board")
def test_a_scanned_label_that_names_none_or_two(text):
    two = loads(text.replace("  bin-marche:\n", "  bin-Gare:\n"))
    for name, error in (("JD:PORT-LUCE:BIN-GARE", "ambiguous"), ("JD:ELSEWHERE:BIN-QUAI", "unknown_board"),
                        ("LW:D0:1:2:3", "unknown_board"), ("LW:D0:", "unknown_board"), ("JD:", "unknown_board")):  # fmt: skip
        with pytest.raises(Exception, match=error):
            find_board(two, name)
    assert find_board(two, "bin-Gare").name == "bin-Gare"


def test_a_decoder_reads_every_label(fleet, tmp_path):
    for board in fleet.boards.values():
        path = write_label(fleet, board, tmp_path / "new" / "labels")
        assert path == tmp_path / "new" / "labels" / f"{board.name}.svg"
        document = path.read_text()
        for dpi in (203, 300):
            assert labels.read(labels.raster(document, dpi)) == [(text_of(board), "QRCode")]
    # As a phone sees it: small, askew, not sharp.
    image = labels.raster((tmp_path / "new/labels/bin-quai.svg").read_text(), 300)
    askew = image.rotate(11, expand=True, fillcolor=255).filter(ImageFilter.GaussianBlur(3)).reduce(2)
    assert labels.read(askew) == [(TR005, "QRCode")]


@pytest.mark.parametrize("dpi", [203, 300, 600])
def test_a_decoder_reads_the_dots(fleet, tmp_path, dpi):
    for name in ("bin-quai", "bin-capitainerie"):
        board = fleet.boards[name]
        path = tmp_path / "label.png"
        label = layout(fleet, board, SIZE_MM, png.measure_at(dpi), dpi)
        path.write_bytes(png.document(label, dpi))
        with Image.open(path) as image:
            assert image.mode == "1"
            assert image.size == (round(64 / 25.4 * dpi), round(34 / 25.4 * dpi))
            assert image.info["dpi"] == pytest.approx((dpi, dpi), rel=1e-3)
            assert labels.read(image.convert("L")) == [(text_of(board), "QRCode")]
            # The quiet zone is white all around.
            side = round(label.module * dpi / 25.4) * (len(label.modules) + 2 * QUIET)
            left, top = (round((at - QUIET * label.module) * dpi / 25.4) for at in (label.x, label.y))
            dark = Image.eval(image.convert("L").crop((left, top, left + side, top + side)), lambda dot: 255 - dot).getbbox()
            quiet = (side - round(label.module * dpi / 25.4) * len(label.modules)) // 2
            wanted = (quiet, quiet, side - quiet, side - quiet)
            assert all(abs(got - edge) <= 1 for got, edge in zip(dark, wanted, strict=True))


def test_what_a_person_reads(fleet, tmp_path):
    words = _words(write_label(fleet, fleet.boards["bin-quai"], tmp_path).read_text())
    for wanted in ("LoRaWAN TR005", "bin-quai", "Fish quay", "key id 0002", "chip …7e6a10", "Port-Luce", "Mairie 02 96 00 00 00",
                   "DevEUI 70B3 D57E D000 0A10"):  # fmt: skip
        assert wanted in words
    other = _words(write_label(fleet, fleet.boards["bay-quai-1"], tmp_path).read_text())
    assert "Jourdain" in other
    assert not [word for word in other if "TR005" in word or "DevEUI" in word]
    bridge = " ".join(_words(write_label(fleet, fleet.boards["bridge-1"], tmp_path).read_text()))
    assert "key id" not in bridge
    assert "bridge-1 Radio bridge on the roof" in bridge


def test_a_hostile_title_breaks_no_document(fleet, tmp_path):
    document = write_label(fleet, fleet.boards["bin-gare"], tmp_path).read_text()
    said = " ".join(_words(document))
    assert "Gare, côté <quai> & [31mœuvre" in said
    assert said.isprintable()


def test_no_key_is_on_a_label(fleet, tmp_path, secrets):
    issued = json.loads(secrets.read_text())["keys"]
    known = {made["secret"] for made in issued.values()}
    for kid, made in issued.items():
        keys = derive(bytes.fromhex(made["secret"]), bytes.fromhex(kid))
        known |= {value.hex() for value in vars(keys).values() if isinstance(value, bytes) and len(value) > 8}
    assert len(known) > 4 * len(issued)
    for board in fleet.nodes:
        path = write_label(fleet, board, tmp_path)
        (code, _mode), *others = labels.read(labels.raster(path.read_text(), 300))
        assert not others
        said = " ".join([code, *_words(path.read_text())])
        assert not [secret for secret in known if secret in said.lower()]
        assert not re.search("[0-9a-fA-F]{17}", said)  # an EUI has sixteen digits, a key thirty-two


@pytest.mark.parametrize("measure", [svg.measure, png.measure_at(203), png.measure_at(300)])
def test_everything_is_inside_of_the_label_and_beside_its_code(text, measure):
    dice = random.Random(5)
    letter = "abcdefghijklmnopqrstuvwxyzWMéÉ 0123456789-."
    for turn in range(14):
        name = "".join(dice.choices("abcWMi0-.", k=dice.randrange(1, 41)))
        title = "".join(dice.choices(letter, k=dice.randrange(120))).replace("'", "").strip()
        one = loads(text.replace("  bin-quai:\n", f"  {name}:\n").replace("title: Fish quay\n", f"title: '{title}'\n"))
        size = (64.0, 34.0) if turn % 2 else (dice.uniform(50, 120), dice.uniform(26, 60))
        label = layout(one, one.boards[name], size, measure)
        right_of_code = label.x + label.module * (len(label.modules) + QUIET)
        below_code = label.y + label.module * (len(label.modules) + QUIET)
        assert label.x >= QUIET * label.module - 1e-6
        assert label.y >= QUIET * label.module - 1e-6
        assert right_of_code <= size[0] / 2
        assert below_code <= size[1]
        for line in label.texts:
            assert line.x + measure(line.words, line.size, line.bold) <= size[0] - EDGE_MM + 1e-6, line
            assert line.x >= EDGE_MM
            assert 0 < line.y <= size[1] - EDGE_MM / 2, line
            # Type stands above its baseline: a line is right of the code, or below it.
            assert line.x >= right_of_code or line.y - 0.75 * line.size >= below_code - label.module, line
        beside = sorted(line.y for line in label.texts if line.x >= right_of_code)
        assert all(low - high > 1.5 for high, low in itertools.pairwise(beside)), label.texts


def test_letters():
    shapes = {letter: tuple(letters.dots(letter)) for letter in letters._GLYPH}
    assert all(0 <= x < 5 and letters.ABOVE <= y < letters.ROWS for dots in shapes.values() for x, y in dots)
    assert len(set(shapes.values())) == len(shapes)
    assert set(map(chr, range(32, 127))) <= set(shapes)
    accents = "àâäçèéêëîïôöùûüñÀÂÇÈÉÊËÎÏÔÙÛÜ"
    assert letters.spelled("œ ’Łé") == ["o", "e", " ", "'", "?", "e\u0301"]
    drawn = {tuple(letters.dots(letter)) for letter in accents}
    assert len(drawn | set(shapes.values())) == len(accents) + len(shapes)
    assert all(0 <= x < 5 and 0 <= y < letters.ROWS for dots in drawn for x, y in dots)
    assert [x for x, _ in letters.dots("||")] == [2] * 7 + [8] * 7


def test_a_sheet_begins_where_the_used_one_ends(fleet, town_file, capsys, tmp_path):
    names = ["bin-quai", "bin-gare", "bay-ecole"]
    code, said = run(capsys, town_file, *names, "--sheet", str(tmp_path / "sheet.svg"), "--start", "23", "--json", "--cut")
    made = json.loads(said.out)
    assert code == 0
    assert made["sheets"] == [str(tmp_path / "sheet.svg"), str(tmp_path / "sheet-2.svg")]
    assert [label["file"] for label in made["labels"]] == [None] * 3
    pages = [Path(page).read_text() for page in made["sheets"]]
    for page, row in zip(pages, (names[:2], names[2:]), strict=True):
        assert sorted(labels.read(labels.raster(page, 200))) == sorted((text_of(fleet.boards[name]), "QRCode") for name in row)
    (second, third), (first,) = (labels.codes(page) for page in pages)
    assert [round(at[0] // grid._STEP_X) for at in (second, third, first)] == [1, 2, 0]
    assert [round((at[1] - grid._TOP) // grid._STEP_Y) for at in (second, third, first)] == [7, 7, 0]
    assert pages[0].count('stroke="#999"') == 2
    assert 'width="210mm" height="297mm"' in pages[0]


def test_a_sheet_of_the_whole_town_for_a_browser(fleet, town_file, capsys, tmp_path):
    path = tmp_path / "sheet.html"
    code, said = run(capsys, town_file, "--all", "--sheet", str(path))
    assert (code, said.out) == (0, f"{path}\n")
    assert said.err == "15 labels\n"
    document = path.read_text()
    assert not re.search(r"(src|href)=|url\(|@import", document)
    assert "@page{size:A4;margin:0}" in document
    (page,) = re.findall("<svg.*</svg>", document, re.S)
    found = {text for text, _mode in labels.read(labels.raster(page, 200))}
    assert found == {text_of(board) for board in fleet.boards.values()}


def test_labels_as_files(fleet, town_file, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, said = run(capsys, town_file, "bin-gare", "JD:PORT-LUCE:BAY-ECOLE")
    assert (code, said.out) == (0, f"{tmp_path}/labels/bin-gare.svg\n{tmp_path}/labels/bay-ecole.svg\n")
    how = ("--format", "png", "--size", "62x29", "--dpi", "203", "--out", "png", "--json")
    code, said = run(capsys, town_file, "bin-quai", *how)
    made = json.loads(said.out)["labels"]
    assert made == [{"board": "bin-quai", "file": "png/bin-quai.png", "text": TR005, "tr005": True}]
    with Image.open(made[0]["file"]) as image:
        assert image.size == (round(62 / 25.4 * 203), round(29 / 25.4 * 203))
        assert labels.read(image.convert("L")) == [(TR005, "QRCode")]


@pytest.mark.produces("unknown_board", "disk_error")
def test_labels_that_cannot_be(town_file, capsys, tmp_path):
    assert run(capsys, town_file, "bin-quay")[0] == 3
    (tmp_path / "file").write_text("")
    code, said = run(capsys, town_file, "bin-quai", "--out", str(tmp_path / "file"))
    assert code == 12
    assert said.err.startswith("disk_error: cannot write: ")
    for words in ([], ["--all", "bin-quai"], ["--all", "--size", "5x5"], ["--all", "--size", "big"]):
        assert run(capsys, town_file, *words)[0] == 2
    assert run(capsys, town_file, "--all", "--sheet", "a.pdf")[0] == 2

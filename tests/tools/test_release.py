"""`jourdain release`: a key that is kept, bundles that hold what their manifest says, and a check that believes nothing."""

import contextlib
import io
import json
import stat
import sys
import zipfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import example, given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from flashing import ROOT, three_lines

from firmware.node import RELEASE, manifest
from gateway import bundle
from gateway.errors import HostError
from tools import cli
from tools.release import keys, make

WORDS = "a horse that reads"
FLEET = ("--inventory", str(ROOT / "boards.yaml"))


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    """The path of a release key; its public half is beside it."""
    path = tmp_path_factory.mktemp("key") / "release.key"
    keys.make(path, WORDS)
    return path


@pytest.fixture
def run(monkeypatch, capsys):
    """`run(*words) -> (exit code, stdout, stderr)` of `jourdain release`, the passphrase in the environment."""
    monkeypatch.setenv("JOURDAIN_PASSPHRASE", WORDS)

    def run(*words):
        code = cli.run(["release", *map(str, words)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def built(run, key, tmp_path):
    """The bundle of one board."""
    path = tmp_path / "bin.zip"
    code, _out, err = run("build", "bin-capitainerie", *FLEET, "--key", key, "--out", path)
    assert code == 0, err
    return path


def test_a_key_is_private_and_never_overwritten(run, tmp_path, monkeypatch):
    path = tmp_path / "town.key"
    code, out, _ = run("key", "--out", path, "--json")
    assert code == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b"ENCRYPTED" in path.read_bytes()
    (public,) = keys.trusted([tmp_path / "town.pub"])
    assert json.loads(out)["fingerprint"] == keys.fingerprint(public)
    assert (public.key_size, public.public_numbers().e, len(keys.modulus(public))) == (3072, 65537, 384)
    before = path.read_bytes()
    code, _, err = run("key", "--out", path)
    assert (code, path.read_bytes()) == (3, before)
    assert three_lines(err, "bad_keys")
    path.unlink()
    code, _, err = run("key", "--out", path)  # the public half alone would be lost as well
    assert (code, three_lines(err, "bad_keys"), path.exists()) == (3, True, False)
    monkeypatch.setenv("JOURDAIN_PASSPHRASE", "short")
    assert run("key", "--out", tmp_path / "other.key")[0] == 3
    assert not (tmp_path / "other.key").exists()


def test_a_key_opens_with_its_passphrase_alone(key, tmp_path):
    assert keys.load(key, WORDS).key_size == 3072
    open_to_all = tmp_path / "release.key"
    open_to_all.write_bytes(key.read_bytes())
    open_to_all.chmod(0o644)
    small = tmp_path / "small.pub"
    small.write_bytes(keys.public_pem(rsa.generate_private_key(65537, 2048).public_key()))
    empty = tmp_path / "empty.pub"
    empty.write_bytes(b"")
    for wrong in (
        lambda: keys.load(key, WORDS + "!"),
        lambda: keys.load(open_to_all, WORDS),
        lambda: keys.load(tmp_path / "none.key", WORDS),
        lambda: keys.trusted([small]),
        lambda: keys.trusted([empty]),
        lambda: keys.trusted([tmp_path / "none.pub"]),
    ):
        with pytest.raises(HostError, match="bad_keys"):
            wrong()


def test_a_signature_is_pkcs1_with_sha256(key):
    private = keys.load(key, WORDS)
    signature = keys.sign(private, b"text")
    private.public_key().verify(signature, b"text", padding.PKCS1v15(), SHA256())
    assert len(signature) == bundle.SIGNATURE_LEN
    other = rsa.generate_private_key(65537, 3072).public_key()
    assert keys.signer([other, private.public_key()], b"text", signature) == private.public_key()
    assert keys.signer([other], b"text", signature) is None
    assert keys.signer([private.public_key()], b"texu", signature) is None


def test_a_bundle_says_what_it_holds(run, built, key, tmp_path):
    code, out, _ = run("check", built, "--trust", key.with_suffix(".pub"), "--json")
    said = json.loads(out)
    assert code == 0
    assert (said["kind"], said["release"], said["mpy"]) == ("pico node bin serial - a02yyuw+ds18b20", RELEASE, 6)
    found = bundle.read(built)
    assert [entry.path for entry in found.manifest.entries][-1] == "modules"
    assert said["bytes"] == sum(map(len, found.parts[2:]))
    # One block an answer: the manifest, its end, the signature, the files.
    blocks = sum(-(-len(part) // 64) for part in found.parts)
    assert said["by_radio"][0] == {"block": 64, "uplinks": blocks + 1, "days": round((blocks + 1) / 96, 1)}
    code, out, _ = run("check", built, "--trust", key.with_suffix(".pub"), "--since", built, "--json")
    same = json.loads(out)
    assert same["changed"] == 0
    assert same["by_radio"][0]["uplinks"] == 1 + -(-len(found.parts[0]) // 64) + 6
    code, out, _ = run("check", built, "--trust", key.with_suffix(".pub"))
    assert "uplinks" not in out.splitlines()[0]
    assert len(out.splitlines()) == 3
    again = tmp_path / "again.zip"
    run("build", "bin-capitainerie", *FLEET, "--key", key, "--out", again)
    assert again.read_bytes() == built.read_bytes()


@pytest.mark.produces("bad_release")
def test_a_bundle_that_was_touched_is_refused(run, built, key, tmp_path):
    other = tmp_path / "other.key"
    keys.make(other, WORDS)
    code, _, err = run("check", built, "--trust", other.with_suffix(".pub"))
    assert (code, three_lines(err, "bad_release")) == (3, True)
    parts = dict(_members(built))
    touched = [
        {**parts, "modules": parts["modules"] + b"firmware.evil\n"},
        {**parts, "firmware/evil.mpy": b"M\x06"},
        {**parts, "signature": parts["signature"][:-1]},
        {**parts, "manifest": parts["manifest"].replace(b"release 1\n", b"release 01\n")},
        {name: data for name, data in parts.items() if name != "modules"},
        {name: data for name, data in parts.items() if name != "manifest"},
    ]
    for members in touched:
        path = tmp_path / "touched.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        code, _, err = run("check", path, "--trust", key.with_suffix(".pub"))
        assert (code, three_lines(err, "bad_release")) == (3, True), err
    newer = {**parts, "manifest": parts["manifest"].replace(b"release 1\n", b"release 2\n")}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in newer.items():
            archive.writestr(name, data)
    code, _, err = run("check", path, "--trust", key.with_suffix(".pub"))
    assert (code, "none of the trusted keys" in err) == (3, True)
    path.write_bytes(built.read_bytes()[:-40])
    assert run("check", path, "--trust", key.with_suffix(".pub"))[0] == 3
    assert run("check", tmp_path / "none.zip", "--trust", key.with_suffix(".pub"))[0] == 3


def _members(path):
    with zipfile.ZipFile(path) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def test_a_kind_has_one_bundle(run, key, tmp_path, town):
    code, out, _ = run("build", *FLEET, "--type", "esp32", "--type", "esp32-c3", "--key", key, "--out", tmp_path, "--json")
    said = json.loads(out)["bundles"]
    assert (code, len(said)) == (0, 2)
    assert {one["kind"] for one in said} == {
        "esp32 node parking radio sx126x qmc5883l", "esp32-c3 node parking radio sx126x qmc5883l",
    }  # fmt: skip
    code, _, err = run("build", *FLEET, "--key", key, "--out", tmp_path / "all.zip")
    assert (code, three_lines(err, "bad_release")) == (3, True)
    assert run("build", *FLEET, "--type", "abacus", "--key", key, "--out", tmp_path)[0] == 3
    kinds = make.kinds(town, town.boards.values())
    assert "pico bridge - serial sx126x -" in kinds
    assert len(kinds) < len(town.boards)
    names = {make.name_of(bundle.Manifest(kind, 6, 1, "", ())) for kind in kinds}
    assert len(names) == len(kinds)


def test_blocks_of_a_part(built):
    found = bundle.read(built)
    for part, data in enumerate(found.parts):
        assert b"".join(found.block(part, at, 64) for at in range(0, len(data), 64)) == data
        assert found.block(part, len(data), 64) == b""
    assert found.block(len(found.parts), 0, 64) == found.block(-1, 0, 64) == found.block(0, -1, 64) == b""


HEAD = b"jourdain 1\nkind pico node bin radio sx126x a02yyuw\nmpy 6\nrelease 2\nversion 0.2.0\n"
LAST = b"%s 0 modules\n" % (b"0" * 64)


def _file(path, size=b"1", digest=b"ab" * 32):
    return b"%s %s %s\n" % (digest, size, path)


@pytest.mark.parametrize("text", [
    b"", b"jourdain 1", HEAD, HEAD + LAST[:-1], HEAD + LAST + b"\n", HEAD + LAST + LAST, b"\n" + HEAD + LAST,
    HEAD.replace(b"jourdain 1", b"jourdain 2") + LAST,
    HEAD.replace(b"\n", b"\r\n") + LAST,
    HEAD.replace(b"mpy 6\nrelease 2\n", b"release 2\nmpy 6\n") + LAST,
    HEAD.replace(b"release 2", b"release -2") + LAST,
    HEAD.replace(b"release 2", b"release 02") + LAST,
    HEAD.replace(b"release 2", b"release 1234567890") + LAST,
    HEAD.replace(b"release 2", b"release " + b"9" * 5000) + LAST,
    HEAD.replace(b"release 2", "release \N{SUPERSCRIPT TWO}".encode()) + LAST,
    HEAD.replace(b"release 2", b"release") + LAST,
    HEAD + _file(b"firmware/../../main.mpy") + LAST,
    HEAD + _file(b"../a/firmware/node/app.mpy") + LAST,
    HEAD + _file(b"/firmware/node/app.mpy") + LAST,
    HEAD + _file(b"firmware//app.mpy") + LAST,
    HEAD + _file(b"firmware/./app.mpy") + LAST,
    HEAD + _file(b"firmware/node/app.py") + LAST,
    HEAD + _file(b"firmware/.mpy") + LAST,
    HEAD + _file(b"firmware/Node/app.mpy") + LAST,
    HEAD + _file(b"firmware/" + b"a" * 60 + b".mpy") + LAST,
    HEAD + _file(b"config-0") + LAST,
    HEAD + _file(b"manifest") + LAST,
    HEAD + _file(b"firmware/a.mpy", size=b"65537") + LAST,
    HEAD + _file(b"firmware/a.mpy", size=b"-1") + LAST,
    HEAD + _file(b"firmware/a.mpy", size=b"1e3") + LAST,
    HEAD + _file(b"firmware/a.mpy", digest=b"AB" * 32) + LAST,
    HEAD + _file(b"firmware/a.mpy", digest=b"zz" * 32) + LAST,
    HEAD + _file(b"firmware/a.mpy", digest=b"ab" * 31 + b" a") + LAST,
    HEAD + _file(b"firmware/a.mpy") * 2 + LAST,
    HEAD + _file(b"firmware/b.mpy") + _file(b"firmware/a.mpy") + LAST,
    HEAD + b"".join(_file(b"firmware/a%03d.mpy" % i) for i in range(100)) + LAST,
])  # fmt: skip
def test_a_manifest_that_is_not_right(text):
    with pytest.raises(HostError, match="bad_release"):
        bundle.parse(text)


def test_the_largest_manifest_that_is_right():
    text = HEAD + b"".join(_file(b"firmware/a%02d.mpy" % i, size=b"65536") for i in range(99)) + LAST
    found = bundle.parse(text)
    assert len(found.entries) == manifest.FILES_MAX
    assert (found.release, found.mpy, found.version) == (2, 6, "0.2.0")


SOUND = HEAD + _file(b"firmware/node/app.mpy") + LAST


@given(st.binary(max_size=300) | st.builds(lambda at, data: SOUND[:at] + data + SOUND[at + len(data) :],
                                           st.integers(0, len(SOUND)), st.binary(max_size=8)))  # fmt: skip
@example(SOUND)
def test_a_manifest_is_canonical_or_refused(text):
    """Whatever is accepted is exactly what its values make, so that no two texts mean the same."""
    with contextlib.suppress(HostError):
        found = bundle.parse(text)
        _same(found, text)


def _same(found, text):
    lines = ["jourdain 1", f"kind {found.kind}", f"mpy {found.mpy}", f"release {found.release}", f"version {found.version}"]
    lines += [f"{entry.digest.hex()} {entry.size} {entry.path}" for entry in found.entries]
    assert "".join(f"{line}\n" for line in lines).encode() == text
    assert all(not entry.path.startswith(("/", ".")) and ".." not in entry.path for entry in found.entries)
    assert found.entries[-1].path == "modules"


@given(st.binary(max_size=400))
def test_a_bundle_is_read_or_refused(data):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("manifest", data)
        archive.writestr("signature", bytes(384))
    for raw in (data, file.getvalue()):
        with pytest.raises(HostError, match="bad_release"):
            bundle.read(io.BytesIO(raw))

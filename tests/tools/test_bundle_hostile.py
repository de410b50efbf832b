"""Bundles from bad servers and in broken files: nothing gets in, nothing crashes, and each trouble has its name."""

import json
import random
import ssl
import sys
import time
import zipfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "gateway"))
from bundling import TYPES, Server, file_of, good, made, put, rebuilt, send
from flashing import ROOT, three_lines
from loaders import kind, uf2_image

from gateway.errors import HostError
from tools.bundle import fetch, file
from tools.bundle.file import Bundle

pytestmark = pytest.mark.usefixtures("facts")
TOWN = ROOT / "boards.yaml"


def moved(there):
    return lambda handler: send(handler, b"", status=302, headers=(("Location", there(handler)),))


def slowly(handler):
    send(handler, b"UF2\n" * 100, length=10**6)
    time.sleep(5)


PICO = made("RPI_PICO")
HOSTILE = {
    "not there": (lambda handler: send(handler, b"no", status=404), "no_image", "the image is not there"),
    "broken": (lambda handler: send(handler, b"no", status=500), "transfer", "the server answers 500"),
    "cut off": (lambda handler: send(handler, PICO[:70000], length=len(PICO)), "transfer", f"70000 bytes of {len(PICO)} came"),
    "a part": (lambda handler: send(handler, PICO[512:], status=206), "transfer", "does not say how long"),
    "no length": (lambda handler: send(handler, PICO, length="none"), "transfer", "does not say how long"),
    "a wrong length": (lambda handler: send(handler, PICO, length="-1"), "transfer", "does not say how long"),
    "another file": (lambda handler: send(handler, uf2_image(blocks=300)), "bad_image", "the SHA-256 of this image is"),
    "another version": (lambda handler: send(handler, made("RPI_PICO", "1.28.0")), "bad_image", "this is MicroPython 1.28.0"),
    "a page": (lambda handler: send(handler, b"<html>" * 1000), "bad_image", "no UF2 file"),
    "another chip": (lambda handler: send(handler, made("RPI_PICO2")), "bad_image", "for another chip"),
    "huge": (lambda handler: send(handler, b"x", length=10**12), "transfer", "the file is too large"),
    "an endless number": (lambda handler: send(handler, b"x", length="9" * 500), "transfer", "the file is too large"),
    "more than said": (lambda handler: send(handler, PICO + b"x", length=100), "bad_image", "no UF2 file"),
    "to a file": (moved(lambda _: "file:///etc/hostname"), "transfer", ""),
    "to another scheme": (moved(lambda _: "ftp://127.0.0.1/x"), "transfer", "sends elsewhere, to ftp://"),
    "in a circle": (moved(lambda handler: handler.path), "transfer", "302"),
    "nonsense": (lambda handler: handler.wfile.write(b"\xff" * 5000), "transfer", "cannot be fetched"),
    "nothing": (lambda handler: handler.connection.close(), "transfer", "cannot be fetched"),
    "too slow": (slowly, "timeout", "too slow"),
}


@pytest.mark.produces("no_image", "transfer", "bad_image", "timeout")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_server_gets_nothing_into_a_bundle(tmp_path, jourdain, site, monkeypatch, name):
    answer, error, what = HOSTILE[name]
    monkeypatch.setattr(fetch, "ANSWER_S", 0.5 if error == "timeout" else 10.0)
    fleet = tmp_path / "boards.yaml"
    fleet.write_text(TOWN.read_text())
    path = tmp_path / "jourdain.bundle"
    path.write_bytes(b"what was there")
    others = [f"--image={name}={site / file_of(name)}" for name in TYPES if name != "RPI_PICO"]
    with Server(answer) as server:
        code, out, err = jourdain("bundle", "--inventory", fleet, "--source", server.url, "--json", *others)
    assert json.loads(out)["error"] == error
    assert what in json.loads(out)["what"]
    assert three_lines(err, error)
    assert code in (3, 8, 12)
    assert path.read_bytes() == b"what was there"


def test_a_safe_line_is_never_left_for_a_plain_one():
    ask = fetch.Redirect()
    request = fetch.urllib.request.Request("https://127.0.0.1/a")
    assert ask.redirect_request(request, None, 302, "", {}, "https://127.0.0.1/b").full_url == "https://127.0.0.1/b"
    plain = fetch.urllib.request.Request("http://127.0.0.1/a")
    assert ask.redirect_request(plain, None, 302, "", {}, "https://127.0.0.1/b").full_url == "https://127.0.0.1/b"
    for there in ("http://127.0.0.1/b", "file:///etc/hostname", "ftp://127.0.0.1/"):
        with pytest.raises(ValueError, match="sends elsewhere"):
            ask.redirect_request(request, None, 302, "", {}, there)
    for source in ("file:///etc", "ftp://127.0.0.1/", "data:x://"):
        with pytest.raises(HostError, match="is no source"):
            fetch.fetch(source, "hostname", lambda *_: None)


def test_a_server_without_a_right_certificate_is_refused(tmp_path, monkeypatch):
    """https by the machine's own certificates: one that no authority of it signed, one for another name, and a right one."""
    from brokers import Authority

    authority = Authority(tmp_path / "ca")
    monkeypatch.setenv("SSL_CERT_FILE", str(Authority(tmp_path / "other").file))
    for trusted, name, host in ((False, "a", "127.0.0.1"), (True, "b", "localhost.invalid"), (True, "c", "127.0.0.1")):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue(name, server=host == "127.0.0.1", hosts=[host]))
        if trusted:
            monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
        with Server(good) as server:
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
            address = server.url.replace("http:", "https:")
            if name == "c":
                assert fetch.fetch(address, file_of("RPI_PICO"), lambda *_: None) == made("RPI_PICO")
                continue
            with pytest.raises(HostError, match=r"CERTIFICATE_VERIFY_FAILED") as caught:
                fetch.fetch(address, file_of("RPI_PICO"), lambda *_: None)
            assert caught.value.name == "transfer"
            assert server.paths == []


def test_a_folder_that_lacks_it_or_holds_a_huge_one(tmp_path):
    with pytest.raises(HostError, match="no_image"):
        fetch.fetch(str(tmp_path), "x.uf2", lambda *_: None)
    with (tmp_path / "x.uf2").open("wb") as sparse:
        sparse.truncate(fetch.SIZE_MAX + 1)
    with pytest.raises(HostError, match="the file is too large"):
        fetch.fetch(str(tmp_path), "x.uf2", lambda *_: None)


def pico(said, **more):
    said["images"]["RPI_PICO"].update(more)


IMAGE = f"images/{file_of('RPI_PICO')}"
BROKEN = {
    "empty": (lambda _: b"", "no bundle that can be read"),
    "no zip": (lambda _: b"x" * 5000, "no bundle that can be read"),
    "cut": (lambda path: path.read_bytes()[:-3000], "no bundle that can be read"),
    "no manifest": (lambda path: rebuilt(path, drop=["bytecode/x"]).replace(b"manifest.json", b"manifest.jsox"), "no "),
    "no JSON": (lambda path: path.read_bytes().replace(b'{\n "bundle"', b'[\n "bundle"', 1), "no bundle that can be read"),
    "a newer form": (lambda path: rebuilt(path, change=lambda said: said.update(bundle=2)), "its form is 2"),
    "packed": (lambda path: rebuilt(path, deflate=True), "not what its manifest says"),
    "a member more": (lambda path: rebuilt(path, add=[("more", b"x")]), "not what its manifest says: more"),
    "a member less": (lambda path: rebuilt(path, drop=[IMAGE]), f"not what its manifest says: {IMAGE}"),
    "a name twice": (lambda path: rebuilt(path, add=[(IMAGE, made("RPI_PICO"))]), "a name twice"),
    "another size": (lambda path: rebuilt(path, change=lambda said: put(said, IMAGE, b"x")), "not what its manifest says"),
    "another version": (lambda path: rebuilt(path, change=lambda said: pico(said, version="1.x")), "RPI_PICO"),
    "an image that is none": (lambda path: rebuilt(path, change=lambda said: pico(said, file="x")), "RPI_PICO"),
    "no words": (lambda path: rebuilt(path, change=lambda said: said.update(compiler=7)), "manifest is not right"),
    "a list": (lambda path: rebuilt(path, change=lambda said: said.update(files=[])), "no bundle that can be read"),
    "less of it": (lambda path: rebuilt(path, change=lambda said: said.pop("needs")), "it has no 'needs'"),
}  # fmt: skip
TRAVERSAL = ("../../outside", "/etc/outside", "images/../../outside", "images\\..\\outside", "C:outside", "images/", "images/.x",
             "images/a/b", "images/" + "x" * 500, "bytecode/\n", "images/é")  # fmt: skip
for _name in TRAVERSAL:
    BROKEN[f"the name {_name[:24]!r}"] = (
        lambda path, name=_name: rebuilt(path, change=lambda said: put(said, name, b"x"), add=[(name, b"x")]),
        "is no file of a bundle",
    )

@pytest.mark.produces("bad_bundle")
def test_what_is_no_right_bundle_is_refused_by_name(bundle, tmp_path):
    """All of them against one good bundle: nothing is unpacked, nothing crashes."""
    bad = tmp_path / "bad.bundle"
    for name, (make_it, what) in BROKEN.items():
        bad.write_bytes(make_it(bundle))
        with pytest.raises(HostError) as caught:
            Bundle(bad)
        assert (caught.value.name, caught.value.where) == ("bad_bundle", str(bad)), name
        assert what in caught.value.what, name
    assert not list(tmp_path.rglob("outside"))
    with pytest.raises(HostError, match="no_image: there is no bundle here"):
        Bundle(tmp_path / "none")


def test_a_changed_byte_is_found_where_it_is_read(bundle, tmp_path, jourdain):
    data = bundle.read_bytes()
    at = data.index(made("RPI_PICO")[:2000]) + 1500
    bad = tmp_path / "bad.bundle"
    bad.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    with pytest.raises(HostError, match="bad_bundle"):
        Bundle(bad).image(kind("pico"))
    assert Bundle(bad).image(kind("pico2")).path.read_bytes() == made("RPI_PICO2")
    code, out, err = jourdain("bundle", "check", bad, "--inventory", TOWN, "--json")
    assert (code, json.loads(out)["error"]) == (3, "bad_bundle")
    assert file_of("RPI_PICO") in err
    # One that tells its hash rightly and yet is not the image that the project knows.
    other = made("RPI_PICO", "1.29.0")[:-512]
    bad.write_bytes(rebuilt(bundle, change=lambda said: put(said, IMAGE, other), drop=[IMAGE], add=[(IMAGE, other)]))
    with pytest.raises(HostError, match="is not the image of that name"):
        Bundle(bad).image(kind("pico"))
    with pytest.raises(HostError, match="is not the image of that name"):
        Bundle(bad).verify()


def test_a_bomb_is_not_unpacked(bundle, tmp_path):
    """Much that is packed small, and sizes that are not those of the members."""
    bad = tmp_path / "bad.bundle"
    zeros = bytes(64 << 20)
    bad.write_bytes(
        rebuilt(bundle, change=lambda said: put(said, "images/zeros", zeros), add=[("images/zeros", zeros)], deflate=True)
    )
    assert bad.stat().st_size < 2 << 20
    with pytest.raises(HostError, match="images/zeros is too large"):
        Bundle(bad)
    small = bytes(1 << 20)
    for listed in (None, 100):
        bad.write_bytes(rebuilt(bundle, change=lambda said: put(said, "images/z", small, listed),  # noqa: B023
                                add=[("images/z", small)], deflate=True))  # fmt: skip
        with pytest.raises(HostError, match="not what its manifest says"):
            Bundle(bad)
    many = {f"images/{n}": {"bytes": 0, "sha256": "0" * 64} for n in range(file.FILES_MAX + 1)}
    bad.write_bytes(rebuilt(bundle, change=lambda said: said["files"].update(many)))
    with pytest.raises(HostError, match="bad_bundle"):
        Bundle(bad)


def test_mutated_bundles_are_taken_or_refused_by_name(bundle, tmp_path):
    """As tests/fuzz does it for hours: a few hundred of them here."""
    with zipfile.ZipFile(bundle) as archive:
        names = archive.namelist()[1:4]
    seed = rebuilt(bundle, drop=[name for name in zipfile.ZipFile(bundle).namelist()[4:] if name != IMAGE],
                   change=lambda said: said.update(files={name: said["files"][name] for name in (*names, IMAGE)},
                                                   images={"RPI_PICO": said["images"]["RPI_PICO"]}))  # fmt: skip
    bad, rng, outcomes = tmp_path / "bad.bundle", random.Random(5), {"taken": 0, "bad_bundle": 0}
    directory = seed.index(b"PK\x01\x02")
    for number in range(300):
        data = bytearray(seed)
        lo = directory if number % 2 else 0
        for _ in range(rng.choice((1, 1, 2, 4))):
            data[rng.randrange(lo, len(data) if number % 2 else 3000)] ^= 1 << rng.randrange(8)
        if number % 7 == 0:
            del data[rng.randrange(len(data)) :]
        bad.write_bytes(data)
        try:
            Bundle(bad).verify()
            outcomes["taken"] += 1
        except HostError as error:
            outcomes[error.name] += 1
    assert outcomes["bad_bundle"] > 200

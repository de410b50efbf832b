"""Every file that the gateway reads is a door: whatever stands in it, it is taken or refused by name, at once."""

import contextlib
import io
import json
import random
import struct
import tarfile
import zlib
from pathlib import Path

import cbor2
import door
import gatedesk as desk
import pytest

from gateway import config, fold, inventory, keys, record, restore, vault, windows
from gateway.errors import HostError
from gateway.ingress import source
from gateway.store import Group, Store
from gateway.upstream import cursor

PASSPHRASE = "des mots de passe, plusieurs"


@pytest.fixture
def fast(tmp_path):
    """A folder in memory where there is one: thousands of small files are written."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        yield tmp_path
        return
    import tempfile

    with tempfile.TemporaryDirectory(dir=memory, prefix="jourdain-") as folder:
        yield Path(folder)


def fuzz(open_it, seeds, seed, tokens=(), *, n=door.COUNT):
    """All the inputs of a door; says how they went."""
    outcomes = door.run(open_it, seeds, n, random.Random(seed), tokens=tokens)
    print(dict(outcomes.most_common()))
    assert outcomes.total() == n + len(seeds)
    return outcomes


def test_gateway_toml(fast):
    path = fast / "gateway.toml"
    words = [b"[[upstream]]", b"[[serial]]", b"[gateway]", b'"', b"'''", b"=", b"mqtt://", b"file = 1\n", b"lines = {}\n",
             b"true", b"1979-05-27T07:32:00Z", b"a.b.c = 1", b"[[a]]", b"[a]\n[a.b]", b"\\u0000", b"\\UFFFFFFFF"]  # fmt: skip

    def gateway_toml(data):
        path.write_bytes(data)
        found = config.load(path)
        for upstream in found.upstream:
            assert upstream.host
            assert 0 <= upstream.tcp_port < 65536
        return "taken"

    outcomes = fuzz(gateway_toml, door.kept("gateway_toml"), 1, words)
    assert outcomes.keys() == {"taken", "bad_config"}


def test_boards_yaml(fast):
    path = fast / "boards.yaml"
    words = [b"*a", b"&a [*a]", b"<<: *a", b"!!python/object:os.system ", b"!!float", b"- ", b"? ", b": ", b"|\n", b">-\n",
             b"---\n", b"...\n", b"1E04567890123456", b"null", b"yes", b"radio:", b"sensors:", b"{}",
             b"[]", b"\t", b'"\\x00"']  # fmt: skip

    def boards_yaml(data):
        path.write_bytes(data)
        return "taken" if inventory.load(path).gateways else "empty"

    outcomes = fuzz(boards_yaml, door.kept("boards_yaml"), 2, words)
    assert outcomes.keys() <= {"taken", "empty", "bad_inventory"}
    assert outcomes["taken"] > 0


def test_commissioning_jsonl(fast):
    """A record as anybody may have left it: read or refused by name, and whatever it is, the next entry finds its place in it."""
    path = fast / record.FILE
    said = {"at": 1, "who": "a", "board": "b", "result": "applied", "selftest": [{"name": "x", "limits": [1, None]}]}
    for _ in range(3):
        record.append(path, said)
    whole = path.read_bytes()
    words = [b'{"prev":"', record.START.encode(), b"\n", b"\0" * 40, b"NaN", b"[" * 3000, b'"at":1e400', b"null",
             b'"\\ud800"', b"\xff"]  # fmt: skip

    def commissioning_jsonl(data):
        path.write_bytes(data)
        found = None
        with contextlib.suppress(HostError):
            found = record.examine(path)
        try:
            record.append(path, said)
        finally:
            for aside in fast.glob("*.torn-*"):
                aside.unlink()
        if found is None:
            return "goes on"
        assert len(record.read(path)) == len(found.entries) + 1
        return "torn" if found.torn_bytes else "taken"

    outcomes = fuzz(commissioning_jsonl, [whole, whole[:-1], b""], 12, words)
    assert outcomes.keys() == {"taken", "torn", "goes on", "bad_record"}


@pytest.mark.parametrize("role", sorted(keys.MAY_HOLD))
def test_keys_json(fast, role):
    path = fast / "keys.json"
    path.touch(0o600)
    words = [b'"k_up"', b'"k_dn"', b'"secret"', b'"role"', b'"street"', b'"relay"', b'"0001"', b"NaN", b"Infinity", b"null",
             b"{}", b"[]", b'"\\ud800"', b'"\\u0000"', b'"000102030405060708090a0b0c0d0e0f"']  # fmt: skip

    def keys_json(data):
        path.write_bytes(data)
        held = keys.load(path, ["0001", "00000002", "0003"], role)
        assert all(type(kid) is bytes and found.kid == kid for kid, found in held.items())
        return "taken"

    outcomes = fuzz(keys_json, door.kept("keys_json"), 3, words, n=max(1, door.COUNT // len(keys.MAY_HOLD)))
    assert outcomes.keys() <= {"taken", "bad_keys", "excess_keys", "test_key"}


# Backups


@pytest.fixture
def cheap(monkeypatch):
    """Without the seconds that a passphrase costs whoever guesses it."""
    monkeypatch.setattr(vault, "keys", lambda passphrase, cost, salt, real=vault.keys: real(passphrase, (1, 1, 1), salt))


def sealed(data):
    out = io.BytesIO()
    writer = vault.Writer(out, PASSPHRASE)
    writer.write(data)
    writer.finish()
    return out.getvalue()


def archive(members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def manifest(**more):
    said = {"format": 1, "gateway": "poste", "made": 1, "config": "gateway.toml", "store": "store.db", "missing": []}
    return json.dumps({**said, **more}).encode()


def test_backup_files(fast, cheap):
    """Any change of the file itself is refused; whoever changes the head has to make its checksum anew, as is done here."""
    good = archive({"jourdain.json": manifest(), "gateway.toml": b"x", "store.db": b"y" * 500})
    head = vault._HEAD

    def backup_file(data):
        if data[0:1] == b"J" and len(data) > head and rng.random() < 0.5:
            data = data[: head - 4] + struct.pack(">I", zlib.crc32(data[: head - 4])) + data[head:]
        reader = vault.Reader(io.BytesIO(data), PASSPHRASE)
        assert reader.readall() in contents
        return "taken"

    rng = random.Random(4)
    contents = (good, b"", good * 200)
    outcomes = fuzz(backup_file, [sealed(data) for data in contents[:2]] * 6 + [sealed(contents[2])], 4)
    assert outcomes.keys() == {"taken", "bad_backup", "bad_passphrase"}


def test_what_is_in_a_backup(fast, cheap):
    """Whoever has the passphrase may put anything inside: nothing is written outside of the folder, and nothing over anything."""
    page = (fast / "store.db")
    Store(page).close()
    store = page.read_bytes()
    page.unlink()
    small = {"jourdain.json": manifest(), "gateway.toml": b"[gateway]", "store.db": store[:100]}
    seeds = [
        archive(small),
        archive({**small, "outside/etc/keys.json": b"{}", "releases/00.zip": b"PK"}),
        archive({"jourdain.json": manifest(store="a/b.db", config="a"), "a": b"", "a/b.db": b""}),
        archive({"jourdain.json": manifest(), "../up": b"1", "gateway.toml": b"", "store.db": b""}),
        archive({"jourdain.json": manifest(store=3, missing=4), "gateway.toml": b"", "store.db": b""}),
        archive({"jourdain.json": b'{"format": 1}', "gateway.toml": b"", "store.db": b""}),
        archive({"jourdain.json": b"[1]", "gateway.toml": b"", "store.db": b""}),
    ]
    words = [b"../", b"/", b"./", b".restoring", b"store.db", b'"format": 1', b'"store": null', b"ustar\x0000", b"2", b"5", b"L",
             b"x", b"1777777777\0", b"\x80\0\0\0\xff"]  # fmt: skip
    into = fast / "into"

    def in_a_backup(data):
        """Only the names, as nothing is extracted before all of them are good."""
        said, names = restore._look(vault.Reader(io.BytesIO(sealed(data)), PASSPHRASE), "backup")
        restore._refuse_overwriting(into, said, names)
        for name in names:
            assert (into / name).resolve().is_relative_to(into.resolve())
        return "taken"

    outcomes = fuzz(in_a_backup, seeds, 5, words)
    assert outcomes.keys() <= {"taken", "bad_backup"}
    assert outcomes["taken"] > 0


# The store and its marks


def filled(path):
    """The bytes of a store in which everything occurs."""
    store = Store(path)
    kids = [fold.Kid(desk.keys(n), f"bin-{n}") for n in (1, 2)]
    rows = []
    for piv in range(1, 31):
        for kid in kids:
            kid.window.accept(piv, bytes((piv,)) * 8)
            how = (fold.PLAIN, 1, piv == 9, 1_795_000_000_000 + piv, 5, piv > 28 or None, -90, 20, "bridge", piv)
            rows.append((kid.keys.kid, piv, *how, cbor2.dumps({3: piv, 2: 200}), bytes((piv,)) * 8, None))
    numbers = source.Numbering()
    numbers.note(7, bytes(8))
    store.write(Group("boot", rows, [kid.row for kid in kids], {"auth": 3}, {"bridge": numbers.pack()}))
    store.write(Group(None, [(kids[0].keys.kid, 31, *rows[0][2:])]))
    store.within(lambda db: windows.mark(db, windows.RESTORED), "marked")
    store.close()
    return path.read_bytes()


def test_store_files(fast):
    """A damaged store opens, or is called damaged: what SQLite does not see at once, it says when it is read."""
    good = filled(fast / "good.db")
    seeds = [good, good, good[: 4096 * 4], b""]
    words = [b"SQLite format 3\0", b"CREATE TABLE", b"\r\0\0\0", b"\n\0", b"\x05\0", b"\x02\0", struct.pack(">I", 1)]
    path = fast / "store.db"

    def store_file(data):
        for old in fast.glob("store.db*"):
            old.unlink()
        path.write_bytes(data)
        store = Store(path)
        try:
            store.rows(0, 1 << 40, 10)
            fold.load(store, [fold.Kid(desk.keys(n), f"bin-{n}") for n in (1, 2)])
            store.within(windows.short, "looked")
        finally:
            store.close()
        return "taken"

    outcomes = fuzz(store_file, seeds, 6, words)
    assert outcomes.keys() <= {"taken", "bad_store", "newer_store", "disk_error", "disk_full"}
    assert outcomes["bad_store"] > 0


def test_marks_files(fast):
    """A torn or foreign file of marks ends at its first wrong byte, and one whose checksums fit says nothing impossible."""
    path = fast / "store.db.marks"
    marks = cursor.Marks(path, bytes(16), [cursor.Upstream("senml", False), cursor.Upstream("frames", True)])
    marks.write([cursor.Mark(n % 2, n % 2, n, 10 * n + 1, 10 * n + 9) for n in range(8)])
    marks.close()
    good = path.read_bytes()[:400]
    rng = random.Random(7)

    def marks_file(data):
        if rng.random() < 0.5:
            data = resummed(data)
        path.write_bytes(data)
        noted = cursor.read(path)
        if noted is None:
            return "none"
        assert len(noted.epoch) == 16
        assert all(type(one.name) is str and type(one.opaque) is bool for one in noted.upstreams)
        return "whole" if len(noted.marks) >= 8 else "part"

    outcomes = fuzz(marks_file, [good, good[:100]], 7, [b"jdmarks1"])
    assert outcomes.keys() <= {"none", "whole", "part"}


def resummed(data):
    """With the checksums that it needs to be read on."""
    if len(data) < cursor._HEAD.size:
        return data
    length = cursor._HEAD.unpack_from(data)[2]
    at = cursor._HEAD.size + length
    crc = zlib.crc32(data[:at])
    out = data[:at] + struct.pack("<I", crc)
    for start in range(at + 4, len(data) - cursor._SIZE + 1, cursor._SIZE):
        body = data[start : start + cursor._MARK.size]
        crc = zlib.crc32(body, crc)
        out += body + struct.pack("<I", crc)
    return out

"""Backup and restore as an operator does them: real daemons, real files, and nothing that is only nearly right."""

import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from functools import partial

import gatedesk as desk
import pytest

from gateway import backup, config, restore, vault, windows
from gateway.downlink import Controller
from gateway.errors import HostError
from gateway.fold import Kid
from gateway.store import Store

until = partial(desk.until, timeout_s=40)  # a busy machine is no fault of theirs

PASSPHRASE = "des mots de passe, plusieurs"


@pytest.fixture
def files(tmp_path, bridge, broker):
    folder = tmp_path / "gateway"
    folder.mkdir()
    return desk.Files(folder, {"bridge": bridge.path}, broker).controller()


@pytest.fixture
def passphrase(tmp_path):
    path = tmp_path / "passphrase"
    path.write_text(PASSPHRASE + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def cheap(monkeypatch):
    """Seconds of key derivation are not what these tests are about."""
    monkeypatch.setattr(vault, "keys", lambda passphrase, cost, salt, keys=vault.keys: keys(passphrase, (1, 1, 1), salt))


def command(*words, code=0):
    """A command as a process; its JSON document and what it said."""
    run = [sys.executable, "-P", "-c", "from tools.cli import main; main()", "gateway", *map(str, words), "--json"]
    done = subprocess.run(run, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout), done.stderr


def back_up(files, target, passphrase, code=0):
    return command("backup", target, "--config", files.config, "--passphrase-file", passphrase, code=code)


def put_back(source, into, passphrase, code=0):
    return command("restore", source, "--into", into, "--passphrase-file", passphrase, code=code)


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def moved(files, folder):
    """The same gateway, in the folder that it was restored into."""
    other = object.__new__(desk.Files)
    other.__dict__ |= {**files.__dict__, "folder": folder, "config": folder / "gateway.toml", "store": folder / "store.db"}
    return other


@pytest.mark.produces("file_exists")
def test_an_sd_card_dies(files, bridge, listener, start, tmp_path, passphrase):  # noqa: PLR0917
    """What was unsent is sent, what was heard is known, and no board is answered until it has a new key."""
    settings = 'prefix = "urn:dev:org:1-"\npassword_file = "broker.password"'
    files.text = files.text.replace("[[upstream]]\n", f"[[upstream]]\n{settings}\n")
    (files.folder / "broker.password").write_text("hunter2")
    (files.folder / "broker.password").chmod(0o600)
    (files.folder / "releases").mkdir()
    (files.folder / "releases/aa.zip").write_bytes(b"a release")
    files.write()
    broker_away = files.text.replace(listener_port(files.text), "1")
    files.config.write_text(broker_away)
    first = start(files)
    until(lambda: bridge.hellos)
    for piv in range(1, 41):
        bridge.hears(desk.frame(1, piv, {3: piv, -5: piv == 40}))
    until(lambda: bridge.handled and bridge.handled[-1] == 40)
    until(lambda: bridge.sends)
    target = tmp_path / "town.backup"
    said, stderr = back_up(files, target, passphrase)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert said["files"] == ["boards.yaml", "broker.password", "gateway.toml", "keys.json", "releases/aa.zip", "store.db"]
    assert said["missing"] == []
    assert "Keep it and its passphrase apart" in stderr
    raw = target.read_bytes()
    assert b"k_up" not in raw
    assert b"poste" not in raw
    assert sorted(p.name for p in files.folder.iterdir() if "backup" in p.name) == []
    bridge.hears(desk.frame(1, 41, {3: 41}))  # after the backup: lost with the card, unless the board repeats it
    until(lambda: bridge.handled[-1] == 41)
    first.kill()

    said, _ = back_up(files, target, passphrase, code=3)
    assert said["error"] == "file_exists"
    into = tmp_path / "new card"
    said, stderr = put_back(target, into, passphrase)
    assert "No board is answered" in stderr
    assert {stat.S_IMODE(p.stat().st_mode) for p in into.rglob("*") if p.is_file()} == {0o600}
    assert sorted(contents(into)) == [
        "boards.yaml", "broker.password", "gateway.toml", "keys.json", "releases/aa.zip", "store.db"
    ]  # fmt: skip
    for name in ("boards.yaml", "keys.json", "gateway.toml", "releases/aa.zip"):
        assert (into / name).read_bytes() == (files.folder / name).read_bytes()
    again, _ = put_back(target, into, passphrase, code=3)
    assert again["error"] == "file_exists"
    assert not (into / ".restoring").exists()

    other = moved(files, into)
    other.config.write_text(files.text)
    given = len(bridge.sends)
    second = start(other)
    until(lambda: len(listener.frames()) >= 40)
    assert listener.frames() == [desk.name(1, piv) for piv in range(1, 41)], "each once, in order"
    assert second.said("error", name="restored")
    desk.until(lambda: second.said("alarm", name="restored", kid=""))
    for piv in (40, 42):  # a copy, and one that asks
        bridge.hears(desk.frame(1, piv, {3: piv, -5: True}))
    until(lambda: len(listener.frames()) >= 41)
    until(lambda: desk.counts(other)[1].get("answer_withheld"))
    assert desk.counts(other)[0]["0001"].stored == 41
    assert len(bridge.sends) == given
    assert second.stop() == 0


def listener_port(text):
    return text.split("127.0.0.1:")[1].split('"')[0]


def test_a_backup_of_a_working_daemon_is_of_one_moment(files, bridge, start, tmp_path, cheap):
    """Windows, counts and rows of each copy belong together, whatever came in meanwhile."""
    files.write()
    start(files)
    until(lambda: bridge.hellos)
    done = threading.Event()

    def hear():
        piv = 0
        while not done.is_set():
            piv += 1
            bridge.hears(desk.frame(piv % 4 + 1, piv // 4 + 1, {3: piv % 100}))
            if piv % 50 == 0:
                until(lambda: len(bridge.waiting) < 64)

    hearing = threading.Thread(target=hear)
    hearing.start()
    try:
        settings = config.load(files.config)
        counted = []
        for n in range(6):
            until(lambda n=n: bridge.seq > 400 * (n + 1))
            backup.write(settings, tmp_path / f"{n}.backup", PASSPHRASE)
            counted.append(bridge.seq)
    finally:
        done.set()
        hearing.join()
    for n, most in enumerate(counted):
        restore.read(tmp_path / f"{n}.backup", tmp_path / f"{n}", PASSPHRASE)
        found, _ = desk.counts(moved(files, tmp_path / f"{n}"))
        stored = sum(counts.stored for counts in found.values())
        assert 0 < stored <= most
        assert stored == rows_heard(tmp_path / f"{n}" / "store.db")


def rows_heard(path):
    """Frames in the rows themselves."""
    db = sqlite3.connect(path)
    try:
        return db.execute("SELECT count(*) FROM uplink").fetchone()[0]
    finally:
        db.close()


@pytest.fixture
def small(files, tmp_path, cheap):
    """(a gateway's files, its backup): made without a daemon."""
    files.write()
    Store(files.store).close()
    target = tmp_path / "small.backup"
    backup.write(config.load(files.config), target, PASSPHRASE)
    return files, target


def refused(name, call, *args):
    with pytest.raises(HostError) as error:
        call(*args)
    assert error.value.name == name
    return error.value


def test_whatever_is_wrong_leaves_nothing_behind(small, tmp_path):
    _, target = small
    into = tmp_path / "into"
    whole = target.read_bytes()
    for length in range(0, len(whole), 997):
        target.write_bytes(whole[:length])
        refused("bad_backup", restore.read, target, into, PASSPHRASE)
    for at in range(0, len(whole), 499):
        changed = bytearray(whole)
        changed[at] ^= 0x10
        target.write_bytes(changed)
        refused("bad_backup", restore.read, target, into, PASSPHRASE)
    target.write_bytes(whole)
    refused("bad_passphrase", restore.read, target, into, PASSPHRASE + "x")
    refused("disk_error", restore.read, tmp_path / "none", into, PASSPHRASE)
    assert not into.exists()
    restore.read(target, into, PASSPHRASE)


def test_a_folder_keeps_what_it_has(small, tmp_path):
    """Even the log of a store that is gone, which would be played into the one that is restored."""
    _, target = small
    for name in ("keys.json", "store.db-wal", "store.db.marks", "boards.yaml"):
        into = tmp_path / f"has {name}"
        into.mkdir()
        (into / name).write_text("mine")
        error = refused("file_exists", restore.read, target, into, PASSPHRASE)
        assert error.where == str(into / name)
        assert contents(into) == {name: b"mine"}


def test_a_restore_that_was_killed_is_begun_again(small, tmp_path):
    _, target = small
    into = tmp_path / "into"
    (into / ".restoring").mkdir(parents=True)
    (into / ".restoring/store.db").write_text("half")
    restore.read(target, into, PASSPHRASE)
    assert sorted(contents(into)) == ["boards.yaml", "gateway.toml", "keys.json", "store.db"]


def test_who_had_answered_nobody_is_restored_all_the_same(small, tmp_path):
    """Answers may have been sent after the copy was made, and frames been taken."""
    files, target = small
    into = tmp_path / "into"
    restore.read(target, into, PASSPHRASE)
    store = Store(into / "store.db")
    held = {bytes.fromhex(kid): desk.keys(int(kid, 16)) for kid in files.keys}
    kids = [Kid(keys, "bin") for keys in held.values()]
    assert Controller(store, into / "store.db.answers", kids).unsafe == set(held)
    assert store.within(windows.short, "looked") == windows.RESTORED
    store.close()


def test_a_store_that_was_damaged_already_is_not_put_back(small, tmp_path):
    files, _ = small
    page = bytearray(files.store.read_bytes())
    page[4096 * 2 : 4096 * 2 + 200] = b"\xff" * 200
    files.store.write_bytes(page)
    target = tmp_path / "bad.backup"
    backup.write(config.load(files.config), target, PASSPHRASE)
    refused("bad_store", restore.read, target, tmp_path / "into", PASSPHRASE)
    assert contents(tmp_path / "into") == {}


def test_a_backup_says_what_it_could_not_take(small, tmp_path):
    files, _ = small
    (files.folder / "keys.json").unlink()
    done = backup.write(config.load(files.config), tmp_path / "b", PASSPHRASE)
    assert done.missing == [str(files.folder / "keys.json")]
    files.store.unlink()
    refused("no_store", backup.write, config.load(files.config), tmp_path / "c", PASSPHRASE)
    assert not (tmp_path / "c").exists()


def test_files_of_other_folders_are_named(small, tmp_path):
    """gateway.toml may name them by an absolute path, where a restore does not write."""
    files, _ = small
    away = tmp_path / "etc"
    away.mkdir()
    shutil.move(files.folder / "boards.yaml", away / "boards.yaml")
    files.config.write_text(files.text.replace("[gateway]", f'[gateway]\ninventory = "{away}/boards.yaml"'))
    backup.write(config.load(files.config), tmp_path / "b", PASSPHRASE)
    done = restore.read(tmp_path / "b", tmp_path / "into", PASSPHRASE)
    now = tmp_path / "into/outside" / str(away / "boards.yaml")[1:]
    assert done.outside == {str(away / "boards.yaml"): str(now)}
    assert now.read_bytes() == (away / "boards.yaml").read_bytes()


def test_a_passphrase_is_long_and_secret(files, tmp_path, passphrase):
    files.write()
    passphrase.chmod(0o644)
    said, _ = back_up(files, tmp_path / "b", passphrase, code=3)
    assert said["error"] == "bad_keys"
    assert said["next"] == f"chmod 600 {passphrase}"
    passphrase.chmod(0o600)
    passphrase.write_text("short\n")
    said, _ = back_up(files, tmp_path / "b", passphrase, code=3)
    assert said["error"] == "bad_passphrase"
    assert not (tmp_path / "b").exists()


def test_a_full_disk_is_said_before_and_meanwhile(small, tmp_path, monkeypatch):
    files, _ = small
    settings = config.load(files.config)
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage)
        refused("disk_full", backup.write, settings, tmp_path / "b", PASSPHRASE)
    if os.path.exists("/dev/full"):

        def full(path, *how, real=os.open):
            return real("/dev/full", os.O_WRONLY) if path == tmp_path / "b" else real(path, *how)

        monkeypatch.setattr(os, "open", full)
        refused("disk_full", backup.write, settings, tmp_path / "b", PASSPHRASE)
    assert not (tmp_path / "b").exists()
    assert not list(files.folder.glob("*.backup"))

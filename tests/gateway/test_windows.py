"""A gateway does not begin without its windows, unless somebody says so."""

import os
import subprocess
import sys
from functools import partial

import gatedesk as desk
import pytest

from gateway import windows
from gateway.errors import HostError
from gateway.store import Store
from tools.twin.broker import Embedded

until = partial(desk.until, timeout_s=40)  # a busy machine is no fault of theirs


@pytest.fixture
def files(tmp_path, bridge):
    """With a broker of its own: what other tests' gateways told of their windows would be believed."""
    folder = tmp_path / "broker"
    folder.mkdir()
    broker = Embedded(folder)
    yield desk.Files(tmp_path, {"bridge": bridge.path}, broker.url).write()
    broker.close()


def short(path):
    store = Store(path)
    try:
        return store.within(windows.short, "looked")
    finally:
        store.close()


@pytest.mark.produces("no_windows")
@pytest.mark.parametrize("left", [None, b""])
def test_keys_without_a_store_are_no_gateway(files, start, left):
    if left is not None:
        files.store.write_bytes(left)
    daemon = start(files, begin=False)
    assert daemon.wait() == 3, "no restart helps"
    assert daemon.stderr.splitlines()[-3].startswith("no_windows: there is no store")
    assert "restore" in daemon.stderr
    assert "init" in daemon.stderr
    assert "--new-windows" in daemon.stderr
    assert not files.store.exists() or not files.store.stat().st_size


def test_whoever_says_that_the_store_is_lost_begins_without(files, bridge, start):
    daemon = start(files, "--new-windows", begin=False)
    until(lambda: bridge.hellos)
    bridge.hears(desk.frame(1, 7, {3: 1}))
    until(lambda: bridge.handled == [1])
    assert daemon.stop() == 0
    again = start(files, "--new-windows")  # somebody left it in the unit
    bridge.hears(desk.frame(1, 7, {3: 1}))
    until(lambda: bridge.handled[-1] == 2)
    assert again.stop() == 0
    assert "must not stay" in again.stderr
    assert desk.counts(files)[0]["0001"][:3] == (2, 1, 1), "and its windows are those of its store"


def command(*words):
    run = [sys.executable, "-P", "-m", "gateway", *map(str, words)]
    return subprocess.run(run, check=False, capture_output=True, text=True, timeout=30)


def test_the_first_day(files, bridge, start):
    assert "begins with `jourdain gateway init`" in command("check", "--config", files.config).stderr
    done = command("init", "--config", files.config)
    assert done.returncode == 0, done.stderr
    assert "warning: there is no store" not in command("check", "--config", files.config).stderr
    assert short(files.store) == windows.FIRST
    start(files, begin=False)
    until(lambda: bridge.hellos)
    done = command("init", "--config", files.config)
    assert done.returncode == 1
    assert done.stderr.startswith("file_exists: there is a store already")


def test_a_store_begins_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "store.db"

    def cut(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", cut)
        with pytest.raises(KeyboardInterrupt):
            windows.begin(path, short=windows.NEW)
    assert windows.missing(path)
    windows.begin(path, short=windows.NEW)
    assert short(path) == windows.NEW
    assert [p.name for p in tmp_path.iterdir()] == ["store.db"]
    store = Store(path)
    store.within(windows.whole, "whole")
    store.close()
    assert short(path) == ""


@pytest.mark.parametrize("end", windows.BESIDE)
def test_the_log_of_a_lost_store_is_not_played_into_a_new_one(tmp_path, end):
    left = tmp_path / f"store.db{end}"
    left.write_bytes(b"what was not taken over")
    with pytest.raises(HostError) as error:
        windows.begin(tmp_path / "store.db")
    assert error.value.name == "file_exists"
    assert error.value.where == str(left)
    assert left.read_bytes() == b"what was not taken over"

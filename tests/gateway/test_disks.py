"""Real disks: a full one and a card that has become read-only, mounted for the test. As root; elsewhere skipped, never in CI."""

import os
import subprocess
from pathlib import Path

import gatedesk as desk
import pytest


def _root():
    """Mounts need root. A machine of the project that tests everything has it."""
    if os.geteuid() and os.environ.get("CI") != "true":
        pytest.skip("only root can mount a small file system")


def _run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def tmpfs(tmp_path):
    """A disk of 3 MB."""
    _root()
    folder = tmp_path / "disk"
    folder.mkdir()
    done = _run("mount", "-t", "tmpfs", "-o", "size=3m", "jourdain", str(folder))
    assert done.returncode == 0, done.stderr
    yield folder
    _run("umount", "-l", str(folder))


class Card:
    """A card with ext4, as the kernel treats one that fails: it becomes read-only under whoever writes."""

    def __init__(self, folder):
        self.image, self.folder = folder / "card.img", folder / "card"
        self.folder.mkdir()
        with self.image.open("wb") as file:
            file.truncate(16 << 20)
        made = _run("mkfs.ext4", "-q", "-F", str(self.image))
        assert made.returncode == 0, made.stderr
        self.mount()

    def mount(self):
        done = _run("mount", "-o", "loop,errors=remount-ro", str(self.image), str(self.folder))
        assert done.returncode == 0, done.stderr
        device = _run("findmnt", "-n", "-o", "SOURCE", str(self.folder)).stdout.strip()
        self._trigger = Path("/sys/fs/ext4") / Path(device).name / "trigger_fs_error"

    def fail(self):
        """An error in the file system."""
        self._trigger.write_text("1")

    def mend(self):
        """What a person does: take it out, check it, put it in again."""
        self.close()
        _run("e2fsck", "-fy", str(self.image))
        self.mount()

    def close(self):
        done = _run("umount", str(self.folder))
        return done.returncode == 0


@pytest.fixture
def card(tmp_path):
    _root()
    found = Card(tmp_path)
    yield found
    if not found.close():
        _run("umount", "-l", str(found.folder))


def fill(path):
    """Take all the room there is, as somebody else's log does."""
    with path.open("ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue


def send(bridge, pivs):
    for piv in pivs:
        bridge.hears(desk.frame(1, piv, {3: piv % 100}))


def names(pivs):
    return {desk.name(1, piv) for piv in pivs}


@pytest.mark.produces("disk_full")
@pytest.mark.parametrize("away", [True, False], ids=["broker away", "broker there"])
def test_a_full_disk(tmpfs, bridge, proxy, listener, start, away):  # noqa: PLR0917 - fixtures
    """Nothing is acknowledged and nothing lost; what is on disk goes upstream; with room again it goes on by itself."""
    files = desk.Files(tmpfs, {"bridge": bridge.path}, proxy.url, gateway="commit_window_ms = 0").write()
    daemon = start(files)
    desk.until(lambda: daemon.said("broker", state="connected"))
    if away:
        proxy.cut()
        desk.until(lambda: daemon.said("broker", state="broker_lost"))
    send(bridge, range(1, 301))
    desk.until(lambda: not bridge.waiting)
    fill(tmpfs / "log-of-somebody")
    n = 300
    while not daemon.said("error", name="disk_full", over=False):
        send(bridge, range(n + 1, n + 61))
        n += 60
        desk.until(lambda: not bridge.waiting or daemon.said("error", name="disk_full", over=False))
        fill(tmpfs / "log-of-somebody")
        assert n < 30_000, "the disk is never full"
    handled = n - len(bridge.waiting)
    if away:
        proxy.mend()
    desk.until(lambda: names(range(1, handled + 1)) <= set(listener.frames()), 20, "what is on disk goes upstream")
    assert daemon.alive
    still = len(bridge.waiting)
    assert still
    (tmpfs / "log-of-somebody").unlink()
    desk.until(lambda: not bridge.waiting, 20, "it goes on by itself")
    desk.until(lambda: daemon.said("error", name="disk_full", over=True))
    desk.until(lambda: names(range(1, n + 1)) <= set(listener.frames()), 20)
    assert daemon.stop() == 0
    counts, counters = desk.counts(files)
    assert counters["disk_full"] >= 1
    assert counts["0001"][:4] == (n + counts["0001"][1], counts["0001"][1], n, n)
    assert "dropped_full" not in counters


@pytest.mark.produces("disk_readonly")
def test_a_card_that_has_become_read_only(card, tmp_path, bridge, proxy, listener, start):  # noqa: PLR0917 - fixtures
    """The daemon goes on sending what it has, acknowledges nothing, and after the card was seen to nothing is missing."""
    store = card.folder / "store.db"
    files = desk.Files(tmp_path, {"bridge": bridge.path}, proxy.url, gateway=f'store = "{store}"').write()
    files.store = store
    daemon = start(files)
    desk.until(lambda: daemon.said("broker", state="connected"))
    proxy.cut()
    desk.until(lambda: daemon.said("broker", state="broker_lost"))
    send(bridge, range(1, 201))
    desk.until(lambda: not bridge.waiting)
    card.fail()
    send(bridge, range(201, 241))
    desk.until(lambda: daemon.said("error", name="disk_readonly", over=False))
    proxy.mend()
    desk.until(lambda: names(range(1, 201)) <= set(listener.frames()), 20, "what is on the card goes upstream")
    assert len(bridge.waiting) == 40
    assert daemon.alive
    daemon.stop()
    card.mend()
    daemon = start(files)
    desk.until(lambda: not bridge.waiting, 20)
    desk.until(lambda: names(range(1, 241)) <= set(listener.frames()), 20)
    assert daemon.stop() == 0
    counts, _ = desk.counts(files)
    assert counts["0001"][2] == 240

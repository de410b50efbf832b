"""When a group is committed: at once, or with commit_window_ms after so long, or when somebody may not wait."""

import signal

import gatedesk as desk
import pytest

from gateway import config
from gateway.errors import FaultsError

LONG = "commit_window_ms = 60000"


@pytest.fixture
def begin(tmp_path, bridge, start):
    """Start a daemon with this line in `[gateway]`, and a bridge that has said hello."""

    def begun(gateway, controller=False):
        files = desk.Files(tmp_path, {"bridge": bridge.path}, gateway=gateway)
        daemon = start((files.controller() if controller else files).write())
        desk.until(lambda: bridge.hellos)
        return files, daemon

    return begun


def test_a_group_waits_for_company_until_its_window_ends(begin, bridge):
    begin("commit_window_ms = 1500")
    for piv in range(1, 6):
        bridge.hears(desk.frame(1, piv, {3: 5}))
    desk.until(lambda: bridge.handled)
    assert bridge.handled == [5], "one transaction, one acknowledgement"


def test_an_alarm_does_not_wait(begin, bridge):
    begin(LONG)
    bridge.hears(desk.frame(1, 1, {3: 5}))
    bridge.hears(desk.frame(2, 1, {3: 6}))
    bridge.hears(desk.frame(1, 2, {19: 1}))
    desk.until(lambda: bridge.handled)
    assert bridge.handled == [3]


def test_a_question_does_not_wait(begin, bridge):
    begin(LONG, controller=True)
    bridge.hears(desk.frame(1, 1, {3: 5}))
    bridge.hears(desk.frame(2, 1, {3: 6, -5: True}))
    desk.until(lambda: bridge.handled)
    assert bridge.handled == [2]
    assert [sent[4] for sent in bridge.sends] == [0], "the answer left before the acknowledgement"


def test_half_of_what_a_bridge_keeps_does_not_wait(begin, bridge):
    """It holds 64 frames that are not handled, and would drop the oldest of more."""
    begin(LONG)
    for piv in range(1, 33):
        bridge.hears(desk.frame(1, piv, {3: 5}))
    desk.until(lambda: bridge.handled)
    assert bridge.handled == [32]


def test_a_stop_does_not_wait(begin, bridge):
    files, daemon = begin(LONG)
    bridge.hears(desk.frame(1, 1, {3: 5}))
    bridge.hears(desk.frame(1, 1, {3: 5}))
    bridge.hears(b"foreign")
    desk.until(lambda: not bridge.unread)
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    desk.until(lambda: bridge.handled)
    assert bridge.handled == [3]
    counts, counters = desk.counts(files)
    assert counts["0001"][:3] == (2, 1, 1)
    assert counters == {"short": 1}


def test_what_was_not_committed_is_not_acknowledged_and_comes_again(begin, bridge, start):
    files, daemon = begin(LONG)
    bridge.hears(desk.frame(1, 1, {3: 5}))
    desk.until(lambda: not bridge.unread)
    daemon.kill()
    assert bridge.handled == []
    hellos = bridge.hellos
    files.text = files.text.replace(LONG, "")
    start(files.write())
    desk.until(lambda: bridge.hellos > hellos and bridge.handled == [1])
    assert desk.counts(files)[0]["0001"][:3] == (1, 0, 1)


def test_a_minute_is_the_longest_window(tmp_path):
    files = desk.Files(tmp_path, {}, gateway="commit_window_ms = 60001").write()
    with pytest.raises(FaultsError, match="bad_config"):
        config.load(files.config)

"""`jourdain gateway alarms`: what is raised, for people and for programs, and what somebody has seen to."""

import json

import gatedesk as desk
import pytest
from click.testing import CliRunner

from gateway import alarms, command
from gateway.alarms import CLEARED, COUNTING, RAISED, Row
from gateway.errors import HostError
from gateway.store import Store

SINCE_MS = 1_800_000_000_000
ROWS = [
    Row("auth", b"\0\2", SINCE_MS, SINCE_MS, 2, COUNTING),
    Row("old", b"\0\1", SINCE_MS, SINCE_MS + 500, 9, CLEARED),
    Row("restored", b"", 0, 0, 1, RAISED),
    Row("reuse", b"\0\1", SINCE_MS, SINCE_MS, 1, RAISED),
    Row("reuse", b"\0\2", SINCE_MS, SINCE_MS + 60_000, 3, RAISED),
]


@pytest.fixture
def say(tmp_path):
    """`say(*words)`: run the command over a store with these rows."""
    files = desk.Files(tmp_path, {"bridge": "/dev/c"}, "mqtt://x").write()
    store = Store(files.store)
    store.within(lambda db: alarms.write(db, ROWS), "alarms")
    store.close()

    def run(*words):
        done = CliRunner().invoke(command.gateway, ["alarms", "--config", str(files.config), *words])
        if isinstance(done.exception, HostError):
            raise done.exception
        return done.output

    run.files = files
    return run


def test_for_people(say):
    lines = say().splitlines()
    assert [line.split(":")[0].split(",")[0] for line in lines] == [
        "restored", "reuse bin-1 (key id 0001)", "reuse bin-2 (key id 0002)"
    ]  # fmt: skip
    assert "since before the clock was set" in lines[0]
    assert "3 times: " in lines[2]
    assert alarms.RULES["reuse"].text in lines[2]


def test_for_programs(say):
    said = json.loads(say("--json"))
    assert [(a["name"], a["kid"], a["board"], a["n"], a["state"]) for a in said["alarms"]] == [
        ("old", "0001", "bin-1", 9, "cleared"), ("restored", "", "", 1, "raised"),
        ("reuse", "0001", "bin-1", 1, "raised"), ("reuse", "0002", "bin-2", 3, "raised"),
    ]  # fmt: skip
    assert (said["alarms"][3]["since"], said["alarms"][3]["last"]) == (SINCE_MS / 1000, SINCE_MS / 1000 + 60)


def test_what_somebody_has_seen_to(say):
    assert say("--clear", "reuse/0001").startswith("1 cleared\nrestored")
    assert json.loads(say("--clear", "reuse", "--json"))["cleared"] == 1
    assert say("--clear", "restored") == "1 cleared\nno alarms\n"
    assert say("--clear", "restored") == "0 cleared\nno alarms\n"
    assert 'did you mean "reuse"?' in say("--clear", "reus")
    assert "hexadecimal" in say("--clear", "reuse/xyz")


@pytest.mark.produces("no_store")
def test_without_a_store(tmp_path):
    files = desk.Files(tmp_path, {"bridge": "/dev/c"}, "mqtt://x").write()
    done = CliRunner().invoke(command.gateway, ["alarms", "--config", str(files.config)])
    assert isinstance(done.exception, HostError)
    assert done.exception.name == "no_store"
    assert not files.store.exists()

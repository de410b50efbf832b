"""What each role may hold, where it may lie, and who may look at it."""

import json
import os

import gatedesk as desk
import pytest
from click.testing import CliRunner

from firmware.wire.seal import derive
from gateway import command, config, inventory, keys
from gateway.daemon import check
from gateway.errors import FaultsError, HostError

KIDS = [f"{n:04x}" for n in range(1, desk.NODES + 1)]
ALL = ("k_up", "iv", "k_hop", "k_dn")


def _write(folder, role, names):
    made = {kid: {name: getattr(desk.keys(int(kid, 16)), name).hex() for name in names} for kid in KIDS}
    path = folder / "keys.json"
    path.write_text(json.dumps({"role": role, "keys": made}, indent=1))
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("role", keys.MAY_HOLD)
def test_a_role_holds_what_it_may(tmp_path, role):
    may = keys.MAY_HOLD[role]
    path = _write(tmp_path, role, may)
    if role == "relay":
        path.unlink()
        assert keys.load(path, KIDS, role) == {}
        return
    held = keys.load(path, KIDS, role)
    assert sorted(kid.hex() for kid in held) == KIDS
    for name in ALL:
        assert getattr(held[b"\0\1"], name) == (getattr(desk.keys(1), name) if name in may else None)


@pytest.mark.produces("excess_keys")
@pytest.mark.parametrize(
    ("role", "names", "said"),
    [
        ("relay", ("k_hop",), "k_hop"),
        ("relay", (), "any key"),
        ("street", ("k_hop", "iv"), "iv"),
        ("street", ("k_up", "iv", "k_hop"), "k_up, iv"),
        ("reader", ALL, "k_dn"),
    ],
)
def test_a_role_that_holds_more_is_refused(tmp_path, role, names, said):
    with pytest.raises(FaultsError) as caught:
        keys.load(_write(tmp_path, "controller", names), KIDS, role)
    assert caught.value.name == "excess_keys"
    assert len(caught.value.faults) == desk.NODES
    assert caught.value.faults[0].what == f'key id "0001": a {role} may not hold {said}'
    assert caught.value.faults[0].line > 1
    assert role in caught.value.hint
    assert desk.keys(1).k_hop.hex() not in str(caught.value), "a key is never shown"


@pytest.mark.produces("bad_keys")
def test_a_role_that_holds_less_is_told_what(tmp_path):
    with pytest.raises(FaultsError, match="iv is missing"):
        keys.load(_write(tmp_path, "street", ("k_hop",)), KIDS, "reader")
    with pytest.raises(FaultsError, match="k_hop is missing"):
        keys.load(_write(tmp_path, "street", ()), KIDS, "street")


@pytest.mark.produces("test_key")
def test_a_street_gateway_knows_published_secrets_too(tmp_path):
    path = tmp_path / "keys.json"
    made = derive(keys.TEST_SECRETS[0], b"\0\1")
    path.write_text(json.dumps({"role": "street", "keys": {"0001": {"k_hop": made.k_hop.hex()}}}))
    path.chmod(0o600)
    with pytest.raises(FaultsError) as caught:
        keys.load(path, KIDS, "street")
    assert caught.value.name == "test_key"


# Credentials of systemd


@pytest.fixture
def credentials(tmp_path, monkeypatch):
    folder = tmp_path / "credentials"
    folder.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    return folder


def test_keys_and_passwords_from_the_credentials_of_systemd(tmp_path, credentials):
    """They are readable by the service's user alone, whatever their group bits say: these are the mask of an access list."""
    files = desk.Files(tmp_path, {"bridge": "/dev/c"}, "mqtt://x", 'password_file = "$CREDENTIALS_DIRECTORY/word"')
    files.text = files.text.replace("[gateway]", '[gateway]\nkeys = "$CREDENTIALS_DIRECTORY/keys.json"')
    files.write()
    os.rename(tmp_path / "keys.json", credentials / "keys.json")
    (credentials / "word").write_text("word\n")
    for name in ("keys.json", "word"):
        (credentials / name).chmod(0o440)
    found = config.load(files.config)
    assert found.path(found.gateway.keys) == credentials / "keys.json"
    done = CliRunner().invoke(command.gateway, ["check", "--config", str(files.config)], catch_exceptions=False)
    assert "4 keys: good" in done.output
    (credentials / "keys.json").chmod(0o444)
    with pytest.raises(HostError, match="mode 0444"):
        keys.load(credentials / "keys.json", KIDS, "reader")


@pytest.mark.produces("bad_keys")
def test_credentials_without_systemd_are_named(tmp_path, monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    files = desk.Files(tmp_path, {})
    files.text = files.text.replace("[gateway]", '[gateway]\nkeys = "$CREDENTIALS_DIRECTORY/keys.json"')
    files.write()
    found = config.load(files.config)
    with pytest.raises(HostError) as caught:
        keys.load(found.path(found.gateway.keys), KIDS, "reader")
    assert caught.value.where == str(tmp_path / "$CREDENTIALS_DIRECTORY/keys.json")


@pytest.mark.produces("bad_config")
def test_a_password_that_others_may_read(tmp_path):
    files = desk.Files(tmp_path, {"bridge": "/dev/c"}, "mqtt://x", 'password_file = "word"').write()
    (tmp_path / "word").write_text("word\n")
    (tmp_path / "word").chmod(0o644)
    fleet = inventory.load(tmp_path / "boards.yaml")
    with pytest.raises(FaultsError) as caught:
        check(config.load(files.config), fleet)
    (fault,) = caught.value.faults
    assert (fault.line, fault.what) == (9, f"{tmp_path}/word can be read by others (mode 0644)")
    assert fault.hint == f"chmod 600 {tmp_path}/word"
    (tmp_path / "word").chmod(0o400)
    check(config.load(files.config), fleet)


# What a role's configuration must say


@pytest.mark.produces("bad_config")
@pytest.mark.parametrize("role", ["relay", "street"])
def test_who_may_not_read_publishes_frames_alone(tmp_path, role):
    files = desk.Files(tmp_path, {"bridge": "/dev/c"}, "mqtt://x", 'format = "frames"')
    files.role = role
    files.text += '[[upstream]]\nurl = "mqtt://y"\n'
    files.write()
    fleet = inventory.load(tmp_path / "boards.yaml")
    with pytest.raises(FaultsError) as caught:
        check(config.load(files.config), fleet)
    (fault,) = caught.value.faults
    assert (fault.line, fault.hint) == (11, 'format = "frames"')
    assert f'a {role} cannot read: format "senml" needs the keys of a reader' in fault.what
    files.config.write_text(files.text.split("[[upstream]]")[0])
    with pytest.raises(FaultsError, match="needs an"):
        check(config.load(files.config), fleet)


def test_check_of_a_relay_asks_for_no_keys(tmp_path):
    files = desk.Files(tmp_path, {"bridge": "/dev/c"}, "mqtt://x", 'format = "frames"')
    files.role = "relay"
    files.write()
    (tmp_path / "keys.json").unlink()
    done = CliRunner().invoke(command.gateway, ["check", "--config", str(files.config)], catch_exceptions=False)
    assert "1 ports, 1 upstreams, 0 keys: good" in done.output
    assert "warning" not in done.output

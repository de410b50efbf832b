"""gateway.toml and keys.json: what is right, and every fault at once with its line."""

import asyncio
import json
import mmap
import time

import gatedesk as desk
import pytest
from click.testing import CliRunner

from firmware.wire.host.errors import HOST_ERRORS
from firmware.wire.seal import derive
from gateway import clock, command, config, inventory, keys
from gateway.daemon import airtime_of, check
from gateway.errors import Fault, FaultsError, HostError, did_you_mean

GOOD = """\
[gateway]
name = "poste"
keys = "secret/keys.json"

[[serial]]
port = "/dev/ttyACM0"
board = "bridge"

[[serial]]
port = "/dev/ttyUSB0"
board = "spare"

[[upstream]]
url = "mqtts://broker.example"

[[upstream]]
url = "mqtt://10.0.0.1:1884"
format = "frames"
"""
TWICE = """\
[[serial]]
port = "p"
board = "b"
[[serial]]
port = "p"
board = "c"
"""


@pytest.fixture
def read(tmp_path):
    def load(text):
        path = tmp_path / "gateway.toml"
        path.write_text(text)
        return config.load(path)

    return load


def faults(error):
    """(line, words) of each fault."""
    return [(fault.line, f"{fault.what} {fault.hint}") for fault in error.value.faults]


def test_a_good_file(read, tmp_path):
    found = read(GOOD)
    assert found.path(found.gateway.keys) == tmp_path / "secret/keys.json"
    assert [port.pace_ms for port in found.serial] == [0, 60]
    assert [(u.name, u.host, u.tcp_port, u.tls) for u in found.upstream] == [
        ("senml", "broker.example", 8883, True),
        ("frames", "10.0.0.1", 1884, False),
    ]
    assert config.SerialPort(port="/dev/ttyACM0", board="b", pause_ms=5).pace_ms == 5
    assert config.SerialPort(port="/dev/pts/7", board="b").pace_ms == 0
    (tmp_path / "by-id").symlink_to("/dev/ttyACM7")
    assert config.SerialPort(port=str(tmp_path / "by-id"), board="b").pace_ms == 0


@pytest.mark.produces("bad_config")
def test_every_fault_at_once(read):
    text = """\
[gateway]
nam = "poste"
stor = "x.db"

[[serial]]
port = "/dev/ttyACM0"
bord = "bridge"

[[serial]]
port = ""
board = "b ridge"
baud = "fast"

[[upstream]]
url = "http://x"
format = "senm"
prefix = "no spaces"

[[upstream]]
url = "mqtt://user:word@host"
batch_readings = 0

[upstreams]
[lines]
"""
    with pytest.raises(FaultsError) as caught:
        read(text)
    assert caught.value.name == "bad_config"
    found = faults(caught)
    want = [
        (1, '"gateway.name" is missing'), (2, 'unknown key "nam" did you mean "name"?'), (3, 'did you mean "store"?'),
        (5, '"serial.0.board" is missing'), (7, 'did you mean "board"?'), (10, "serial.1.port"), (11, "serial.1.board"),
        (12, "serial.1.baud"), (15, "must be mqtt://"), (16, 'did you mean "senml"?'), (17, "prefix"),
        (20, "takes no user, password or path"), (21, "batch_readings"), (23, 'did you mean "upstream"?'), (24, '"lines"'),
    ]  # fmt: skip
    assert [line for line, _ in found] == [line for line, _ in want]
    for (_, said), (_, part) in zip(found, want, strict=True):
        assert part in said
    assert f"gateway.toml:{found[0][0]}: " in str(caught.value)


@pytest.mark.produces("bad_config")
@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ('[gateway]\nname = "a\n', 2, "line 2"),
        ('[gateway]\nname = "a"\nname = "b"\n', 3, "overwrite"),
        (f'[gateway]\nname = "a"\n{TWICE}', 7, '"p" is named twice'),
        ('[gateway]\nname = "a"\n[[upstream]]\nurl = "mqtt://x"\n[[upstream]]\nurl = "mqtt://y"', 5, '"senml" is named twice'),
        ('[gateway]\nname = "a"\n[[upstream]]\nurl = "mqtt://x:99999"', 4, "no usable address"),
        ('[gateway]\nname = "a"\n[[upstream]]\nurl = "mqtt://x"\nca_file = "ca.pem"', 3, "write mqtts://"),
        ('[gateway]\nname = "a"\n[[upstream]]\nurl = "mqtts://x"\nkey_file = "a.key"', 3, "its certificate is missing"),
    ],
)
def test_a_fault_and_its_line(read, text, line, part):
    with pytest.raises(FaultsError) as caught:
        read(text)
    ((at, said),) = faults(caught)
    assert at == line
    assert part in said


@pytest.mark.produces("bad_config")
def test_no_file(tmp_path):
    with pytest.raises(HostError, match="bad_config") as caught:
        config.load(tmp_path / "none.toml")
    assert str(tmp_path / "none.toml") in str(caught.value)


@pytest.mark.produces("bad_config")
def test_what_the_inventory_does_not_know(tmp_path):
    files = desk.Files(tmp_path, {"brige": "/dev/a", "bin-1": "/dev/b", "bridge": "/dev/c"}).write()
    fleet = inventory.load(tmp_path / "boards.yaml")
    check(config.load(desk.Files(tmp_path, {"bridge": "/dev/c"}).write().config), fleet)
    text = files.text.replace('"poste"', '"post"')
    files.config.write_text(text)
    with pytest.raises(FaultsError) as caught:
        check(config.load(files.config), fleet)
    assert faults(caught) == [
        (2, 'the inventory has no gateway "post" did you mean "poste"?'),
        (6, 'the inventory has no board "brige" did you mean "bridge"?'),
        (9, '"bin-1" is no radio bridge and has no serial link '),
        (12, '"bridge" belongs to gateway "poste" '),
    ]
    files.config.write_text(files.text + '[[upstream]]\nurl = "mqtts://x"\nca_file = "ca.pem"\npassword_file = "word"\n')
    with pytest.raises(FaultsError) as caught:
        check(config.load(files.config), fleet)
    missing = [what for line, what in faults(caught) if line > 13]
    assert missing == [f"there is no file {tmp_path / name} " for name in ("ca.pem", "word")]
    # SF9: 12.25 symbols of preamble, 8, and 5 blocks of 5, each 4.096 ms
    assert airtime_of(fleet.boards["bridge"])(20) == round(45.25 * 4.096)
    assert airtime_of(None)(20) == 0


# keys.json


def test_good_keys(tmp_path):
    desk.Files(tmp_path, {}).write()
    held = keys.load(tmp_path / "keys.json", ["0001", "0002", "0003", "0004", "0005"], "reader")
    assert set(held) == {bytes((0, n)) for n in range(1, 5)}
    assert held[b"\0\1"].k_up == desk.keys(1).k_up
    assert held[b"\0\1"].k_dn is None


@pytest.mark.produces("bad_keys")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_keys_that_others_may_read(tmp_path, mode):
    desk.Files(tmp_path, {}).write(mode)
    with pytest.raises(HostError, match=f"bad_keys: .*mode {mode:04o}") as caught:
        keys.load(tmp_path / "keys.json", ["0001"], "reader")
    assert "chmod 600" in caught.value.hint


@pytest.mark.produces("bad_keys")
def test_every_fault_of_the_keys_at_once(tmp_path):
    files = desk.Files(tmp_path, {})
    files.keys["0001"]["k_up"] = "beef"
    files.keys["0002"]["k_upp"] = files.keys["0002"].pop("k_up")
    files.keys["0003"] = "secret"
    files.keys["0007"] = files.keys["0004"]
    files.keys["0004"] = {"k_up": 5, "iv": "zz"}
    files.write()
    with pytest.raises(FaultsError) as caught:
        keys.load(tmp_path / "keys.json", ["0001", "0002", "0003", "0004"], "reader")
    assert caught.value.name == "bad_keys"
    said = [what for _, what in faults(caught)]
    assert [what.split('"')[1] for what in said] == ["0001", "0002", "0002", "0003", "0004", "0004", "0007"]
    assert 'did you mean "k_up"?' in said[1]
    assert "belongs to no board" in said[-1]
    for value in ("beef", "secret", desk.keys(2).k_up.hex()):
        assert value not in str(caught.value), "a key is never shown"


@pytest.mark.produces("bad_keys")
@pytest.mark.parametrize("text", ["{", "[]", '{"role": "reader"}', '{"role": "thief", "keys": {}}', "\udc80"])
def test_keys_that_are_none(tmp_path, text):
    path = tmp_path / "keys.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    path.chmod(0o600)
    with pytest.raises(HostError) as caught:
        keys.load(path, [], "reader")
    assert caught.value.name == "bad_keys"
    path.unlink()
    with pytest.raises(HostError, match="bad_keys"):
        keys.load(path, [], "reader")


@pytest.mark.produces("test_key")
def test_no_published_secret_is_used(tmp_path):
    """Every secret of the known answers, whatever the key id."""
    vectors = (config.Path(keys.__file__).parent.parent / "firmware/wire/vectors/frame-v1.json").read_text()
    published = {part.split('"')[1] for part in vectors.split('"secret": ')[1:]}
    assert len(published) >= 3
    assert published <= {secret.hex() for secret in keys.TEST_SECRETS}
    for text in sorted(published):
        files = desk.Files(tmp_path, {})
        made = derive(bytes.fromhex(text), b"\0\3")
        files.keys["0003"] = {"k_up": made.k_up.hex(), "iv": made.iv.hex()}
        files.write()
        with pytest.raises(FaultsError) as caught:
            keys.load(tmp_path / "keys.json", [f"{n:04x}" for n in range(1, 5)], "reader")
        assert caught.value.name == "test_key"
        assert "0003" in str(caught.value)


# The command


def test_check_says_what_is_good_and_what_to_think_of(tmp_path):
    files = desk.Files(tmp_path, {"bridge": "/dev/c"}, "mqtt://x")
    del files.keys["0002"]
    files.write()
    done = CliRunner().invoke(command.gateway, ["check", "--config", str(files.config)])
    assert done.exit_code == 0, done.output
    assert "1 ports, 1 upstreams, 3 keys: good" in done.output
    assert "urn:dev:org:32473-, the number for documentation" in done.output
    assert "no key is held for key id 0002" in done.output
    done = CliRunner().invoke(command.gateway, ["check", "--config", str(tmp_path / "none")])
    assert isinstance(done.exception, HostError)


@pytest.mark.produces("bad_config", "bad_keys", "test_key")
@pytest.mark.parametrize("wrong", ["config", "keys"])
def test_the_daemon_does_not_start_on_wrong_files(tmp_path, start, wrong):
    files = desk.Files(tmp_path, {"bridge": "/dev/none"}).write(0o644 if wrong == "keys" else 0o600)
    if wrong == "config":
        files.config.write_text("[gateway]\nnam = 1\n")
    daemon = start(files)
    assert daemon.wait() == 3
    assert daemon.stderr.startswith("bad_config: 2 faults" if wrong == "config" else "bad_keys: the keys can be read by others")
    assert "Traceback" not in daemon.stderr


# Errors and clocks


def test_errors_say_what_where_and_what_next():
    assert str(HostError("no_port", "gone", "/dev/x", "plug it in")) == "no_port: gone\n  where: /dev/x\n  next:  plug it in"
    assert str(HostError("no_port", "gone")) == "no_port: gone"
    error = FaultsError("bad_config", [Fault("f", 9, "b"), Fault("f", 2, "a", "c?"), Fault("f", 0, "all")], "mend it")
    assert str(error) == "bad_config: 3 faults\n  f: all\n  f:2: a (c?)\n  f:9: b\n  next:  mend it"
    assert did_you_mean("prot", ["port", "board"]) == 'did you mean "port"?'
    assert did_you_mean("zzz", ["port", "board"]) == ""
    ours = {"bad_config", "bad_keys", "test_key", "no_port", "port_busy", "disk_full", "disk_error", "bad_store"}
    assert ours | {"broker_refused"} <= set(HOST_ERRORS)


def test_a_clock_in_a_file(tmp_path):
    path = tmp_path / "clock"
    path.write_bytes(bytes(16))
    with path.open("r+b") as file:
        buffer = mmap.mmap(file.fileno(), 16)
    clock.write_pair(buffer, 1_800_000_000.5, 12.25)
    town = clock.FileClock(path)
    assert (town.unix(), town.monotonic()) == (1_800_000_000.5, 12.25)

    async def sleep():
        task = asyncio.create_task(town.sleep(60))
        await asyncio.sleep(0.05)
        assert not task.done()
        clock.write_pair(buffer, 0.0, 72.25)
        start = time.monotonic()
        await task
        return time.monotonic() - start

    assert asyncio.run(sleep()) < 0.5


def test_the_clock_of_the_host():
    here = clock.SystemClock()
    assert abs(here.unix() - time.time()) < 1
    start = here.monotonic()
    asyncio.run(here.sleep(0.01))
    assert here.monotonic() - start >= 0.01
    assert clock.boot_id() == clock.boot_id()


def test_the_example_of_the_manual(tmp_path):
    """The gateway.toml that gateway/README.md shows is a right one."""
    manual = (config.Path(config.__file__).parent / "README.md").read_text(encoding="utf-8")
    example = manual.split("```toml\n", 1)[1].split("```", 1)[0]
    path = tmp_path / "gateway.toml"
    path.write_text(example)
    assert config.load(path).gateway.name
    keys_example = manual.split("```json\n", 1)[1].split("```", 1)[0]
    assert set(json.loads(keys_example)) == {"role", "keys"}

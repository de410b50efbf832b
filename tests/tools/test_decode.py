"""`jourdain decode` against every known answer of the protocol, for programs and for people."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from firmware.wire import cbor, seal
from gateway.errors import HostError
from tools.diag.decode import decode
from tools.diag.fields import fields

VECTORS = json.loads((Path(__file__).parents[2] / "firmware/wire/vectors/frame-v1.json").read_text())
GOOD = {v["name"].split()[0]: v for v in VECTORS["vectors"]}
SECRET = "000102030405060708090a0b0c0d0e0f"


def _run(*words, env=None):
    return CliRunner().invoke(decode, list(words), env=env)


@pytest.mark.parametrize("name", GOOD)
def test_good_frames(name):
    v = GOOD[name]
    done = _run(v["frame"], "--secret", v["secret"], "--json")
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert found == fields(v["frame"], v["secret"])
    header = found["header"]
    assert (header["kid"], header["piv"], header["hop"], header["direction"]) == (v["kid"], v["ctr"], v["hop"], v["direction"])
    assert header["bytes"] == v["len"]
    assert found["payload_hex"] == v["payload"]
    assert found["security"]["nonce"] == v["nonce"]
    keys = {field["key"] for field in found["payload"].values()}
    assert keys == set(cbor.loads(bytes.fromhex(v["payload"])))


def test_every_field_by_name_and_unit():
    found = fields(GOOD["U1"]["frame"], SECRET)
    assert found["payload"] == {
        "battery": {"key": 1, "value": 3587, "unit": "mV", "senml_value": 3.587, "senml_unit": "V"},
        "temperature": {"key": 2, "value": 214, "unit": "0.1 Cel", "senml_value": 21.4, "senml_unit": "Cel"},
        "fill": {"key": 3, "value": 73, "unit": "%", "senml_value": 0.73, "senml_unit": "/"},
        "distance": {"key": 4, "value": 412, "unit": "mm", "senml_value": 0.412, "senml_unit": "m"},
        "tilted": {"key": 5, "value": False, "unit": "", "senml_unit": "vb"},
    }
    assert found["readings"] == [{"piv": 1, "origin": "direct", "offset_s": 0, "values": found["payload"]}]


def test_control_keys():
    answer = fields(GOOD["D1"]["frame"], GOOD["D1"]["secret"])
    assert answer["payload"]["time"] == {"key": -1, "value": 1767225600, "unit": "s"}
    assert answer["payload"]["interval"] == {"key": -2, "value": 900, "unit": "s"}
    assert answer["readings"] == []
    assert fields(GOOD["U6"]["frame"], SECRET)["payload"]["answer"]["value"] is True


def test_batches_and_repeats_are_taken_apart():
    batch = fields(GOOD["U4"]["frame"], SECRET)
    assert [r["offset_s"] for r in batch["readings"]] == [6300, 5400, 4500, 3600, 2700, 1800, 900, 0]
    assert batch["readings"][0]["values"]["temperature"]["senml_value"] == 21.4
    assert batch["payload"]["temperature"]["value"] == [214, -1, -2, 0, -3, -1, 0, 2]
    repeat = fields(GOOD["U5"]["frame"], GOOD["U5"]["secret"])["readings"]
    assert [(r["piv"], r["origin"]) for r in repeat] == [(4660, "repeat"), (4661, "direct")]
    assert repeat[0]["values"]["occupied"]["value"] is True
    assert repeat[1]["values"]["state_time"]["value"] == 45


def test_unknown_keys_bytes_and_faults():
    keys = seal.derive(bytes.fromhex(SECRET), b"\0\1")
    payload = {-7: 1, 21: b"\1\2\3\4", 99: [b"\xff", {1: "x"}], -50: True}
    found = fields(seal.seal(keys, 7, cbor.dumps(payload)).hex(), SECRET)["payload"]
    assert found["error"]["meaning"] == "sensor_silent"
    assert found["token"]["value"] == "01020304"
    assert found["99"]["value"] == ["ff", {"1": "x"}]
    assert found["-50"]["value"] is True


@pytest.mark.produces("short", "long", "version", "format", "hop", "auth", "cbor", "value")
@pytest.mark.parametrize("v", VECTORS["negative"], ids=lambda v: v["name"].split()[0])
def test_bad_frames(v):
    want = v.get("error_without_registry", v["error"])
    secret = v.get("secret", SECRET)
    done = _run(v["frame"], "--secret", secret, "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["error"] == want
    assert done.stdout.startswith(f'{{"error": "{want}", "what": ')
    told = _run(v["frame"], "--secret", secret)
    assert told.exit_code == 1
    assert told.stdout == ""
    lines = told.stderr.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f"{want}: ")
    assert all(line.startswith("  ") for line in lines[1:])


def test_for_people():
    done = _run(GOOD["U1"]["frame"], "--secret", SECRET)
    assert done.exit_code == 0
    for words in ("key id 0001", "counter 1", "29 bytes", "fill", "73 %", "214 x 0.1 Cel", "= 21.4 Cel"):
        assert words in done.stdout
    told = _run(GOOD["U3"]["frame"], "--secret", GOOD["U3"]["secret"]).stdout
    assert "hop tag ff65cf35" in told
    told = _run(GOOD["U5"]["frame"], "--secret", GOOD["U5"]["secret"]).stdout
    assert "counter 4660, repeat, 900 s before the newest" in told


def test_the_secret_may_come_from_the_environment_and_is_not_shown():
    done = _run(GOOD["U1"]["frame"].upper(), "--json", env={"JOURDAIN_SECRET": SECRET})
    assert done.exit_code == 0
    assert SECRET not in done.output


BAD_ARGUMENTS = [("xyz", SECRET), ("810", SECRET), ("81", SECRET[2:]), ("81", "zz" * 16)]


@pytest.mark.parametrize(("frame", "secret"), BAD_ARGUMENTS)
def test_arguments_that_are_none(frame, secret):
    done = _run(frame, "--secret", secret)
    assert done.exit_code == 2
    assert "Error" in done.stderr
    assert secret not in done.stderr


@pytest.fixture
def kept(tmp_path):
    """A file of secrets that knows key id 0001 alone."""
    path = tmp_path / "secrets.json"
    path.write_text(json.dumps({"keys": {"0001": {"board": "bin-quai", "secret": SECRET}}}))
    path.chmod(0o600)
    return path


@pytest.mark.produces("bad_keys")
def test_the_secret_of_the_frames_key_id_is_taken_from_the_file(kept, monkeypatch):
    done = _run(GOOD["U1"]["frame"], "--secrets", str(kept), "--json")
    assert json.loads(done.stdout) == fields(GOOD["U1"]["frame"], SECRET)
    monkeypatch.chdir(kept.parent)
    assert _run(GOOD["U1"]["frame"]).exit_code == 0
    assert json.loads(_run("81", "--json").stdout)["error"] == "short"
    stranger = next(v for v in GOOD.values() if v["kid"] != "0001")
    done = _run(stranger["frame"])
    assert isinstance(done.exception, HostError)
    assert (done.exception.name, done.exception.where) == ("bad_keys", "secrets.json")
    assert stranger["kid"] in done.exception.what
    assert SECRET not in done.output + str(done.exception)

"""Every name of the table that the wire can say, produced by the way that a frame or an answer takes."""

import pytest
import wire_vectors

from firmware.wire import cbor, errors, frame, seal
from firmware.wire.downlink import accept_downlink
from firmware.wire.host import receiver
from firmware.wire.host.errors import DEVICE_ERRORS, FRAME_ERRORS, HOST_ERRORS
from firmware.wire.host.window import Window

KEYS = seal.derive(bytes(range(16)), b"\0\1")
BY_NAME = {v["name"].split()[0]: v for v in wire_vectors.ALL["negative"]}


def _gateway(*earlier):
    contexts = {KEYS.kid: receiver.Context(KEYS, Window())}
    for data in earlier:
        receiver.receive(contexts, data).commit()
    return contexts


def _frame(piv, **payload):
    return seal.seal(KEYS, piv, cbor.dumps({int(key[1:]): payload[key] for key in payload}))


def _refusal(contexts, data):
    with pytest.raises(errors.WireError) as caught:
        receiver.receive(contexts, data)
    assert str(caught.value) == caught.value.name
    return caught.value.name


@pytest.mark.produces("short", "long", "version", "format")
@pytest.mark.parametrize(
    ("vector", "name"),
    [("T5", "short"), ("T15", "short"), ("T16", "short"), ("T17", "long"), ("T6", "version"), ("T12", "version"),
     ("T7", "format"), ("T11", "format"), ("T13", "format"), ("T14", "format")],
)  # fmt: skip
def test_the_form(vector, name):
    data = bytes.fromhex(BY_NAME[vector]["frame"])
    assert _refusal(_gateway(), data) == name
    with pytest.raises(errors.WireError, match=name):
        frame.parse(data)


@pytest.mark.produces("kid", "dir", "auth", "duplicate", "reuse", "old")
def test_the_receivers_order():
    first = _frame(100, k3=73)
    assert _refusal({}, first) == "kid"
    assert _refusal(_gateway(), seal.seal(KEYS, 1, b"\xa0", down=True)) == "dir"
    assert _refusal(_gateway(), first[:-1] + bytes((first[-1] ^ 1,))) == "auth"
    assert _refusal(_gateway(first), first) == "duplicate"
    assert _refusal(_gateway(first), _frame(100, k3=74)) == "reuse"
    assert _refusal(_gateway(first), _frame(36, k3=74)) == "old"
    assert receiver.receive(_gateway(first), _frame(37, k3=74)).map == {3: 74}


@pytest.mark.produces("hop")
def test_a_hop_tag():
    tagged = seal.seal(KEYS, 1, b"\xa0", hop=True)
    assert _refusal(_gateway(), tagged[:-1] + bytes((tagged[-1] ^ 1,))) == "hop"


@pytest.mark.produces("cbor", "value")
@pytest.mark.parametrize(("payload", "name"), [(b"\xa1\x03\x18\x0a", "cbor"), (b"\xa1\x03\x18\x8c", "value")])
def test_authentic_and_not_understood(payload, name):
    assert receiver.receive(_gateway(), seal.seal(KEYS, 1, payload)).error == name


@pytest.mark.produces("stale")
def test_a_late_answer():
    with pytest.raises(errors.WireError, match="stale"):
        accept_downlink(KEYS, seal.seal(KEYS, 1, b"\xa0", down=True), 2)


def test_the_table():
    names = [*FRAME_ERRORS, *DEVICE_ERRORS.values(), *HOST_ERRORS]
    assert len(names) == len(set(names))
    assert all(name == name.lower() and " " not in name for name in names)
    assert all(0 < code < 256 for code in DEVICE_ERRORS)


def test_a_device_error_has_its_code():
    for code, name in DEVICE_ERRORS.items():
        error = errors.DeviceError(name, "detail")
        assert (error.name, error.code, error.detail) == (name, code, "detail")
    with pytest.raises(ValueError):
        errors.DeviceError("no such name")

"""What is in a frame, opened with one secret: every field of header and payload by name and unit."""

from typing import Any

from firmware.wire.cbor import loads
from firmware.wire.frame import HOP_LEN, Frame, parse
from firmware.wire.host.errors import DEVICE_ERRORS
from firmware.wire.host.payload import entries
from firmware.wire.host.rows import BY_KEY
from firmware.wire.quantities import ERROR
from firmware.wire.seal import derive, unseal

SECRET_LEN = 16


def fields(frame_hex: str, secret_hex: str) -> dict[str, Any]:
    """Open a frame and name its fields.

    Returns {"header", "security", "payload": {name: field}, "readings": [...]}, all of it fit for JSON; a field is
    {"key", "value", "unit"} as on the wire, and {"senml_value", "senml_unit"} where there is such a unit. Raises WireError
    with the name of PROTOCOL, as a decoder without a registry sees it; ValueError when an argument is no hexadecimal text.
    """
    return _decode(bytes.fromhex(frame_hex), _secret(secret_hex))


def _secret(text: str) -> bytes:
    secret = bytes.fromhex(text)
    if len(secret) != SECRET_LEN:
        raise ValueError(f"a secret has {2 * SECRET_LEN} hexadecimal digits, not {len(text)}")
    return secret


def _decode(data: bytes, secret: bytes) -> dict[str, Any]:
    frame = parse(data)
    keys = derive(secret, frame.kid)
    payload = unseal(keys, frame)
    found = loads(payload)
    return {
        "header": _header(frame),
        "security": {
            "nonce": keys.nonce(frame.piv).hex(),
            "tag": frame.tag.hex(),
            "hop_tag": data[-HOP_LEN:].hex() if frame.hop else None,
        },
        "payload_hex": payload.hex(),
        "payload": {name_of(key): field_of(key, value) for key, value in found.items()},
        "readings": [
            {
                "piv": piv, "origin": origin, "offset_s": offset_s,
                "values": {name_of(key): field_of(key, value) for key, value in values.items()},
            }
            for piv, origin, offset_s, values in entries(found, frame.piv)
            if not frame.down
        ],
    }


def _header(frame: Frame) -> dict[str, Any]:
    return {
        "version": 1,
        "direction": "down" if frame.down else "up",
        "hop": frame.hop,
        "kid": frame.kid.hex(),
        "piv": frame.piv,
        "header_bytes": frame.header_len,
        "bytes": len(frame.buf),
    }


def name_of(key: int) -> str:
    """The name of a payload's key, itself where there is none."""
    row = BY_KEY.get(key)
    return row[1] if row else str(key)


def field_of(key: int, value: Any) -> dict[str, Any]:
    """One field as `fields` has it."""
    row = BY_KEY.get(key)
    field = {"key": key, "value": plain(value), "unit": row[5] if row else ""}
    if row and row[6]:
        if type(value) is int:
            field["senml_value"] = value / row[7] if row[7] != 1 else value
        field["senml_unit"] = row[6]
    if key == ERROR and type(value) is int:
        field["meaning"] = DEVICE_ERRORS.get(value, "unknown")
    return field


def plain(value: Any) -> Any:
    """A CBOR value as JSON can say it: bytes as hexadecimal text, keys of maps as text."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    return value

"""SenML packs (RFC 8428, CBOR labels of section 6) as readings. Tolerates what other publishers put in, and invents nothing."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import cbor2

BASE_NAME, BASE_TIME, BASE_UNIT, BASE_VALUE, BASE_SUM = -2, -3, -4, -5, -6
NAME, UNIT, VALUE, TEXT, BOOLEAN, SUM, TIME, DATA = 0, 1, 2, 3, 4, 5, 6, 8
MAX_BYTES = 1_000_000
LINK = ("rssi", "snr")


class Value(NamedTuple):
    """A quantity: a number, a text, a boolean or bytes, and its SenML unit, which may be empty."""

    value: float | int | str | bool | bytes
    unit: str


class Reading(NamedTuple):
    """What one frame said: who, when (unix seconds; None when the pack does not say), which frame, and values by name."""

    site: str
    device: str
    unix_s: float | None
    kid: str
    piv: int | None
    values: dict[str, Value]


class PackError(ValueError):
    """A payload that is no SenML pack."""


def read(site: str, payload: bytes) -> list[Reading]:
    """The readings of a pack that came on a topic of `site`. Raises PackError."""
    if len(payload) > MAX_BYTES:
        raise PackError(f"longer than {MAX_BYTES} bytes")
    try:
        pack = cbor2.loads(payload)
    except (cbor2.CBORDecodeError, ValueError, TypeError, RecursionError, MemoryError, OverflowError) as error:
        raise PackError(f"no CBOR: {error}") from None
    if not isinstance(pack, list) or not all(isinstance(record, dict) for record in pack):
        raise PackError("no array of maps")
    try:
        return list(_readings(site, pack))
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise PackError(str(error)) from None


def _readings(site: str, pack: list[dict[Any, Any]]) -> Iterator[Reading]:
    base: dict[int, Any] = {}
    values: dict[str, Value] = {}
    known: tuple[str, float | None] | None = None
    for record in pack:
        _understand(record)
        base |= {label: record[label] for label in (BASE_NAME, BASE_TIME, BASE_UNIT, BASE_VALUE, BASE_SUM) if label in record}
        device, name = _named(site, base, record)
        here = (device, _time(base, record))
        if known is not None and here != known and values:
            yield Reading(site, *known, "", None, values)
            values = {}
        known = here
        value = _value(base, record)
        if value is None:
            continue
        if name == "frame" and isinstance(value.value, bytes) and len(value.value) >= 6:
            yield Reading(site, *here, value.value[:-4].hex(), int.from_bytes(value.value[-4:], "big"), values)
            values, known = {}, None
        else:
            values[name] = value
    if values and known is not None:
        yield Reading(site, *known, "", None, values)


def _understand(record: dict[Any, Any]) -> None:
    """A label that ends with `_` must be understood, and we know none (RFC 8428, section 4.4)."""
    for label in record:
        if isinstance(label, str) and label.endswith("_"):
            raise PackError(f"the label {label!r} must be understood and is not")


def _named(site: str, base: dict[int, Any], record: dict[Any, Any]) -> tuple[str, str]:
    """(device, quantity): `urn:dev:org:32473-port-luce-bin-quai_` + `fill`."""
    before, name = base.get(BASE_NAME, ""), record.get(NAME, "")
    if not isinstance(before, str) or not isinstance(name, str) or not before + name:
        raise PackError("a record without a name")
    whole = before + name
    # Names of sites and boards have no underscore, those of quantities may: state_time.
    device, cut, quantity = whole.partition("_")
    if not cut:
        device, quantity = "", whole
    _prefix, found, short = device.partition(f"-{site}-")
    return short if found else device, quantity


def _time(base: dict[int, Any], record: dict[Any, Any]) -> float | None:
    if BASE_TIME not in base and TIME not in record:
        return None
    return _number(base.get(BASE_TIME, 0)) + _number(record.get(TIME, 0))


def _value(base: dict[int, Any], record: dict[Any, Any]) -> Value | None:
    unit = record.get(UNIT, base.get(BASE_UNIT, ""))
    if not isinstance(unit, str):
        raise PackError("a unit that is no text")
    if VALUE in record:
        value = _number(record[VALUE])
        return Value(value + _number(base[BASE_VALUE]) if BASE_VALUE in base else value, unit)
    for label, kind in ((BOOLEAN, bool), (TEXT, str), (DATA, bytes)):
        if label in record:
            if not isinstance(record[label], kind):
                raise PackError(f"the value under label {label} has a wrong type")
            return Value(record[label], unit)
    return None


def _number(value: Any) -> float | int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PackError(f"{value!r} is no number")
    return value

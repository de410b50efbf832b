"""The self-test of a board: it measures, and here is judged, by limits that stand in the drivers' presets and below."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from firmware.wire.host.errors import DEVICE_ERRORS
from gateway.presets import Driver, Reads

# Inclusive limits of what is no sensor; None: there is no highest.
BATTERY_MV = (2800, 6000)  # below it a radio's transmission browns a board out; above it no battery of ours goes
FLASH_FREE = (65_536, None)  # bytes: a queue of 64 readings takes a block of 4 kB for some of them
COUNTERS_USED = (1, (1 << 20) - 1)  # from 2^20 on the board asks for a new key


class Check(NamedTuple):
    """One line of a self-test. `value`: as measured, None where an error came in its place; `limits`: inclusive, or None."""

    name: str
    passed: bool
    value: Any
    unit: str
    limits: tuple[int, int | None] | None
    error: str


def judge(found: Mapping[str, Any], names: Mapping[str, str], drivers: Mapping[str, Driver]) -> list[Check]:
    """The checks of what op `selftest` returned. `names`: the driver of each sensor; `drivers`: the presets."""
    checks = [_reported("radio", found["radio"])] if "radio" in found else []
    if "service" in found:
        checks.append(_reported("service", found["service"]))
    values, faults = found.get("sensors", {}), found.get("errors", {})
    for part in sorted({*values, *faults}):
        driver = drivers.get(names.get(part, ""))
        name = f"sensor {part}" + (f" ({driver.name})" if driver else "")
        if part in faults:
            checks.append(_reported(name, faults[part]))
        else:
            checks.append(_sensor(name, values[part], driver.reads if driver else None))
    if "battery_error" in found:
        checks.append(_reported("battery", found["battery_error"]))
    checks += [
        Check(name, limits[0] <= found[key] <= (limits[1] or found[key]), found[key], unit, limits, "")
        for name, key, unit, limits in _PLAIN
        if found.get(key) is not None
    ]
    return checks


_PLAIN: tuple[tuple[str, str, str, tuple[int, int | None]], ...] = (
    ("battery", "battery", "mV", BATTERY_MV),
    ("flash free", "flash_free", "B", FLASH_FREE),
    ("counter", "piv", "", COUNTERS_USED),
)


def _reported(name: str, code: int) -> Check:
    return Check(name, code == 0, None, "", None, DEVICE_ERRORS.get(code, str(code)) if code else "")


def _sensor(name: str, value: Any, reads: Reads | None) -> Check:
    if reads is None:
        return Check(name, value is not None, value, "", None, "")
    values = list(_judged(value, reads))
    passed = bool(values) and all(reads.lo <= each <= reads.hi for each in values)
    shown = values[0] if reads.of == "length" and values else value
    return Check(name, passed, shown, reads.unit, (reads.lo, reads.hi), "")


def _judged(value: Any, reads: Reads) -> Iterator[int]:
    values = value if isinstance(value, list) else [value]
    if not all(type(each) is int for each in values):
        return
    if reads.of == "length":
        yield round(math.hypot(*values))
    else:
        yield from values

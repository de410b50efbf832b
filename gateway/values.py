"""Values as people and SenML read them: primary units, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firmware.wire.host.rows import BY_KEY

# Per key: name, divisor to the SenML unit.
_SCALES: dict[int, tuple[str, int]] = {key: (row[1], row[7]) for key, row in BY_KEY.items() if key > 0}


def primary(value: Any, divisor: int) -> Any:
    """A wire value in its SenML unit: `value / divisor`, the double nearest to the exact decimal; integers stay exact."""
    return value if divisor == 1 or type(value) is not int else value / divisor


def named(values: Mapping[int, Any]) -> dict[str, Any]:
    """{key: wire value} as {name: value in its SenML unit}; bytes as hex, unknown keys by their number."""
    found = {}
    for key, value in values.items():
        name, divisor = _SCALES.get(key, (str(key), 1))
        found[name] = value.hex() if isinstance(value, bytes) else primary(value, divisor)
    return found

"""Usual payloads in one pass over their bytes: what `firmware.wire.host.payload.entries` says, five times quicker.

Nothing is refused here. Whatever is not a canonical map of known keys from -24 to 23 with integers, booleans and batches of
them, all within range, goes to the reference, which alone names errors. A test holds the two against each other.
"""

from __future__ import annotations

from typing import Any

import cbor2

from firmware.wire.cbor import loads
from firmware.wire.host.payload import DIRECT, REPEAT, entries
from firmware.wire.host.rows import BOOL, CONTROL_ROWS, INT, ROWS, UINT
from firmware.wire.quantities import AGE, BATCH_MAX, BATCH_MIN, REPEATS, SCALARS, STEP

Value = int | bool
Entries = list[tuple[int, str, int, dict[int, Value]]]


# Kinds of a key: one number; a number or a batch; a boolean (or a batch of them, which the reference reads); unusual.
_ONE, _MANY, _BOOL, _ODD = range(4)

Row = tuple[int, int, int, int, bool]  # key, lowest, highest, kind, apart from the values: control or age


def _rows() -> tuple[Row, ...]:
    """The rows by the one byte that encodes their key."""
    table: list[Row] = [(0, 0, 0, _ODD, False)] * 256
    for key, _, kind, lowest, highest, *_ in (*ROWS, *CONTROL_ROWS):
        if kind in (UINT, INT, BOOL):
            number = _MANY if key > 0 and key not in SCALARS else _ONE
            apart = key < 0 or key == AGE
            table[key if key >= 0 else 31 - key] = (key, lowest, highest, _BOOL if kind == BOOL else number, apart)
    return tuple(table)


_ROWS = _rows()


class _UnusualError(Exception):
    """The reference has to judge."""


def parse(payload: bytes, piv: int) -> tuple[dict[int, Any], Entries]:
    """What a payload under counter `piv` says: at least control keys and the age, and all its entries, oldest first.

    WireError cbor or value, as the reference.
    """
    try:
        values, control, batches = _decode(tuple(payload))
        if batches:
            return control, _unpack(piv, values, control, batches)
        if REPEATS in control:
            raise _UnusualError
        return control, [(piv, DIRECT, 0, values)]
    except (_UnusualError, IndexError):
        known = loads(payload)
        return known, entries(known, piv)


def said(payload: bytes) -> dict[int, Any] | None:
    """The values of a payload that was judged before, where it is one reading without control keys; else None."""
    values: dict[int, Any] = cbor2.loads(payload)
    for key, value in values.items():
        if key < 0 or key == AGE or type(value) is list:
            return None
    return values


def _decode(payload: tuple[int, ...]) -> tuple[dict[int, Value], dict[int, Value], dict[int, list[int]]]:  # noqa: PLR0912 - one pass
    """Values of the newest entry, control values, batches (true values). IndexError: cut short."""
    values: dict[int, Value] = {}
    control: dict[int, Value] = {}
    batches: dict[int, list[int]] = {}
    pos, before = 1, -1
    count = payload[0] - 0xA0
    if not 0 <= count < 24:
        raise _UnusualError
    value: Value
    for _ in range(count):
        head = payload[pos]
        # Bytewise order of keys, which are one byte each: also, no key twice.
        if head <= before:
            raise _UnusualError
        before = head
        key, lowest, highest, kind, apart = _ROWS[head]
        head = payload[pos + 1]
        pos += 2
        if kind == _BOOL:
            if head not in (0xF4, 0xF5):
                raise _UnusualError
            value = head == 0xF5
        elif kind == _ODD:
            raise _UnusualError
        elif kind == _MANY and 0x80 <= head < 0x98:
            batch = batches[key] = []
            value = 0
            for _ in range(head - 0x80):
                head = payload[pos]
                pos += 1
                if head < 24:
                    value += head
                elif 0x20 <= head < 0x38:
                    value += 31 - head
                else:
                    number, pos = _number(payload, pos, head)
                    value += number
                if not lowest <= value <= highest:
                    raise _UnusualError
                batch.append(value)
        else:
            value = head
            if head > 23:
                value, pos = _number(payload, pos, head)
            if not lowest <= value <= highest:
                raise _UnusualError
        if apart:
            control[key] = value
        else:
            values[key] = value
    if pos != len(payload):
        raise _UnusualError
    return values, control, batches


def _number(payload: tuple[int, ...], pos: int, head: int) -> tuple[int, int]:
    """An integer from 24 on or below zero, in its shortest form, its argument at `pos`; and the position behind it."""
    if head == 0x18:
        number, least, end = payload[pos], 24, pos + 1
    elif head == 0x19:
        number, least, end = payload[pos] << 8 | payload[pos + 1], 1 << 8, pos + 2
    elif 0x20 <= head < 0x38:
        return 31 - head, pos
    elif head == 0x38:
        number, least, end = payload[pos], 24, pos + 1
    elif head == 0x39:
        number, least, end = payload[pos] << 8 | payload[pos + 1], 1 << 8, pos + 2
    elif head in (0x1A, 0x3A):
        number, least, end = int.from_bytes(payload[pos : pos + 4], "big"), 1 << 16, pos + 4
    else:
        raise _UnusualError
    if number < least or end > len(payload):
        raise _UnusualError
    return (-1 - number if head & 0x20 else number), end


def _unpack(piv: int, values: dict[int, Value], control: dict[int, Value], batches: dict[int, list[int]]) -> Entries:
    """A batch taken apart, oldest first."""
    n = len(next(iter(batches.values())))
    for batch in batches.values():
        if len(batch) != n:
            raise _UnusualError
    repeats = control.get(REPEATS, 0)
    if not BATCH_MIN <= n <= BATCH_MAX or STEP not in control or repeats >= n or repeats >= piv:
        raise _UnusualError
    step_s = control[STEP]
    found: Entries = []
    for i in range(n - 1):
        before = repeats - i
        offset_s = (n - 1 - i) * step_s
        own = {key: batch[i] for key, batch in batches.items()}
        found.append((piv - before, REPEAT, offset_s, own) if before > 0 else (piv, DIRECT, offset_s, own))
    found.append((piv, DIRECT, 0, values))
    return found

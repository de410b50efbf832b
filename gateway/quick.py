"""Usual payloads in one pass over their bytes: what `firmware.wire.host.receiver.understand` says, five times quicker.

Nothing is refused here. Whatever is not a canonical map of known keys from -24 to 23 with integers, booleans and batches of
them, all within range, goes to the reference, which alone names errors. A test holds the two against each other.
"""

from __future__ import annotations

from typing import NamedTuple

from firmware.wire.host.payload import DIRECT, REPEAT
from firmware.wire.host.receiver import Accepted, understand
from firmware.wire.quantities import AGE, BATCH_MAX, BATCH_MIN, BOOL, CONTROL_ROWS, INT, REPEATS, ROWS, SCALARS, STEP, UINT

Value = int | bool
Entries = list[tuple[int, str, int, dict[int, Value]]]


class _Row(NamedTuple):
    key: int
    lowest: int
    highest: int
    boolean: bool
    many: bool  # may be a batch
    value: bool  # belongs to a reading; else control, or the age


def _rows() -> list[_Row | None]:
    """The rows by the one byte that encodes their key."""
    table: list[_Row | None] = [None] * 256
    for key, _, kind, lowest, highest, *_ in (*ROWS, *CONTROL_ROWS):
        if kind in (UINT, INT, BOOL):
            many = key > 0 and key not in SCALARS
            row = _Row(key, lowest, highest, kind == BOOL, many, key > 0 and key != AGE)
            table[key if key >= 0 else 31 - key] = row
    return table


_ROWS = _rows()


class _UnusualError(Exception):
    """The reference has to judge."""


def read(accepted: Accepted) -> None:
    """Set `entries`, or `error`, of a frame that `authenticate` let pass; `map` holds at least control keys and the age."""
    try:
        values, control, batches = _decode(accepted.payload)
        if batches:
            entries = _unpack(accepted, values, control, batches)
        elif REPEATS in control:
            raise _UnusualError
        else:
            entries = [(accepted.frame.piv, DIRECT, 0, values)]
    except (_UnusualError, IndexError):
        understand(accepted)
        return
    accepted.map = control
    accepted.entries = entries


def _decode(payload: bytes) -> tuple[dict[int, Value], dict[int, Value], dict[int, list[int]]]:
    """Values of the newest entry, control values, batches (true values). IndexError: cut short."""
    values: dict[int, Value] = {}
    control: dict[int, Value] = {}
    batches: dict[int, list[int]] = {}
    count = payload[0] - 0xA0
    if not 0 <= count < 24:
        raise _UnusualError
    pos, before = 1, -1
    for _ in range(count):
        head = payload[pos]
        row = _ROWS[head]
        # Bytewise order of keys, which are one byte each: also, no key twice.
        if row is None or head <= before:
            raise _UnusualError
        before = head
        key, lowest, highest, boolean, many, is_value = row
        head = payload[pos + 1]
        pos += 2
        value: Value
        if boolean:
            if head not in (0xF4, 0xF5):
                raise _UnusualError
            value = head == 0xF5
        elif many and 0x80 <= head < 0x98:
            batches[key], pos = _batch(payload, pos, head - 0x80, lowest, highest)
            value = batches[key][-1]
        else:
            value = head
            if head > 23:
                value, pos = _number(payload, pos, head)
            if not lowest <= value <= highest:
                raise _UnusualError
        if is_value:
            values[key] = value
        else:
            control[key] = value
    if pos != len(payload):
        raise _UnusualError
    return values, control, batches


def _batch(payload: bytes, pos: int, n: int, lowest: int, highest: int) -> tuple[list[int], int]:
    """First value and differences, summed; and the position behind them."""
    if not BATCH_MIN <= n <= BATCH_MAX:
        raise _UnusualError
    batch = []
    total = 0
    for _ in range(n):
        head = payload[pos]
        pos += 1
        if head < 24:
            total += head
        elif 0x20 <= head < 0x38:
            total += 31 - head
        else:
            number, pos = _number(payload, pos, head)
            total += number
        if not lowest <= total <= highest:
            raise _UnusualError
        batch.append(total)
    return batch, pos


def _number(payload: bytes, pos: int, head: int) -> tuple[int, int]:
    """An integer from 24 on or below zero, in its shortest form, its argument at `pos`; and the position behind it."""
    if 0x20 <= head < 0x38:
        return 31 - head, pos
    kind = head & 0xDF  # without the bit of negative integers
    if kind == 0x18:
        number, least, end = payload[pos], 24, pos + 1
    elif kind == 0x19:
        number, least, end = payload[pos] << 8 | payload[pos + 1], 1 << 8, pos + 2
    elif kind == 0x1A:
        number, least, end = int.from_bytes(payload[pos : pos + 4], "big"), 1 << 16, pos + 4
    else:
        raise _UnusualError
    if number < least or end > len(payload):
        raise _UnusualError
    return (-1 - number if head & 0x20 else number), end


def _unpack(accepted: Accepted, values: dict[int, Value], control: dict[int, Value], batches: dict[int, list[int]]) -> Entries:
    """A batch taken apart, oldest first, without repeats of frames that were seen themselves."""
    sizes = set(map(len, batches.values()))
    n = sizes.pop()
    repeats = control.get(REPEATS, 0)
    piv = accepted.frame.piv
    if sizes or STEP not in control or repeats >= n or repeats >= piv:
        raise _UnusualError
    step_s = control[STEP]
    seen = accepted.context.window.seen
    entries: Entries = []
    for i in range(n - 1):
        before = repeats - i
        if before <= 0:
            entries.append((piv, DIRECT, (n - 1 - i) * step_s, {key: batch[i] for key, batch in batches.items()}))
        elif not seen(piv - before):
            entries.append((piv - before, REPEAT, (n - 1 - i) * step_s, {key: batch[i] for key, batch in batches.items()}))
    entries.append((piv, DIRECT, 0, values))
    return entries

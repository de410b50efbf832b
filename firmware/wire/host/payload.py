"""From a decoded payload to readings: batches and repeats taken apart (firmware/wire/README.md, section 2)."""

from firmware.wire.errors import WireError
from firmware.wire.quantities import AGE, BATCH_MAX, BATCH_MIN, REPEATS, SCALARS, STEP

from .rows import ANY, BOOL, BY_KEY, CONTROL_ROWS, check

DIRECT = "direct"
REPEAT = "repeat"

# Neither in an array nor among a reading's values.
APART = {row[0] for row in CONTROL_ROWS} | {AGE}


def _expand(row, values):
    # The true values of a batch [first, delta, ...]; of booleans, the booleans.
    if row[0] in APART or row[0] in SCALARS:
        raise WireError("value")
    out: list = []
    for value in values:
        delta = out and row[2] is not BOOL and type(value) is int
        out.append(out[-1] + value if delta else value)
        check(row, out[-1])
    return out


def validate(payload):
    """Check a decoded payload (dict) against the rows and the rules of batch and repeats. WireError("value").

    Returns ({key: expanded values} of its arrays, number of entries). Unknown keys are not judged.
    """
    batches: dict = {}
    n = 1
    for key, value in payload.items():
        row = BY_KEY.get(key)
        if row is None:
            continue
        if type(value) is list and row[2] is not ANY:
            if not batches:
                n = len(value)
                if not BATCH_MIN <= n <= BATCH_MAX or STEP not in payload:
                    raise WireError("value")
            elif len(value) != n:
                raise WireError("value")
            batches[key] = _expand(row, value)
        else:
            check(row, value)
    if payload.get(REPEATS, 0) >= n:
        raise WireError("value")
    return batches, n


def entries(payload, piv):
    """Return the readings of a frame, oldest first: a list of (piv, "direct" | "repeat", offset_s, {key: value}).

    offset_s: seconds before the newest entry. Control keys and AGE are not in the values, unknown keys belong to the
    newest entry. Entries older than the newest that are no repeats carry the frame's own PIV too. WireError("value").
    """
    batches, n = validate(payload)
    newest = dict(payload) if APART.isdisjoint(payload) else {k: v for k, v in payload.items() if k not in APART}
    if not batches:
        return [(piv, DIRECT, 0, newest)]
    repeats = payload.get(REPEATS, 0)
    if repeats >= piv:
        raise WireError("value")
    step_s = payload[STEP]
    out = []
    for i in range(n):
        values = newest if i == n - 1 else {}
        for key in batches:
            values[key] = batches[key][i]
        before = repeats - i
        offset_s = (n - 1 - i) * step_s
        out.append((piv - before, REPEAT, offset_s, values) if before > 0 else (piv, DIRECT, offset_s, values))
    return out

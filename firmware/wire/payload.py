"""From a decoded payload to readings: batches and repeats taken apart (README.md, section 2)."""

from .errors import WireError
from .quantities import APART, REPEATS, STEP, validate

DIRECT = "direct"
REPEAT = "repeat"


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

"""What a payload can say: one row a key (firmware/wire/README.md, section 2). A new quantity is a new row here.

A row: (key, name, type, lowest, highest, unit on the wire, SenML unit, divisor). Of BYTES lowest and highest are those of
its length; ANY is not judged; where the protocol sets no highest it is MAX, which is CBOR's own. The divisor leads to the
SenML unit: value / divisor. Boards carry only the keys, by name, in firmware/wire/quantities.py.
"""

from firmware.wire.errors import WireError

UINT = "uint"
INT = "int"
BOOL = "bool"
BYTES = "bytes"
ANY = "any"
MAX = 0xFFFFFFFFFFFFFFFF

ROWS = (
    (1, "battery", UINT, 0, 65535, "mV", "V", 1000),
    (2, "temperature", INT, -600, 2000, "0.1 Cel", "Cel", 10),
    (3, "fill", UINT, 0, 100, "%", "/", 100),
    (4, "distance", UINT, 0, 20000, "mm", "m", 1000),
    (5, "tilted", BOOL, 0, 1, "", "vb", 1),
    (6, "occupied", BOOL, 0, 1, "", "vb", 1),
    (7, "state_time", UINT, 0, 0x80000000, "s", "s", 1),
    (8, "confidence", UINT, 0, 100, "%", "/", 100),
    (9, "water_temperature", INT, -500, 5000, "0.01 Cel", "Cel", 100),
    (10, "wave_height", UINT, 0, 3000, "cm", "m", 100),
    (11, "wave_period", UINT, 0, 400, "0.1 s", "s", 10),
    (12, "latitude", INT, -9000000, 9000000, "1e-5 deg", "lat", 100000),
    (13, "longitude", INT, -18000000, 18000000, "1e-5 deg", "lon", 100000),
    (14, "age", UINT, 0, MAX, "s", "", 1),
    (15, "humidity", UINT, 0, 1000, "0.1 %RH", "%RH", 10),
    (16, "people", UINT, 0, MAX, "", "count", 1),
    (17, "water_volume", UINT, 0, MAX, "l", "m3", 1000),
    (18, "night_flow", UINT, 0, MAX, "l/h", "m3/s", 3600000),
    (19, "alarm", UINT, 0, MAX, "bits", "vb", 1),
    (20, "button", UINT, 0, MAX, "", "vs", 1),
    (21, "token", BYTES, 4, 8, "", "vs", 1),
)

CONTROL_ROWS = (
    (-1, "time", UINT, 0, MAX, "s", "", 1),
    (-2, "interval", UINT, 0, MAX, "s", "", 1),
    (-3, "more", BOOL, 0, 1, "", "", 1),
    (-4, "reset_cause", UINT, 0, MAX, "", "", 1),
    (-5, "answer", BOOL, 0, 1, "", "", 1),
    (-6, "firmware", ANY, 0, 0, "", "", 1),
    (-7, "error", UINT, 0, MAX, "", "", 1),
    (-8, "step", UINT, 1, MAX, "s", "", 1),
    (-9, "repeats", UINT, 1, 47, "", "", 1),
    (-10, "slot", ANY, 0, 0, "", "", 1),
    (-11, "block", ANY, 0, 0, "", "", 1),
    (-12, "command", UINT, 0, MAX, "", "", 1),
    (-13, "result", ANY, 0, 0, "", "", 1),
    (-14, "order", ANY, 0, 0, "", "", 1),
)

BY_KEY = {row[0]: row for row in ROWS + CONTROL_ROWS}


def check(row, value):
    """Raise WireError("value") unless `value` has the row's type and range."""
    want = row[2]
    if want is ANY:
        return
    kind = bool if want is BOOL else bytes if want is BYTES else int
    good = type(value) is kind
    if good:
        n = len(value) if kind is bytes else value
        good = row[3] <= n <= row[4]
    if not good:
        raise WireError("value")

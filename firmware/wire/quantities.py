"""What a payload can say: one row a key (README.md, section 2). A new quantity is a new row here.

A row: (key, name, type, lowest, highest, unit on the wire, SenML unit, divisor). Type: "uint" and "int" are integers,
"bool", "bytes" (lowest and highest are then its length), "any". The divisor leads to the SenML unit: value / divisor.
MANY marks the highest value where the protocol sets none.
"""

from .errors import WireError

BATTERY = 1
TEMPERATURE = 2
FILL = 3
DISTANCE = 4
TILTED = 5
OCCUPIED = 6
STATE_TIME = 7
CONFIDENCE = 8
WATER_TEMPERATURE = 9
WAVE_HEIGHT = 10
WAVE_PERIOD = 11
LATITUDE = 12
LONGITUDE = 13
AGE = 14
HUMIDITY = 15
PEOPLE = 16
WATER_VOLUME = 17
NIGHT_FLOW = 18
ALARM = 19
BUTTON = 20
TOKEN = 21

TIME = -1
INTERVAL = -2
MORE = -3
RESET_CAUSE = -4
ANSWER = -5
FIRMWARE = -6
ERROR = -7
STEP = -8
REPEATS = -9
SLOT = -10
BLOCK = -11
COMMAND = -12
RESULT = -13

BATCH_MIN = 2
BATCH_MAX = 48

ROWS = (
    (1, "battery", "uint", 0, 65535, "mV", "V", 1000),
    (2, "temperature", "int", -600, 2000, "0.1 Cel", "Cel", 10),
    (3, "fill", "uint", 0, 100, "%", "/", 100),
    (4, "distance", "uint", 0, 20000, "mm", "m", 1000),
    (5, "tilted", "bool", 0, 1, "", "vb", 1),
    (6, "occupied", "bool", 0, 1, "", "vb", 1),
    (7, "state_time", "uint", 0, 0x80000000, "s", "s", 1),
    (8, "confidence", "uint", 0, 100, "%", "/", 100),
    (9, "water_temperature", "int", -500, 5000, "0.01 Cel", "Cel", 100),
    (10, "wave_height", "uint", 0, 3000, "cm", "m", 100),
    (11, "wave_period", "uint", 0, 400, "0.1 s", "s", 10),
    (12, "latitude", "int", -9000000, 9000000, "1e-5 deg", "lat", 100000),
    (13, "longitude", "int", -18000000, 18000000, "1e-5 deg", "lon", 100000),
    (14, "age", "uint", 0, 0xFFFFFFFFFFFFFFFF, "s", "", 1),
    (15, "humidity", "uint", 0, 1000, "0.1 %RH", "%RH", 10),
    (16, "people", "uint", 0, 0xFFFFFFFFFFFFFFFF, "", "count", 1),
    (17, "water_volume", "uint", 0, 0xFFFFFFFFFFFFFFFF, "l", "m3", 1000),
    (18, "night_flow", "uint", 0, 0xFFFFFFFFFFFFFFFF, "l/h", "m3/s", 3600000),
    (19, "alarm", "uint", 0, 0xFFFFFFFFFFFFFFFF, "bits", "vb", 1),
    (20, "button", "uint", 0, 0xFFFFFFFFFFFFFFFF, "", "vs", 1),
    (21, "token", "bytes", 4, 8, "", "vs", 1),
)

CONTROL_ROWS = (
    (-1, "time", "uint", 0, 0xFFFFFFFFFFFFFFFF, "s", "", 1),
    (-2, "interval", "uint", 0, 0xFFFFFFFFFFFFFFFF, "s", "", 1),
    (-3, "more", "bool", 0, 1, "", "", 1),
    (-4, "reset_cause", "uint", 0, 0xFFFFFFFFFFFFFFFF, "", "", 1),
    (-5, "answer", "bool", 0, 1, "", "", 1),
    (-6, "firmware", "any", 0, 0, "", "", 1),
    (-7, "error", "uint", 0, 0xFFFFFFFFFFFFFFFF, "", "", 1),
    (-8, "step", "uint", 1, 0xFFFFFFFFFFFFFFFF, "s", "", 1),
    (-9, "repeats", "uint", 1, 47, "", "", 1),
    (-10, "slot", "any", 0, 0, "", "", 1),
    (-11, "block", "any", 0, 0, "", "", 1),
    (-12, "command", "uint", 0, 0xFFFFFFFFFFFFFFFF, "", "", 1),
    (-13, "result", "any", 0, 0, "", "", 1),
)

# Never in an array, beside the control keys: they belong to one moment.
SCALARS = (LATITUDE, LONGITUDE, AGE, ALARM, BUTTON, TOKEN)

BY_KEY = {row[0]: row for row in ROWS + CONTROL_ROWS}


def check(row, value):
    """Raise WireError("value") unless `value` has the row's type and range."""
    kind = type(value)
    want = row[2]
    if kind is int:
        good = want in ("uint", "int") and row[3] <= value <= row[4]
    elif kind is bool:
        good = want == "bool"
    elif kind is bytes:
        good = want == "bytes" and row[3] <= len(value) <= row[4]
    else:
        good = False
    if not good and want != "any":
        raise WireError("value")


def expand(row, values):
    """Return the list of true values of a batch `[first, delta, ...]` (booleans: as they are). WireError("value")."""
    key = row[0]
    if key < 0 or key in SCALARS:
        raise WireError("value")
    if row[2] == "bool":
        out = values
    else:
        out = []
        total = 0
        for delta in values:
            if type(delta) is not int:
                raise WireError("value")
            total += delta
            out.append(total)
    for value in out:
        check(row, value)
    return out


def validate(payload):
    """Check a decoded payload (dict) against the rows and the rules of batch and repeats. WireError("value").

    Returns ({key: expanded values} of its arrays, number of entries). Unknown keys are not judged.
    """
    batches = None
    n = 1
    for key, value in payload.items():
        row = BY_KEY.get(key)
        if row is None:
            continue
        if type(value) is list and row[2] != "any":
            if batches is None:
                batches = {}
                n = len(value)
                if not BATCH_MIN <= n <= BATCH_MAX or STEP not in payload:
                    raise WireError("value")
            if len(value) != n:
                raise WireError("value")
            batches[key] = expand(row, value)
        else:
            check(row, value)
    if payload.get(REPEATS, 0) >= n:
        raise WireError("value")
    return batches, n

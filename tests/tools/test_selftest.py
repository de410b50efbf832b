"""How the self-test judges: by the presets' limits, and every part that has an error by name."""

import pytest

from gateway.presets import presets
from tools.diag.selftest import judge

SOUND = {
    "radio": 0,
    "drivers": {"distance": "a02yyuw", "field": "rm3100", "motion": "lsm6dso", "temperature": "ds18b20", "position": "nmea"},
    "sensors": {
        "distance": [712, 715],
        "field": [-12000, 3000, 45000],
        "motion": [100, -200, 8100],
        "temperature": 2140,
        "position": [4864905, -282402],
    },
    "errors": {},
    "battery": 3600,
    "flash_free": 500_000,
    "piv": 1234,
}


def failed(**changes):
    found = {**SOUND, **changes}
    return [check.name for check in judge(found, found["drivers"], presets().drivers) if not check.passed]


def test_a_sound_board_passes_every_check():
    checks = judge(SOUND, SOUND["drivers"], presets().drivers)
    assert len(checks) == 9
    assert failed() == []
    assert all(check.limits or check.name == "radio" for check in checks)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("distance", [712, 20]),
        ("distance", [712, 4501]),
        ("distance", []),
        ("field", [0, 0, 0]),
        ("field", [200_000, 0, 0]),
        ("motion", [0, 0, 0]),
        ("motion", [8197, 8197, 8197]),
        ("temperature", 8500),
        ("temperature", "warm"),
        ("position", [4864905, 99_000_000]),
    ],
)
def test_what_no_sound_sensor_reads(part, value):
    driver = SOUND["drivers"][part]
    assert failed(sensors={**SOUND["sensors"], part: value}) == [f"sensor {part} ({driver})"]


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"radio": 10}, "radio"),
        ({"service": 30}, "service"),
        ({"battery": 2700}, "battery"),
        ({"battery": None, "battery_error": 1}, "battery"),
        ({"flash_free": 40_000}, "flash free"),
        ({"piv": 1 << 20}, "counter"),
    ],
)
def test_what_is_no_sensor(changes, name):
    assert failed(**changes) == [name]


def test_a_sensor_that_answers_by_an_error_and_one_nobody_knows():
    found = {**SOUND, "sensors": {"new": 5}, "errors": {"field": 5}, "drivers": {"field": "rm3100"}}
    checks = {check.name: check for check in judge(found, found["drivers"], presets().drivers)}
    assert checks["sensor field (rm3100)"].error == "sensor_bus"
    assert checks["sensor new"].passed

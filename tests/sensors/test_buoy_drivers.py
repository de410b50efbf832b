"""The buoy's drivers in real MicroPython on chip models that know the data sheets alone."""

import re
from pathlib import Path

import mp
import pytest

HERE = Path(__file__).parent
CHECKS = set(re.findall(r"^def (check_\w+)\(\)", (HERE / "desk_buoy_drivers.py").read_text(), re.M))
FAULTS = {
    "check_motion_bus": "sensor_bus",
    "check_motion_identity": "sensor_id",
    "check_motion_silent": "sensor_silent",
    "check_no_sky": "sensor_range",
    "check_no_receiver": "sensor_silent",
    "check_nothing_sound": "sensor_checksum",
}


def _desk(check):
    mp.run(f"import desk_buoy_drivers as m\nm.{check}()", path=[HERE], heap_kb=4000)


@pytest.mark.parametrize("check", sorted(CHECKS - set(FAULTS)))
def test_driver(check):
    _desk(check)


@pytest.mark.parametrize("check", [pytest.param(c, marks=pytest.mark.produces(name)) for c, name in FAULTS.items()])
def test_fault(check):
    assert check in CHECKS
    _desk(check)

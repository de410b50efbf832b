"""Drivers in real MicroPython on chip models that know the data sheets alone."""

import re
from pathlib import Path

import mp
import pytest

HERE = Path(__file__).parent
CHECKS = set(re.findall(r"^def (check_\w+)\(\)", (HERE / "desk_drivers.py").read_text(), re.M))
FAULTS = {"check_silent", "check_checksum", "check_range", "check_identity", "check_bus", "check_power_on", "check_registry"}


def _desk(check):
    mp.run(f"import desk_drivers as m\nm.{check}()", path=[HERE], heap_kb=800)


@pytest.mark.parametrize("check", sorted(CHECKS - FAULTS))
def test_driver(check):
    _desk(check)


@pytest.mark.produces("sensor_silent")
def test_silence():
    _desk("check_silent")


@pytest.mark.produces("sensor_checksum")
def test_damage_beyond_repair():
    _desk("check_checksum")


@pytest.mark.produces("sensor_range")
def test_out_of_range():
    _desk("check_range")


@pytest.mark.produces("sensor_id")
def test_another_part_answers():
    _desk("check_identity")


@pytest.mark.produces("sensor_bus")
def test_nobody_answers():
    _desk("check_bus")


@pytest.mark.produces("sensor_power_on")
def test_power_on_value():
    _desk("check_power_on")


@pytest.mark.produces("config")
def test_unknown_driver():
    _desk("check_registry")

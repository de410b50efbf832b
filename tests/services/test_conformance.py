"""What every service and every driver must hold to, those of later issues too: README.md of firmware/services."""

import ast
import importlib
import inspect
import itertools
import json
from pathlib import Path

import mp
import pytest

from firmware.wire import cbor
from firmware.wire.host.payload import validate
from firmware.wire.host.rows import BOOL, BY_KEY
from firmware.wire.quantities import BATTERY, REPEATS, SCALARS, STEP
from gateway import presets

ROOT = mp.ROOT
HERE = Path(__file__).parent
SENSORS = HERE.parent / "sensors"
SERVICES = sorted(p.stem for p in (ROOT / "firmware/services").glob("*.py") if "class Service:" in p.read_text())
DRIVERS = sorted(p.stem for p in (ROOT / "firmware/sensors").glob("*.py") if "def make(" in p.read_text())
LOW_RATE_BYTES = 50
OVERHEAD_BYTES = 13  # kid of 2, PIV of 2, tag of 8


def _examples(word):
    return json.loads((ROOT / f"firmware/services/examples/{word}.json").read_text())


def _service(word):
    return importlib.import_module(f"firmware.services.{word}").Service


def _arg(value):
    return bytes.fromhex(value[4:]) if isinstance(value, str) and value.startswith("hex:") else value


def test_what_boards_yaml_may_name_exists():
    known = presets.presets()
    assert set(known.services) == set(SERVICES)
    assert set(known.drivers) == set(DRIVERS)


@pytest.mark.parametrize("word", SERVICES)
def test_service_has_the_shape(word):
    service = _service(word)
    assert service.KEYS
    assert all(BY_KEY[key][0] > 0 for key in service.KEYS)
    assert all(inspect.iscoroutinefunction(getattr(service, ask)) for ask in ("poll", "report"))
    assert hasattr(service, "state") == hasattr(service, "restore")
    assert inspect.getdoc(service)


@pytest.mark.parametrize("word", DRIVERS)
def test_driver_has_the_shape(word):
    """`read` is a coroutine, and nothing blocks: no time.sleep in a driver."""
    tree = ast.parse((ROOT / f"firmware/sensors/{word}.py").read_text())
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)}
    aliases = {t.id for n in ast.walk(tree) if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)}
    assert "read" in names | aliases
    called = {n.func.attr for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)}
    assert "sleep_ms" in called
    assert not called & {"sleep", "sleep_us"}


@pytest.mark.parametrize("word", SERVICES)
def test_examples_come_true_on_a_board(word):
    path = ROOT / f"firmware/services/examples/{word}.json"
    out = mp.run(HERE / "desk_examples.py", path=[SENSORS], args=[path, word], heap_kb=800)
    functions, readings = map(int, out.split())
    assert functions + readings >= 3


@pytest.mark.parametrize("word", SERVICES)
def test_examples_come_true_on_a_host(word):
    """The pure functions are the same under CPython."""
    for example in _examples(word).get("functions", ()):
        module, name = example["call"].rsplit(".", 1)
        call = getattr(importlib.import_module(module), name)
        args = [_arg(arg) for arg in example["args"]]
        if "raises" in example:
            with pytest.raises(Exception, match=example["raises"]) as caught:
                call(*args)
            assert caught.value.name == example["raises"]
        else:
            assert json.loads(json.dumps(call(*args))) == example["returns"], example


@pytest.mark.parametrize("word", SERVICES)
def test_example_readings_are_sound(word):
    for reading in _readings(word):
        validate(reading)
        assert set(reading) <= set(_service(word).KEYS)


@pytest.mark.parametrize("word", SERVICES)
def test_reading_fits_into_the_low_rate_profile(word):
    """At its longest alone; the examples with a repeat, where nothing in them is bound to one moment."""
    service = _service(word)
    longest = {key: _longest(BY_KEY[key]) for key in (BATTERY, *service.KEYS)}
    validate(longest)
    assert len(cbor.dumps(longest)) + OVERHEAD_BYTES <= LOW_RATE_BYTES
    if set(service.KEYS) & set(SCALARS):
        return
    readings = _readings(word)
    for old, new in itertools.product(readings, readings):
        if set(old) == set(new):
            both = {key: [v, new[key] if type(v) is bool else new[key] - v] for key, v in old.items()}
            both |= {BATTERY: [4100, -120], STEP: 900, REPEATS: 1}
            validate(both)
            assert len(cbor.dumps(both)) + OVERHEAD_BYTES <= LOW_RATE_BYTES


def _readings(word):
    """The readings of the examples, their quantities alone."""
    steps = [step for example in _examples(word).get("readings", ()) for step in example["steps"]]
    readings = [{int(k): v for k, v in (step["reading"] or {}).items() if int(k) > 0} for step in steps]
    return [reading for reading in readings if reading]


def _longest(row):
    return True if row[2] is BOOL else min(row[4], 86_400_000) if row[4] >= -row[3] else row[3]


@pytest.mark.parametrize("word", DRIVERS)
def test_driver_on_dead_and_noisy_buses(word):
    mp.run(HERE / "desk_dead.py", path=[SENSORS], args=[word], heap_kb=800)


@pytest.mark.parametrize("word", SERVICES)
def test_service_on_dead_and_noisy_buses(word):
    known = presets.presets().services[word]
    parts = [f"{part}={drivers[0]}" for part, (_, drivers) in known.sensors.items()]
    examples = _examples(word).get("readings")
    settings = examples[0]["settings"] if examples else {}
    mp.run(HERE / "desk_dead.py", path=[SENSORS], args=[word, json.dumps(settings), *parts], heap_kb=800)

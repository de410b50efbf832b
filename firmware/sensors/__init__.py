"""Drivers of physical parts, one file each, named by the word `driver` of a sensor's entry in the configuration.

A driver module has `make(spec, buses) -> driver`: spec is the sensor's entry (a dict with "driver" and its pins), buses
opens what the pins lead to (buses.py). A driver has `async read(...)` and raises DeviceError alone; it never blocks for
2 ms or longer but sleeps. What a driver needs of a board beyond `machine` it imports inside its functions.
"""

from firmware.wire.errors import DeviceError


def build(name, spec, buses):
    """Return the driver of the sensor `name` of the configuration. DeviceError("config") for an unknown driver."""
    try:
        module = __import__("firmware.sensors." + spec["driver"], None, None, ("make",))
        make = module.make
    except (ImportError, KeyError, AttributeError, TypeError):
        raise DeviceError("config", name)
    return make(spec, buses)

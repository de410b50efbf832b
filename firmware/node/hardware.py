"""From the configuration to objects: radio, sensors, service, battery. The only file of node/ that opens pins."""

from firmware.ports import port
from firmware.wire.errors import DeviceError


def make_radio(spec):
    """Return the radio of the configuration's entry `radio`. DeviceError("config") for an unknown chip."""
    try:
        make = __import__("firmware.radio.%s.make" % spec["chip"], None, None, ("make",)).make
    except (ImportError, KeyError, AttributeError, TypeError):
        raise DeviceError("config", "radio: no driver for this chip")
    return make(spec, DeviceError)


def make_battery(spec):
    """Return (read, factor, divisor) of the battery's converter, or None for a board without one.

    mV = read() * factor // divisor.
    """
    if not spec:
        return None
    read, factor, divisor = port().adc(spec["adc"])
    return read, factor * spec["divider_x1000"], divisor * 1000


def make_service(config):
    """Return the service of the configuration with its sensors. DeviceError("config")."""
    from firmware.sensors import build
    from firmware.sensors.buses import Buses

    buses = Buses()
    sensors = {}
    try:
        for name, spec in config.get("sensors", {}).items():
            sensors[name] = build(name, spec, buses)
        service = __import__("firmware.services." + config["service"], None, None, ("Service",)).Service
        made = service(config.get("settings", {}), sensors)
        made.sensors = sensors
        return made
    except (ImportError, KeyError, AttributeError, TypeError, ValueError, OSError) as error:
        raise DeviceError("config", "service %s: %r" % (config["service"], error))

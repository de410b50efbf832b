"""From the configuration to objects: radio, sensors, service, battery. The only file of node/ that opens pins."""

from firmware.ports import port
from firmware.wire.errors import DeviceError


def make_radio(spec):
    """Return the radio of the configuration's entry `radio`. DeviceError("config") for an unknown chip."""
    try:
        chip = __import__("firmware.radio." + spec["chip"], None, None, ("make",))
        make = chip.make
    except (ImportError, KeyError, AttributeError, TypeError):
        raise DeviceError("config", "radio: no driver for this chip")
    return make(spec, DeviceError)


def make_battery(spec):
    """Return a function that gives the battery's mV, or None for a board without one."""
    if not spec:
        return None
    pin_mv = port.adc_mv(spec["adc"])
    divider_x1000 = spec["divider_x1000"]

    def battery_mv():
        # The middle of three: one reading in the middle of a radio's current step must not count.
        mv = sorted([pin_mv(), pin_mv(), pin_mv()])[1]
        return min(mv * divider_x1000 // 1000, 65535)

    return battery_mv


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
        return service(config.get("settings", {}), sensors)
    except (ImportError, KeyError, AttributeError, TypeError, ValueError, OSError) as error:
        raise DeviceError("config", "service %s: %r" % (config["service"], error))

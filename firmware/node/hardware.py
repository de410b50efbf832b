"""From the configuration to objects: radio, sensors, service, battery. The only file of node/ that opens pins."""

from firmware.ports import port
from firmware.wire.errors import DeviceError

from .watched import Watched


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


def make_service(config, board):
    """Return the service of the configuration with its sensors. DeviceError("config").

    A sensor that is in quarantine, or cannot be made, is left out, and noted; where the service cannot do without it,
    something that fails in its place.
    """
    sensors: dict = {}
    absent: dict = {}
    try:
        make_sensors(config.get("sensors", {}), board, sensors, absent)
        service = __import__("firmware.services." + config["service"], None, None, ("Service",)).Service
        while True:
            try:
                made = service(config.get("settings", {}), sensors)
                made.sensors = sensors
                return made
            except KeyError as error:
                name = error.args[0]
                if name not in absent:
                    raise
                from .absent import Absent

                sensors[name] = Absent(absent.pop(name), name)
    except (ImportError, KeyError, AttributeError, TypeError, ValueError, OSError) as error:
        raise DeviceError("config", "service %s: %r" % (config["service"], error))


def make_sensors(specs, board, sensors, absent):
    """Fill {name: sensor}, and {name: name of its error} for those that cannot be made. DeviceError("config")."""
    from firmware.sensors import build
    from firmware.sensors.buses import Buses

    buses, suspect = Buses(), board.ladder.suspect
    for name, spec in specs.items():
        fault = None
        if name in board.ladder.quarantine:
            fault = DeviceError("quarantine", name)
        else:
            suspect(name)
            try:
                sensors[name] = Watched(build(name, spec, buses), name, suspect)
            except DeviceError as error:
                if error.name == "config":
                    raise
                fault = error
            except (OSError, RuntimeError) as error:
                fault = DeviceError("sensor_bus", "%s: %r" % (name, error))
            suspect()
        if fault:
            absent[name] = fault.name
            board.faults.note(fault)

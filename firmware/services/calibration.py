"""What a service can learn on the spot: called with the bin empty, or no car in the bay. Loaded for that alone."""

from firmware.sensors.filters import median
from firmware.wire.errors import DeviceError
from firmware.wire.quantities import DISTANCE

_SAMPLES = 9


async def calibrate(service):
    """Return the settings {name: value} that follow from what the sensors see now.

    DeviceError: the sensor's; "order_failed" where there is nothing to calibrate.
    """
    if hasattr(service, "field"):
        samples = []
        for _ in range(_SAMPLES):
            samples.append(await service.field.read())
        return {"base_%s_nt" % axis: median([sample[i] for sample in samples]) for i, axis in enumerate("xyz")}
    if service and DISTANCE in service.KEYS:
        reading = await service.report(0)
        if DISTANCE not in reading:
            raise DeviceError("sensor_silent")
        return {"empty_mm": reading[DISTANCE]}
    raise DeviceError("order_failed", "nothing to calibrate")

"""How full a bin is: an ultrasonic sensor in its lid looks down onto the rubbish.

Settings: empty_mm and full_mm, the distances from the sensor to the bottom and to the highest filling.
Sensors: distance (a02yyuw) and, for the speed of sound, temperature (ds18b20), which may lack.
"""

import math

from firmware.sensors.filters import median, spread
from firmware.wire.errors import DeviceError
from firmware.wire.quantities import CONFIDENCE, DISTANCE, ERROR, FILL, TEMPERATURE

REFERENCE_DC = 200  # 0.1 Cel: the air temperature for which the sensor's millimetres are true
BURST = 9
LEAST = 3  # fewer distances than these are no measurement
CALM_MM = 15  # a larger spread asks for a second burst


def speed_of_sound_mm_s(air_dc):
    """Return the speed of sound in dry air in mm/s at a temperature in 0.1 Cel: 331.3 m/s sqrt(1 + t / 273.15)."""
    return int(331300 * math.sqrt(1 + air_dc / 2731.5) + 0.5)


def compensate_mm(mm, air_dc, reference_dc=REFERENCE_DC):
    """Return the true distance for `mm` of a sensor that counts with the speed of sound of `reference_dc`."""
    reference = speed_of_sound_mm_s(reference_dc)
    return (mm * speed_of_sound_mm_s(air_dc) + reference // 2) // reference


def fill_percent(distance_mm, empty_mm, full_mm):
    """Return the fill, 0 to 100, of a bin that is empty at empty_mm and full at full_mm."""
    depth = empty_mm - full_mm
    return max(0, min(100, ((empty_mm - distance_mm) * 100 + depth // 2) // depth))


def confidence_percent(spread_mm):
    """Return 100 for echoes that agree to CALM_MM, less the more they differ, at least 10."""
    return max(10, 100 - max(0, spread_mm - CALM_MM))


class Service:
    """Reports temperature, fill and distance; confidence only where the echoes do not agree."""

    KEYS = (TEMPERATURE, FILL, DISTANCE, CONFIDENCE)
    sample_s = None

    def __init__(self, settings, sensors):
        self._empty_mm = settings["empty_mm"]
        self._full_mm = settings["full_mm"]
        if not 0 < self._full_mm < self._empty_mm:
            raise DeviceError("config", "full_mm")
        self._distance = sensors["distance"]
        self._temperature = sensors.get("temperature")
        self._air_dc = REFERENCE_DC  # the last known

    async def poll(self, now_s):
        """Nothing happens between two reports."""
        return None

    async def report(self, now_s):
        """Return {key: value}; of a sensor that fails the error instead, the distance's before the temperature's."""
        reading = {}
        if self._temperature:
            try:
                self._air_dc = (await self._temperature.read() + 5) // 10
                reading[TEMPERATURE] = self._air_dc
            except DeviceError as error:
                reading[ERROR] = error.code
        try:
            distance_mm, spread_mm = await self._measure()
        except DeviceError as error:
            reading[ERROR] = error.code
            return reading
        distance_mm = compensate_mm(distance_mm, self._air_dc)
        reading[DISTANCE] = distance_mm
        reading[FILL] = fill_percent(distance_mm, self._empty_mm, self._full_mm)
        if spread_mm > CALM_MM:
            reading[CONFIDENCE] = confidence_percent(spread_mm)
        return reading

    async def _measure(self):
        """Return (median, spread) in mm of one burst, of two where the first is not calm."""
        burst = await self._distance.read_burst(BURST)
        centre = median(burst)
        if len(burst) < LEAST or spread(burst, centre) > CALM_MM:
            burst = burst + await self._distance.read_burst(BURST)
            centre = median(burst)
        if len(burst) < LEAST:
            raise DeviceError("sensor_range")
        return centre, spread(burst, centre)

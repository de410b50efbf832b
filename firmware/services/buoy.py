"""A wave buoy: significant height and peak period of the last record, water temperature, position.

Settings: record_s, the length of the record (1024); position_every, in how many reports the position is sent (4); watch_m,
the radius of the watch circle, outside of which it is sent every time (150); home_lat_e5 and home_lon_e5, its centre in
1e-5 degree (where the first position is, without them). Sensors: motion (lsm6dso), temperature (ds18b20) in the water and
position (nmea); the last two may lack.
"""

import asyncio

from firmware.services import waves
from firmware.wire.errors import DeviceError
from firmware.wire.quantities import ERROR, LATITUDE, LONGITUDE, WATER_TEMPERATURE, WAVE_HEIGHT, WAVE_PERIOD

RECORD_S = 1024
NOMINAL_MHZ = 13021
FIX_S = 60
POSITION_EVERY = 4
WATCH_M = 150


def metres_between(lat_e5, lon_e5, other_lat_e5, other_lon_e5):
    """Distance in m of two positions in 1e-5 degree, in integers; good to 1 % where it is a few km."""
    north_cm = (other_lat_e5 - lat_e5) * 111
    east_cm = abs(other_lon_e5 - lon_e5)
    if east_cm > 18_000_000:
        east_cm = 36_000_000 - east_cm
    x = lat_e5 // 1000  # 0.01 degree; the cosine by Bhaskara's rational, 0.2 % at worst
    square = x * x
    east_cm = east_cm * 111 * (324_000_000 - 4 * square) // (324_000_000 + square)
    return _root(north_cm * north_cm + east_cm * east_cm) // 100


def _root(square):
    root = square
    better = (root + 1) // 2
    while better < root:
        root = better
        better = (root + square // root) // 2
    return root


class Service:
    """Reports what it knows; poll only collects samples. Before the first whole record there are no waves in a report."""

    KEYS = (WATER_TEMPERATURE, WAVE_HEIGHT, WAVE_PERIOD, LATITUDE, LONGITUDE)
    sample_s = 20  # the sensor's memory lasts 38 s

    def __init__(self, settings, sensors):
        self._motion = sensors["motion"]
        self._temperature = sensors.get("temperature")
        self._position = sensors.get("position")
        self._every = settings.get("position_every", POSITION_EVERY)
        self._watch_m = settings.get("watch_m", WATCH_M)
        self._home = None
        if settings.get("home_lat_e5") is not None and settings.get("home_lon_e5") is not None:
            self._home = (settings["home_lat_e5"], settings["home_lon_e5"])
        samples = settings.get("record_s", RECORD_S) * NOMINAL_MHZ // waves.DECIMATION // 1000
        if samples < waves.SEGMENT_MIN or self._every < 1:
            raise DeviceError("config", "record_s")
        self.record = waves.Record(samples)
        self.spectrum = waves.Spectrum(waves.segment(samples))
        self._fault = None  # of the motion sensor since the last report
        self._reports = 0

    async def poll(self, now_s):
        """Collect what the motion sensor has measured."""
        try:
            await self._motion.drain(self.record)
        except DeviceError as error:
            self._fault = error.code
            self.record.reset()

    async def report(self, now_s):
        """Return {key: value}; of sensors that fail one error, the motion sensor's before the others'."""
        reading = await self._locate()
        if self._temperature:
            try:
                reading[WATER_TEMPERATURE] = await self._temperature.read()
            except DeviceError as error:
                reading[ERROR] = error.code
        await self.poll(now_s)
        try:
            await self._waves(reading)
        except DeviceError as error:
            self._fault = error.code
        if self._fault:
            reading[ERROR] = self._fault
            self._fault = None
        return reading

    async def _waves(self, reading):
        """Analyse the last record, if there is a whole one; a few seconds of a small board's time, in pieces."""
        if self.record.count < self.record.capacity:
            return
        for _ in self.spectrum.work(self.record, self.record.capacity):
            await asyncio.sleep_ms(0)
        if abs(self.spectrum.rest) > waves.WRONG:
            raise DeviceError("sensor_range")
        bin_hz, first, last = waves.elevation(self.spectrum, self._motion.rate_mhz)
        hs_cm, tp_ds = waves.height_and_period(self.spectrum.psd, bin_hz, first, last)
        reading[WAVE_HEIGHT] = min(hs_cm, 3000)
        if tp_ds:
            reading[WAVE_PERIOD] = tp_ds

    async def _locate(self):
        """Switch the receiver on until it knows where it is. Return the part of the reading that this gives."""
        if not self._position:
            return {}
        fix = await self._fix()
        if not fix:
            return {ERROR: self._position.fault().code}
        if self._home is None:
            self._home = fix
        turn = self._reports % self._every
        self._reports += 1
        if turn and metres_between(self._home[0], self._home[1], fix[0], fix[1]) <= self._watch_m:
            return {}
        return {LATITUDE: fix[0], LONGITUDE: fix[1]}

    async def _fix(self):
        """Wait for the position, at most FIX_S; the motion sensor's memory is emptied meanwhile."""
        self._position.begin()
        try:
            for turn in range(FIX_S * 10):
                if turn % (self.sample_s * 10) == 0:  # at the start too: the last time may be long ago
                    await self.poll(0)
                await asyncio.sleep_ms(100)
                fix = self._position.poll()
                if fix:
                    return fix
        finally:
            self._position.end()
        return None

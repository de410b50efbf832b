"""Whether a parking bay is taken: a magnetometer in the ground sees the field that a car bends.

Settings, all with a default: enter_nt and leave_nt, deviations from the empty bay's field above which a car has come and
below which it has gone; dwell_s, within which a change is reported; sample_s; drift_s, the time constant of the baseline;
base_x_nt, base_y_nt, base_z_nt, the empty bay's field as measured when the sensor was set. Sensor: field.
"""

import struct

from firmware.sensors.filters import distance
from firmware.wire.errors import DeviceError
from firmware.wire.quantities import CONFIDENCE, ERROR, OCCUPIED, STATE_TIME

SCALE = 64  # the vectors are kept in 1/64 nT: integers below 2^30, finer than any noise
STEP_MAX_S = 60  # a longer pause between two samples counts as this in the slow filters
DOUBT = 25  # the confidence while the baseline is a guess, %
SAME = 0
FLIP = 1
LEAP = 2


class Bay:
    """The state of one bay from samples of its field. Attributes: occupied (None until the first dwell), trusted.

    The baseline is the empty bay's field. While the bay is empty it follows slowly; while a car stands there it is frozen
    against the car and moves only by what the field drifts with the car in it: temperature and neighbours add to both.
    Without a baseline the field at the start is taken for the empty bay's, with little confidence, until a car has come
    and gone. If a car stood there, a later leap from one large deviation to another betrays it, and what the field was
    before that leap becomes the baseline: at most one stay and one gap are reported wrongly.
    """

    def __init__(self, settings):
        self._enter_nt = settings.get("enter_nt", 3000)
        self._leave_nt = settings.get("leave_nt", 2000)
        self._dwell_s = settings.get("dwell_s", 30)
        self._sample_s = settings.get("sample_s", 10)
        self._drift_s = settings.get("drift_s", 600)
        if not 0 < self._leave_nt < self._enter_nt or self._dwell_s < 2 * self._sample_s or self._drift_s < 1:
            raise DeviceError("config", "parking")
        self.occupied = None
        self.trusted = "base_x_nt" in settings  # whether the baseline is surely the empty bay's
        self._base = [settings["base_%s_nt" % axis] * SCALE for axis in "xyz"] if self.trusted else []
        self._car = []  # the field with the car in the bay
        self._once = []  # a field with a car in the bay, before another came without a gap: perhaps the empty bay's
        self._deviation_nt = 0
        self._kind = SAME  # of the latest sample, and how many there were of this kind, since when
        self._count = self._first_s = 0
        self._started = False
        self._since_s = 0  # when the state began
        self._last_s = self._sure_s = 0  # the latest sample; the latest that agreed with the state

    def update(self, x, y, z, now_s):
        """Take a sample in nT at now_s (monotonic seconds); return True when the state has changed."""
        field = [x * SCALE, y * SCALE, z * SCALE]
        if not self._base:
            self._base = list(field)
        if not self._started:
            self._started = True
            self._since_s = self._last_s = self._sure_s = now_s
        step_s = min(now_s - self._last_s, STEP_MAX_S)
        self._last_s = now_s
        kind = self._judge(field)
        if kind == SAME:
            self._sure_s = now_s
            self._kind = SAME
            self._follow(field, step_s)
            return False
        if kind != self._kind:
            self._kind = kind
            self._count = 0
            self._first_s = now_s
        self._count += 1
        # A change has held when two samples say so and the next one would be too late; the first state needs no more.
        late = self.occupied is None or now_s - self._sure_s + self._sample_s >= self._dwell_s
        if self._count < 2 or not late:
            return False
        self._kind = SAME
        self._sure_s = now_s
        return self._flip(field) if kind == FLIP else self._leap(field)

    def _judge(self, field):
        """What a sample says: nothing new, the other state, or another field with the bay still taken."""
        self._deviation_nt = distance(field, self._base) // SCALE
        looks = self._deviation_nt > (self._leave_nt if self.occupied else self._enter_nt)
        if looks != self.occupied:
            return FLIP
        if looks and distance(field, self._car) > self._leave_nt * SCALE:
            return LEAP
        return SAME

    def _flip(self, field):
        started = self.occupied is not None
        if self.occupied:
            self.trusted = True  # the field has come back to the baseline
            self._once = []
        self.occupied = not self.occupied if started else self._deviation_nt > self._enter_nt
        self._car = field if self.occupied else []
        self._since_s = self._first_s
        return started

    def _leap(self, field):
        """The field has leapt while the bay was taken: a car that settles, two cars without a gap, or a wrong baseline."""
        before, self._car = self._car, field
        if self._once and distance(field, self._once) < self._leave_nt * SCALE:
            self._base = list(field)  # cars differ: a field that comes back is the empty bay's
            return self._flip(field)
        if self._first_s - self._since_s > 4 * self._dwell_s:
            if self.trusted:
                self._once = before
            else:
                self._base = before
                self._since_s = self._first_s
                self.trusted = True
        return False

    def _follow(self, field, step_s):
        """Let the baseline follow what is slow, by 1 / drift_s of the difference a second."""
        towards = self._car or self._base
        moved = [self._base] if towards is self._base else [self._base, self._car, self._once]
        for i in range(3):
            step = (field[i] - towards[i]) * step_s // self._drift_s
            for vector in moved:
                if vector:
                    vector[i] += step

    def reading(self, now_s):
        """Return {occupied, state_time, confidence} as of the latest sample, or {} before the first."""
        if not self._started:
            return {}
        occupied = self._deviation_nt > self._enter_nt if self.occupied is None else self.occupied
        margin_nt = self._deviation_nt - self._leave_nt if occupied else self._enter_nt - self._deviation_nt
        sure = max(0, min(100, 50 + 50 * margin_nt // self._enter_nt))
        if self.occupied is None or not self.trusted:
            sure = min(sure, DOUBT)
        return {OCCUPIED: occupied, STATE_TIME: now_s - self._since_s, CONFIDENCE: sure}

    def state(self):
        """Return what is worth keeping over a reset (13 bytes), or b"" before the first sample."""
        if not self._started:
            return b""
        return struct.pack("<3iB", self._base[0], self._base[1], self._base[2], self.trusted)

    def restore(self, state):
        """Take the baseline from what `state` returned."""
        x, y, z, trusted = struct.unpack("<3iB", state)
        self._base = [x, y, z]
        self.trusted = bool(trusted)


class Service:
    """Polls the field, reports a change at once and the state at every report."""

    KEYS = (OCCUPIED, STATE_TIME, CONFIDENCE)

    def __init__(self, settings, sensors):
        self.bay = Bay(settings)
        self.sample_s = settings.get("sample_s", 10)
        self._dwell_s = settings.get("dwell_s", 30)
        self.field = sensors["field"]
        self._error = None
        self._seen_s = None  # the latest good sample

    async def poll(self, now_s):
        """Take a sample; return the reading to be reported now if the state has changed, else None."""
        try:
            x, y, z = await self.field.read()
        except DeviceError as error:
            self._error = error.code
            return None
        self._error = None
        self._seen_s = now_s
        return self.bay.reading(now_s) if self.bay.update(x, y, z, now_s) else None

    async def report(self, now_s):
        """Return the reading; with the error while the sensor fails, and without the state once that is too old."""
        if self._seen_s is None:
            await self.poll(now_s)
        reading = {}
        if self._seen_s is not None and now_s - self._seen_s <= self._dwell_s:
            reading = self.bay.reading(now_s)
        if self._error is not None:
            reading[ERROR] = self._error
        return reading

    def state(self):
        """Bytes worth keeping over a reset."""
        return self.bay.state()

    def restore(self, state):
        """Take them back; b"" is nothing."""
        if state:
            self.bay.restore(state)

"""Significant wave height and peak period from an accelerometer that rides on a buoy. Pure: no bus, no clock.

The magnitude of the three axes less gravity stands for the vertical acceleration: it needs no attitude, and a slope-
following hull feels little else (Bender et al. 2010, JTECH 27: -2.5 % against full orientation). Samples are decimated by
four through a third-order CIC filter, whose response the spectrum undoes; Welch's spectra of the record (Hann, 75 %
overlap) are divided by (2 pi f)^4. What the magnitude adds at low frequencies, squares of the horizontal acceleration, is
measured below the waves and subtracted with a ramp (the idea of NDBC's noise correction, Technical Document 96-01).
"""

import math
from array import array

DECIMATION = 4
COUNT_G = 0.000122  # a count of the sensor at +-4 g
REST = 8192  # counts of gravity, nearly; a decimated sample is twice what the magnitude has above it
WRONG = 1640  # a mean further off than this, a tenth of gravity, is no buoy's
BLOCK = 128  # samples of one allocation of the record: no piece of it is large
CIC = ((10, 6, 3, 1), (6, 10, 12, 12), (0, 0, 1, 3))  # ten taps of (1 + z + z^2 + z^3)^3 / 64 by age and phase
STARTING = 2  # outputs before the filter is full
SEGMENT = 512  # 157 s: resolves the swell, so that dividing by f^4 smears little
SEGMENT_MIN = 64
LOW_HZ = 0.04
HIGH_HZ = 0.8
NOISE_HZ = (0.018, 0.034)  # no wind makes waves as long as this
NOISE_TOP_HZ = 0.25
NOISE_SHARE = 1.2
FLAT_CM = 5  # below this height a period means nothing
G_M_S2 = 9.80665


class Record:
    """The last `capacity` decimated samples. `count` is how many have come since reset(), `capacity` how many it keeps
    for certain (it holds a block more, so that samples may come while a spectrum is computed)."""

    def __init__(self, capacity):
        self.capacity = capacity
        self._blocks = [array("h", bytes(2 * BLOCK)) for _ in range((capacity + BLOCK - 1) // BLOCK + 1)]
        self._magnitude = REST
        self.reset()

    def reset(self):
        """Forget everything: samples were lost."""
        self._phase = self._now = self._next = self._after = 0
        self._made = -STARTING

    @property
    def count(self):
        return max(0, self._made)

    def add(self, x, y, z):
        """Take one sample of the sensor, in counts."""
        m = self._root(x * x + y * y + z * z) - REST
        phase = self._phase
        self._now += CIC[0][phase] * m
        self._next += CIC[1][phase] * m
        if phase < DECIMATION - 1:
            self._after += CIC[2][phase] * m
            self._phase = phase + 1
            return
        made = self._made
        if made >= 0:
            block = self._blocks[made // BLOCK % len(self._blocks)]
            block[made % BLOCK] = max(-32768, min(32767, self._now >> 5))
        self._made = made + 1
        self._now = self._next
        self._next = self._after + CIC[2][phase] * m
        self._after = self._phase = 0

    def _root(self, square):
        """Integer square root by Newton's rule, from the last one: mostly two steps, and no garbage."""
        root = self._magnitude or 1
        while True:
            better = (root + square // root) >> 1
            step = better - root
            root = better or 1
            if -2 < step < 2:
                self._magnitude = root
                return root

    def get(self, i):
        """Sample number i since the reset."""
        return self._blocks[i // BLOCK % len(self._blocks)][i % BLOCK]


class Spectrum:
    """Welch's power spectrum with a radix-2 FFT of n real samples in place, n a power of two. About 4 n bytes of buffers
    in pieces of n * 2; psd[k] is of frequency k / n of the sampling rate, up to a quarter of it. `rest` is the mean of the
    samples of the last segment."""

    def __init__(self, n):
        self.n = n
        half = n // 2
        self._re = array("f", bytes(4 * half))
        self._im = array("f", bytes(4 * half))
        self._cos = array("f", [math.cos(2 * math.pi * i / n) for i in range(half + 1)])
        self.psd = array("f", bytes(4 * (n // 4 + 1)))
        self.rest = 0

    def work(self, record, total):
        """Analyse the last `total` samples of a Record; a generator that yields often, so that others can run between."""
        n = self.n
        first = record.count - total
        segments = (total - n) // (n // 4) + 1
        first += (total - n) % (n // 4)  # what does not fill a step is left out at the old end
        for k in range(len(self.psd)):
            self.psd[k] = 0.0
        for s in range(segments):
            self.load(record, first + s * (n // 4))
            yield
            span = 1
            while span < n // 2:
                self.stage(span)
                span *= 2
                yield
            self.collect(segments)
            yield

    def load(self, record, first):
        """Put n samples, less their mean and under a Hann window, into the buffers: even ones real, odd ones imaginary,
        in the order that the stages want."""
        n = self.n
        get = record.get
        total = 0
        for i in range(first, first + n):
            total += get(i)
        self.rest = total // n
        mean = total / n
        c = self._cos
        bits = n >> 2
        j = 0
        for i in range(n // 2):
            at = 2 * i
            a = c[at] if 2 * at <= n else c[n - at]
            b = c[at + 1] if 2 * at + 2 <= n else c[n - at - 1]
            self._re[j] = (get(first + at) - mean) * (0.5 - 0.5 * a)
            self._im[j] = (get(first + at + 1) - mean) * (0.5 - 0.5 * b)
            bit = bits  # add one to j, counted from its highest bit
            while j & bit:
                j ^= bit
                bit >>= 1
            j |= bit

    def stage(self, span):
        """One stage of the complex FFT of n / 2 points: butterflies between points `span` apart."""
        re = self._re
        im = self._im
        half = self.n // 2
        quarter = half // 2
        stride = half // span
        for k in range(span):
            wr = self._cos[k * stride]
            wi = -self._cos[abs(k * stride - quarter)]
            for a in range(k, half, 2 * span):
                b = a + span
                xr = re[b]
                xi = im[b]
                tr = wr * xr - wi * xi
                ti = wr * xi + wi * xr
                xr = re[a]
                xi = im[a]
                re[a] = xr + tr
                im[a] = xi + ti
                re[b] = xr - tr
                im[b] = xi - ti

    def collect(self, segments):
        """Unfold the spectrum of the real samples and add its power, divided by `segments`, to psd."""
        re = self._re
        im = self._im
        half = self.n // 2
        quarter = half // 2
        for k in range(1, len(self.psd)):
            m = half - k
            er = re[k] + re[m]
            ei = im[k] - im[m]
            dr = im[k] + im[m]
            di = re[m] - re[k]
            wr = self._cos[k]
            wi = -self._cos[abs(k - quarter)]
            xr = er + wr * dr - wi * di
            xi = ei + wr * di + wi * dr
            self.psd[k] += (xr * xr + xi * xi) / segments


def segment(samples):
    """Length of Welch's segments for a record of so many samples: a power of two, at most half of it."""
    n = SEGMENT
    while n > SEGMENT_MIN and 2 * n > samples:
        n //= 2
    return n


def elevation(spectrum, rate_mhz):
    """Turn spectrum.psd, of samples at rate_mhz / DECIMATION, into that of the elevation in m2/Hz, in place.
    Return (width of a bin in Hz, first and last bin that hold waves)."""
    psd = spectrum.psd
    raw_hz = rate_mhz / 1000
    bin_hz = raw_hz / DECIMATION / spectrum.n
    # a real spectrum is folded (2) and unfolded above with twice its amplitude (1/4); sum of Hann^2 is 3/8 n
    scale = 2 / 4 / (0.375 * spectrum.n) / (raw_hz / DECIMATION) * (COUNT_G / 2 * G_M_S2) ** 2
    last = min(len(psd) - 2, int(HIGH_HZ / bin_hz))
    for k in range(1, last + 2):
        x = math.pi * k * bin_hz / raw_hz
        response = math.sin(DECIMATION * x) / (DECIMATION * math.sin(x))
        psd[k] *= scale / response**6
    first = max(1, int(LOW_HZ / bin_hz + 0.999))
    noise = _noise(psd, bin_hz)
    for k in range(1, last + 2):
        f = k * bin_hz
        ramp = (NOISE_TOP_HZ - f) / (NOISE_TOP_HZ - NOISE_HZ[1])
        psd[k] = max(0.0, psd[k] - noise * max(0.0, ramp)) / (2 * math.pi * f) ** 4
    while first < last - 2 and smooth(psd, first + 1) < smooth(psd, first):
        first += 1  # noise divided by f^4 falls until the waves begin
    return bin_hz, first, last


def _noise(psd, bin_hz):
    """Level below the waves, 0 when the segments are too short to see it."""
    low = max(1, int(NOISE_HZ[0] / bin_hz + 0.999))
    high = int(NOISE_HZ[1] / bin_hz)
    total = 0.0
    for k in range(low, high + 1):
        total += psd[k]
    return NOISE_SHARE * total / (high - low + 1) if high >= low else 0.0


def smooth(psd, k):
    """Four times the mean of a bin and its neighbours, the middle weighing twice."""
    return psd[k - 1] + 2 * psd[k] + psd[k + 1]


def height_and_period(psd, bin_hz, first, last):
    """Return (Hs in cm, Tp in 0.1 s) of an elevation spectrum in m2/Hz: 4 sqrt(m0), and the period of its highest point
    through three smoothed bins. Tp is None for a flat sea."""
    m0 = 0.0
    peak = first
    for k in range(first, last + 1):
        m0 += psd[k]
        if smooth(psd, k) > smooth(psd, peak):
            peak = k
    hs_cm = int(400 * math.sqrt(m0 * bin_hz) + 0.5)
    if hs_cm < FLAT_CM:
        return hs_cm, None
    a, b, c = smooth(psd, peak - 1), smooth(psd, peak), smooth(psd, peak + 1)
    bend = a - 2 * b + c
    offset = 0.5 * (a - c) / bend if bend < 0 else 0.0
    return hs_cm, int(10 / ((peak + max(-0.5, min(0.5, offset))) * bin_hz) + 0.5)

"""Duty ledger: what a transmitter has sent in the last hour, by sub-band. Pure; the law is in plan.py.

Two rules meet here. In no hour whatsoever may a band carry more than its duty; and a board that has just booted does not
know what it sent before, so it takes the last hour as full but for one frame, which then fades at the duty rate.
"""

from .plan import EU868, band_of

HOUR_MS = 3600000
BIN_MS = 60000
# An hour is 60 bins; one more is always partly filled, one more covers the end of a frame that began in the bin before.
BINS = 62
NEVER_MS = 0x3FFFFFFF  # 12.4 days, the most that a board's ticks hold


def _minus(a, b):
    return a - b


class _Account:
    """Airtime of one band: microseconds by minute and their sum; `gift_us` is what the first frame had too little."""

    def __init__(self, duty_ppm):
        self.limit_us = duty_ppm * 3600
        self.per_ms = duty_ppm // 1000  # us of airtime that each ms brings
        self.bins = [0] * BINS
        self.used_us = 0
        self.gift_us = None  # nothing sent yet: the first frame goes in any case

    def assumed_us(self, age_ms):
        """What the time before the boot is still taken to have used."""
        return max(0, self.limit_us - (self.gift_us or 0) - age_ms * self.per_ms)


class Ledger:
    """Duty ledger of one transmitter.

    `now_ms` are ticks; where they wrap, `diff(later, earlier)` is the board's own `time.ticks_diff`, and some call must come
    at least once in its range (6 days).
    """

    def __init__(self, now_ms, plan=EU868, diff=_minus):
        self.plan = plan
        self._diff = diff
        self._last_ms = now_ms
        self._age_ms = 0  # since the boot, an hour at most
        self._in_bin_ms = 0  # how far into the newest bin
        self._newest = 0
        self._accounts = {}

    def wait_ms(self, freq_hz, airtime_us, now_ms):
        """Milliseconds until a frame of `airtime_us` may begin on `freq_hz`: 0 = now, NEVER_MS = not in this plan."""
        account = self._account(freq_hz)
        if account is None or airtime_us > account.limit_us:
            return NEVER_MS
        self._advance(now_ms)
        if account.gift_us is None:
            return 0
        # Walk ahead: what is assumed fades evenly, what was sent leaves a bin at a time, the oldest first.
        assumed_us = account.assumed_us(self._age_ms)
        over_us = account.used_us + assumed_us + airtime_us - account.limit_us
        ahead_ms, step_ms = 0, BIN_MS - self._in_bin_ms
        for i in range(1, BINS + 1):
            if over_us <= 0:
                break
            fades_us = min(assumed_us, step_ms * account.per_ms)
            if fades_us >= over_us:
                return ahead_ms + (over_us + account.per_ms - 1) // account.per_ms
            assumed_us -= fades_us
            over_us -= fades_us + account.bins[(self._newest + i) % BINS]
            ahead_ms += step_ms
            step_ms = BIN_MS
        return ahead_ms

    def spend(self, freq_hz, airtime_us, now_ms):
        """Write down a frame of `airtime_us` that begins now. Every frame counts: repeats, answers, failed ones too."""
        account = self._account(freq_hz)
        if account is None:
            return
        self._advance(now_ms)
        if account.gift_us is None:
            account.gift_us = max(0, airtime_us - self._age_ms * account.per_ms)
        account.bins[self._newest] += airtime_us
        account.used_us += airtime_us

    def _account(self, freq_hz):
        band = band_of(freq_hz, 0, self.plan)
        if band is None:
            return None
        if band[0] not in self._accounts:
            self._accounts[band[0]] = _Account(band[2])
        return self._accounts[band[0]]

    def _advance(self, now_ms):
        ms = self._diff(now_ms, self._last_ms)
        if ms > 0:
            self._last_ms = now_ms
            self.elapse(ms)

    def elapse(self, ms):
        """Let `ms` go by that no ticks have shown: a deep sleep."""
        self._age_ms = min(self._age_ms + ms, HOUR_MS)
        self._in_bin_ms += ms
        turns = self._in_bin_ms // BIN_MS
        self._in_bin_ms -= turns * BIN_MS
        for _ in range(min(turns, BINS)):
            self._newest = (self._newest + 1) % BINS
            for account in self._accounts.values():
                account.used_us -= account.bins[self._newest]
                account.bins[self._newest] = 0

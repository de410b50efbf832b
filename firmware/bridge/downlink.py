"""Sending at the bridge's own clock: jobs by time, refused where time, law or another job forbids them."""

from firmware.node.clock import diff_u32
from firmware.radio.airtime import airtime_us
from firmware.wire.errors import const
from firmware.wire.link import BUSY, DUTY, LATE

_LEAST_MS = const(20)  # less than this before its time a job is late
_MOST = const(8)  # jobs that wait
_GAP_MS = const(30)  # from the end of one job to the start of the next


class Job:
    """One frame to be sent. at_ms: clock of the serial link, 0: at once, which is `soon_ms`; settings: of the radio."""

    def __init__(self, ident, frame, at_ms, settings, soon_ms):
        self.ident = ident
        self.frame = frame
        self.timed = at_ms != 0
        self.at_ms = at_ms or soon_ms
        self.settings = settings
        self.airtime_us = airtime_us(len(frame), settings["sf"], settings["bw_hz"], settings["cr"])

    def ends_ms(self):
        """Return when the frame will be sent, clock of the serial link."""
        return self.at_ms + self.airtime_us // 1000 + 1


def refusal(job, jobs, ledger, now_ms, ticks_ms):
    """Return why `job` cannot be taken (LATE, BUSY, DUTY), or None. now_ms: clock of the link; ticks_ms: of the ledger."""
    ahead_ms = diff_u32(job.at_ms, now_ms)
    if ahead_ms < _LEAST_MS:
        return LATE
    if len(jobs) >= _MOST:
        return BUSY
    for other in jobs:
        if (
            diff_u32(job.at_ms, other.ends_ms()) < _GAP_MS
            and diff_u32(other.at_ms, job.ends_ms()) < _GAP_MS
        ):
            return BUSY
    if ledger.wait_ms(job.settings["freq_hz"], job.airtime_us, ticks_ms) > ahead_ms:
        return DUTY
    return None


def insert(jobs, job):
    """Put `job` into `jobs`, the next one first."""
    at = 0
    while at < len(jobs) and diff_u32(job.at_ms, jobs[at].at_ms) >= 0:
        at += 1
    jobs.insert(at, job)

"""The duty ledger under arbitrary traffic: no hour carries more than its duty, no boot more than one frame at once."""

from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from firmware.radio.ledger import HOUR_MS, NEVER_MS, Ledger
from firmware.radio.plan import EU868

FREQ = {10000: 868100000, 1000: 868900000, 100000: 869500000}
traffic = st.lists(st.tuples(st.integers(1000, 8100000), st.integers(0, 400000)), min_size=1, max_size=120)


def greedy(duty_ppm, wishes, early_ms=0):
    """Send every wish as soon as the ledger lets it (after its own pause); returns [(start_ms, airtime_us)]."""
    ledger = Ledger(0)
    now, sent = 0, []
    for airtime_us, pause_ms in wishes:
        now += pause_ms
        wait = ledger.wait_ms(FREQ[duty_ppm], airtime_us, now)
        if wait == NEVER_MS:
            assert airtime_us > duty_ppm * 3600
            continue
        if wait:  # one millisecond less would be too early, and exactly that long is enough
            assert ledger.wait_ms(FREQ[duty_ppm], airtime_us, now + wait - 1) > 0
        now += wait
        assert ledger.wait_ms(FREQ[duty_ppm], airtime_us, now) == 0
        ledger.spend(FREQ[duty_ppm], airtime_us, now)
        sent.append((now, airtime_us))
        now += airtime_us // 1000 + 1
    return sent


def on_air_us(sent, from_ms, to_ms):
    """Airtime within a span, frames that reach over its edges counted for what lies inside."""
    return sum(max(0, min(to_ms * 1000, s * 1000 + a) - max(from_ms * 1000, s * 1000)) for s, a in sent)


@examples(60)
@given(st.sampled_from([1000, 10000, 100000]), traffic)
def test_no_hour_exceeds_its_duty(duty_ppm, wishes):
    sent = greedy(duty_ppm, wishes)
    for start, airtime_us in sent:
        for from_ms in (start, start + airtime_us // 1000 + 1 - HOUR_MS):
            assert on_air_us(sent, from_ms, from_ms + HOUR_MS) <= duty_ppm * 3600


@examples(60)
@given(st.sampled_from([1000, 10000, 100000]), traffic)
def test_after_a_boot_one_frame_and_the_duty_rate(duty_ppm, wishes):
    sent = greedy(duty_ppm, wishes)
    used = 0
    for start, airtime_us in sent:
        used += airtime_us
        first_ms, first_us = sent[0]
        gathered = max(first_us, first_ms * duty_ppm // 1000)  # one frame in any case
        assert used <= gathered + (start - first_ms) * duty_ppm // 1000 + 1


def test_steady_traffic_gets_nearly_the_whole_duty():
    sent = greedy(10000, [(205824, 0)] * 600)
    last = sent[-1][0]
    assert on_air_us(sent, last - HOUR_MS, last) > 0.95 * 36e6


def test_every_band_of_the_plan_is_kept():
    for low, high, duty_ppm, _ in EU868:
        ledger = Ledger(0)
        ledger.spend((low + high) // 2, 100000, 0)
        assert ledger.wait_ms((low + high) // 2, 100000, 0) == 100000 * 1000 // duty_ppm

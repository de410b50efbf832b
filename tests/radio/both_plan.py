"""The plan eu868 and the duty ledger, under both interpreters."""

from firmware.radio.ledger import HOUR_MS, NEVER_MS, Ledger
from firmware.radio.plan import band_of, power_limit_dbm

F1 = 868100000  # 1 %
FRAME_US = 205824  # SF9, 24 bytes


def check_sub_bands():
    assert band_of(868100000, 125000) == (868000000, 868600000, 10000, 14)
    assert band_of(869525000, 125000) == (869400000, 869650000, 100000, 27)
    assert band_of(868950000)[2] == 1000
    assert band_of(867999999)[1] == 868000000
    assert band_of(868000000)[0] == 868000000
    assert band_of(868650000) is None  # alarms
    assert band_of(868000000, 125000) is None  # half of it in the next band
    assert band_of(433000000) is None


def check_power_counts_the_antenna():
    assert power_limit_dbm(868100000, 2) == 14
    assert power_limit_dbm(868100000, 5) == 11
    assert power_limit_dbm(869525000, 0) == 29
    assert power_limit_dbm(900000000) is None


def check_one_frame_after_a_boot_then_the_duty_rate():
    ledger = Ledger(0)
    assert ledger.wait_ms(F1, FRAME_US, 0) == 0
    ledger.spend(F1, FRAME_US, 0)
    assert ledger.wait_ms(F1, FRAME_US, 0) == 20583  # 205.824 ms at 1 %
    assert ledger.wait_ms(F1, FRAME_US, 20000) == 583
    assert ledger.wait_ms(F1, FRAME_US, 20583) == 0
    ledger.spend(F1, FRAME_US, 20583)
    assert ledger.wait_ms(F1, FRAME_US, 20583) > 20000


def check_a_first_frame_that_comes_later_spends_what_has_come():
    ledger = Ledger(0)
    ledger.spend(F1, FRAME_US, 10000)
    assert ledger.wait_ms(F1, FRAME_US, 10000) == 20583


def check_bands_are_apart():
    ledger = Ledger(0)
    ledger.spend(F1, FRAME_US, 0)
    assert ledger.wait_ms(F1, FRAME_US, 0) > 0
    assert ledger.wait_ms(869525000, FRAME_US, 0) == 0
    assert ledger.wait_ms(868300000, FRAME_US, 0) > 0  # another channel of the same band


def check_a_quiet_hour_gives_the_whole_hour():
    ledger = Ledger(0)
    ledger.spend(F1, FRAME_US, 0)
    now = HOUR_MS + 120000
    sent = 0
    while ledger.wait_ms(F1, 1000000, now) == 0:
        ledger.spend(F1, 1000000, now)
        sent += 1
        now += 1000
    assert sent == 36
    wait = ledger.wait_ms(F1, 1000000, now)
    assert HOUR_MS - 60000 < wait <= HOUR_MS + 120000  # until the first of them is an hour old
    assert ledger.wait_ms(F1, 1000000, now + wait) == 0


def check_what_never_fits():
    ledger = Ledger(0)
    assert ledger.wait_ms(868650000, FRAME_US, 0) == NEVER_MS
    assert ledger.wait_ms(868950000, 3600001, 0) == NEVER_MS  # 0.1 % of an hour is 3.6 s
    assert ledger.wait_ms(868950000, 3600000, 0) == 0
    ledger.spend(868650000, FRAME_US, 0)  # counted nowhere, and no error either


def check_ticks_that_wrap():
    period = 1 << 30
    half = period // 2

    def diff(end, start):
        return (end - start + half) % period - half

    start = period - 5000
    ledger = Ledger(start, diff=diff)
    ledger.spend(F1, FRAME_US, start)
    assert ledger.wait_ms(F1, FRAME_US, (start + 10583) % period) == 10000
    assert ledger.wait_ms(F1, FRAME_US, (start + 20583) % period) == 0

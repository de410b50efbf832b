"""A duty ledger over a deep sleep: its state as a list of whole numbers, and back. Loaded only by boards that sleep deeply."""

from .ledger import BINS

# A sleeping board's clock is an RC oscillator that may be fast by as much: less time has gone by than it says.
_SURE_PER_16 = 15


def freeze(ledger, now_ms):
    """Return what the ledger knows at the ticks `now_ms`: [age, ms into the bin, newest bin, [[band, gift, us by bin...]]]."""
    ledger._advance(now_ms)
    accounts = []
    for lo_hz, account in ledger._accounts.items():
        accounts.append([lo_hz, account.gift_us] + account.bins)
    return [ledger._age_ms, ledger._in_bin_ms, ledger._newest, accounts]


def thaw(ledger, frozen, slept_ms):
    """Put what `freeze` returned into a new Ledger of the same plan, after a sleep. ValueError: it is of none."""
    age_ms, in_bin_ms, newest, accounts = frozen
    for lo_hz, gift_us, *bins in accounts:
        account = ledger._account(lo_hz)
        if account is None or len(bins) != BINS:
            raise ValueError
        account.gift_us = gift_us
        account.bins = bins
        account.used_us = sum(bins)
    ledger._age_ms, ledger._in_bin_ms, ledger._newest = age_ms, in_bin_ms, newest
    ledger.elapse(slept_ms * _SURE_PER_16 // 16)

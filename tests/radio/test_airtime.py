"""Airtime against an independent count of what is really sent: nibbles, code words, interleaver blocks."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from firmware.radio.airtime import airtime_us, ldro
from tools.twin.chips.lora import Emission, Tuning

BANDWIDTHS = (7812, 10417, 15625, 20833, 31250, 41667, 62500, 125000, 250000, 500000)


def symbols(frame):
    """Fill interleaver blocks with code words: the first carries SF - 2 of them in 8 symbols (SF at SF5 and SF6)."""
    n_bytes, sf, bw_hz, cr, preamble, crc, explicit = frame
    nibbles = 2 * n_bytes + (4 if crc else 0) + (5 if explicit else 0)
    nibbles -= sf - 2 if sf >= 7 else sf
    sent = preamble + (Fraction(17, 4) if sf >= 7 else Fraction(25, 4)) + 8
    rows = sf - 2 if Fraction(2**sf, bw_hz) >= Fraction(16, 1000) else sf
    while nibbles > 0:
        nibbles -= rows
        sent += cr
    return sent


frames = st.tuples(
    st.integers(0, 255),
    st.integers(5, 12),
    st.sampled_from(BANDWIDTHS),
    st.integers(5, 8),
    st.integers(1, 1000),
    st.booleans(),
    st.booleans(),
)


@given(frames)
def test_airtime_is_what_is_sent(frame):
    n_bytes, sf, bw_hz, cr, preamble, crc, explicit = frame
    exact_us = symbols(frame) * 2**sf * 1000000 / bw_hz
    assert abs(airtime_us(n_bytes, sf, bw_hz, cr, preamble, crc=crc, explicit=explicit) - exact_us) <= Fraction(1, 2)


@given(frames)
def test_the_chip_takes_as_long_as_the_driver_says(frame):
    """Two implementations that share no code."""
    n_bytes, sf, bw_hz, cr, preamble, crc, explicit = frame
    emission = Emission(
        Tuning(868100000, bw_hz, sf, False, 0x1424),
        cr=cr,
        low_rate=ldro(sf, bw_hz),
        preamble=preamble,
        explicit=explicit,
        crc=crc,
        payload=bytes(n_bytes),
        power_dbm=14.0,
        loss_db=0.0,
        start_us=1000,
    )
    assert emission.end_us - 1000 == airtime_us(n_bytes, sf, bw_hz, cr, preamble, crc=crc, explicit=explicit)
    assert 1000 <= emission.detect_us <= emission.lock_us < emission.header_us <= emission.end_us

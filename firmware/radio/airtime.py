"""Time on air of a LoRa frame, exact to the microsecond. Integers only; source: SX1261/2 data sheet, section 6.1.4."""


def ldro(sf, bw_hz):
    """True where the low data rate optimisation must be on: symbols of 16 ms or more."""
    return (1000 << sf) >= 16 * bw_hz


def symbol_us(sf, bw_hz, quarters=4):
    """Microseconds of one symbol, or of so many quarters of one, rounded to the nearest."""
    return ((quarters << sf) * 250000 + bw_hz // 2) // bw_hz


def airtime_us(n_bytes, sf, bw_hz, cr=5, preamble=8, *, crc=True, explicit=True):
    """Microseconds from the first preamble symbol to the end of a frame of `n_bytes`; `cr` is the denominator 5..8.

    SF5 and SF6 follow the rule of the SX126x.
    """
    bits = 8 * n_bytes - 4 * sf + (16 if crc else 0) + (20 if explicit else 0)
    sync = 25  # quarters of sync word and start delimiter
    if sf >= 7:
        bits += 8
        sync = 17
    per_block = 4 * (sf - 2 if ldro(sf, bw_hz) else sf)
    blocks = (bits + per_block - 1) // per_block if bits > 0 else 0
    return symbol_us(sf, bw_hz, 4 * (preamble + 8 + blocks * cr) + sync)

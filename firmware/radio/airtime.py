"""Time on air of a LoRa frame, exact to the microsecond. Integers only; source: SX1261/2 data sheet, section 6.1.4."""


def ldro(sf, bw_hz):
    """True where the low data rate optimisation must be on: symbols of 16 ms or more."""
    return (1000 << sf) >= 16 * bw_hz


def symbols_x4(n_bytes, sf, low_rate, cr=5, preamble=8, *, crc=True, explicit=True):
    """Quarters of a symbol in a frame of `n_bytes`; `cr` is the denominator 5..8. SF5 and SF6 by the SX126x rule."""
    bits = 8 * n_bytes - 4 * sf + (16 if crc else 0) + (20 if explicit else 0)
    sync = 25  # quarters of sync word and start delimiter
    if sf >= 7:
        bits += 8
        sync = 17
    per_block = 4 * (sf - 2 if low_rate else sf)
    blocks = (bits + per_block - 1) // per_block if bits > 0 else 0
    return 4 * (preamble + 8 + blocks * cr) + sync


def quarters_us(quarters, sf, bw_hz):
    """Microseconds of so many quarter symbols, rounded to the nearest."""
    return ((quarters << sf) * 250000 + bw_hz // 2) // bw_hz


def symbol_us(sf, bw_hz):
    """Microseconds of one symbol, rounded to the nearest."""
    return quarters_us(4, sf, bw_hz)


def airtime_us(n_bytes, sf, bw_hz, cr=5, preamble=8, *, crc=True, explicit=True):
    """Microseconds from the first preamble symbol to the end of a frame of `n_bytes`; `cr` is the denominator 5..8."""
    quarters = symbols_x4(n_bytes, sf, ldro(sf, bw_hz), cr, preamble, crc=crc, explicit=explicit)
    return quarters_us(quarters, sf, bw_hz)

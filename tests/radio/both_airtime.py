"""Airtime exact to the microsecond, under CPython and MicroPython alike."""

from firmware.radio.airtime import airtime_us, ldro, symbol_us

# bytes: microseconds at SF5..SF12, 125 kHz, CR 4/5, preamble 8, CRC, explicit header
GOLDEN = {
    12: (13376, 24192, 41216, 82432, 144384, 288768, 577536, 1155072),
    24: (19776, 34432, 61696, 113152, 205824, 370688, 823296, 1482752),
    51: (33856, 57472, 102656, 184832, 328704, 616448, 1314816, 2465792),
    100: (58176, 98432, 174336, 307712, 553984, 1026048, 2215936, 3940352),
    222: (120896, 203392, 348416, 614912, 1106944, 2009088, 4427776, 8036352),
}


def check_golden_table():
    for n_bytes, row in GOLDEN.items():
        for i in range(8):
            assert airtime_us(n_bytes, 5 + i, 125000) == row[i], (n_bytes, 5 + i)


def check_figures_of_the_semtech_calculator():
    assert airtime_us(1, 12, 500000) == 206848
    assert airtime_us(64, 12, 500000, preamble=12) == 649216
    assert airtime_us(192, 12, 500000) == 1476608
    assert airtime_us(1, 8, 125000, cr=6, crc=False) == 53760
    assert airtime_us(253, 8, 125000, cr=6) == 827904
    assert airtime_us(1, 5, 500000, preamble=2, crc=False) == 1360


def check_low_data_rate_optimisation():
    on = {(sf, bw_hz) for sf in range(5, 13) for bw_hz in (62500, 125000, 250000, 500000) if ldro(sf, bw_hz)}
    assert on == {(11, 125000), (12, 125000), (12, 250000), (10, 62500), (11, 62500), (12, 62500)}


def check_symbols():
    assert symbol_us(9, 125000) == 4096
    assert symbol_us(12, 7812) == 524322  # 4096 / 7812 Hz, rounded
    assert symbol_us(5, 500000) == 64

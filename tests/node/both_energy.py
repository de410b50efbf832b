"""The table of board and battery combinations, row by row, by the same arithmetic on boards and on hosts."""

from firmware.node import energy
from firmware.radio.airtime import airtime_us

YEAR = 1461  # quarter days
# 96 readings a day, SX1262 at +14 dBm. Battery; sleep uA; ms and uA of a wake; then for SF7, SF9, SF12 the years with one
# reading a frame (30 B) and with eight (49 B).
COMBINATIONS = (
    (2500, "alkaline", 15, 600, 40000, ((7, 5.3, 5.6), (9, 4.6, 5.5), (12, 2.2, 4.4))),
    (2500, "alkaline", 15, 250, 30000, ((7, 8.0, 8.8), (9, 6.6, 8.4), (12, 2.5, 6.2))),
    (3000, "lithium", 15, 250, 30000, ((7, 11.3, 12.5), (9, 9.0, 11.9), (12, 3.1, 8.3))),
    (19000, "li-socl2", 15, 600, 40000, ((7, 28, 29), (9, 25, 28), (12, 13.9, 24.5))),
    (2500, "alkaline", 1300, 0, 0, ((7, 0.2, 0.2), (9, 0.2, 0.2), (12, 0.2, 0.2))),
    (19000, "li-socl2", 1300, 0, 0, ((7, 1.6, 1.6), (9, 1.6, 1.6), (12, 1.6, 1.6))),
)
# mJ of one frame at 3.3 V with 29, 87, 45 and 118 mA, by frame size and spreading factor.
FRAMES = {
    30: {7: (6.9, 20.7, 10.7, 28.0), 8: (11.8, 35.4, 18.3, 48.0), 9: (21.7, 65.0, 33.6, 88.1), 10: (43.3, 129.9, 67.2, 176.2),
         11: (86.6, 259.9, 134.4, 352.5), 12: (157.6, 472.7, 244.5, 641.2)},
    27: {7: (6.4, 19.2, 9.9, 26.0), 8: (11.8, 35.4, 18.3, 48.0), 9: (21.7, 65.0, 33.6, 88.1), 10: (39.4, 118.2, 61.1, 160.3),
         11: (78.8, 236.4, 122.3, 320.6), 12: (157.6, 472.7, 244.5, 641.2)},
    40: {7: (7.9, 23.6, 12.2, 32.0), 8: (14.7, 44.2, 22.9, 60.0), 9: (27.5, 82.6, 42.7, 112.0), 10: (51.2, 153.5, 79.4, 208.1),
         11: (102.3, 306.9, 158.8, 416.3), 12: (188.9, 566.8, 293.2, 768.8)},
}  # fmt: skip


def years(combination, sf, size, frames_day):
    """Life in years of one combination."""
    capacity_mah, chemistry, sleep_ua, wake_ms, run_ua, _ = combination
    power = {"deep_ua": sleep_ua, "light_ua": 0, "run_ua": run_ua, "wake_ms": wake_ms}
    use = {
        "reports_day": 96, "samples_day": 0, "sample_ms": 0, "frames_day": frames_day,
        "frame_ms": (airtime_us(size, sf, 125000, 5) + 500) // 1000,
        "tx_ua": 45000, "windows_day": 0, "window_ms": 0, "rx_ua": 4600, "radio_sleep_ua": 0, "sensors": (),
    }  # fmt: skip
    return energy.life_days(capacity_mah, chemistry, energy.day_nc(energy.draws("deep", power, use))) * 4 / YEAR


def check_every_combination():
    for combination in COMBINATIONS:
        for sf, single, eight in combination[-1]:
            for wanted, size, frames_day in ((single, 30, 96), (eight, 49, 12)):
                found = years(combination, sf, size, frames_day)
                # below a year the rounding of "0.2" is more than 5 %
                most = 0.05 * wanted if wanted > 1 else 0.05
                assert abs(found - wanted) <= most, (combination, sf, wanted, found)


def check_energy_of_a_frame():
    for size, rows in FRAMES.items():
        for sf, wanted in rows.items():
            for i, current_ua in enumerate((29000, 87000, 45000, 118000)):
                found = energy.frame_uj(current_ua, airtime_us(size, sf, 125000, 5)) / 1000
                assert abs(found - wanted[i]) <= 0.01 * wanted[i], (size, sf, current_ua, wanted[i], found)


def check_what_a_profile_changes():
    power = {"run_ua": 25000, "idle_ua": 21000, "light_ua": 1300, "deep_ua": 15, "gated_ua": 1, "wake_ms": 1000, "work_ms": 100}
    use = {
        "reports_day": 96, "samples_day": 0, "sample_ms": 0, "frames_day": 96, "frame_ms": 200, "tx_ua": 45000, "windows_day": 1,
        "window_ms": 1200, "rx_ua": 4600, "radio_sleep_ua": 1, "sensors": (("distance", 8000, 3000, 20, 96),),
    }  # fmt: skip
    found = [energy.day_nc(energy.draws(profile, power, use)) // energy.DAY_MS for profile in energy.PROFILES]
    always, light, deep, gated = found
    # by hand: base; 96 s or 9.6 s of computing; 288 s of sensor and 20.4 s of radio
    assert always == (21000 * 86400 + 8000 * 288 + 20 * 86400 + 45000 * 19.2 + 4600 * 1.2 + 86400) // 86400
    assert light == int(1300 + (25000 * 9.6 + (21000 - 1300 + 8000) * 288 + 45000 * 19.2 + 4600 * 1.2) / 86400 + 21)
    assert deep == int(15 + (25000 * 96 + 1300 * 20.4 + (21000 + 8000) * 288 + 45000 * 19.2 + 4600 * 1.2) / 86400 + 21)
    assert gated == int(1 + (25000 * 96 + 1300 * 20.4 + (21000 + 8000) * 288 + 45000 * 19.2 + 4600 * 1.2) / 86400)
    assert always > light > deep > gated


def check_a_cell_that_gives_nothing_still_ends():
    assert energy.life_days(2500, "alkaline", 0) == 12175  # 3 % a year
    assert energy.shelf_days("alkaline") == 3652

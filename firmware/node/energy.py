"""How long a battery lasts, from what draws how much for how long. Pure: no board, no clock.

Currents in uA, times in ms, charge in nC (uA x ms), capacity in mAh. What is not counted: cold, ageing, peaks that an old
cell cannot deliver.
"""

DAY_MS = 86400000
_MAH_NC = 3600000000
PROFILES = ("always", "light", "deep", "gated")
COLD = ("deep", "gated")  # every wake is a start, and the memory is gone
# Cells: self-discharge a year in thousandths of the capacity, years after which the cell itself is at its end.
CHEMISTRIES = {"alkaline": (30, 10), "lithium": (10, 20), "li-socl2": (15, 15), "nimh": (150, 5), "li-ion": (200, 5)}


def draws(profile, power, use):
    """Return [(what, uA, ms a day)] of a board in `profile`.

    power: the board's currents: run_ua, and of the profiles that it has idle_ua (always), light_ua, deep_ua, gated_ua;
    wake_ms, how long a report computes after a reset, and work_ms, how long without.
    use: reports_day, samples_day and sample_ms (of a service that samples by itself), frames_day, frame_ms, tx_ua,
    windows_day, window_ms, rx_ua, radio_sleep_ua; sensors: [(name, active_ua, active_ms, standby_ua, times a day)].
    """
    reset = profile in COLD
    dark = profile == "gated"  # the sensors and the radio lose their power too
    base_ua = power["idle_ua" if profile == "always" else profile + "_ua"]
    out = [("base", base_ua, DAY_MS)]
    if profile != "always":
        work_ms = use["reports_day"] * power["wake_ms" if reset else "work_ms"] + use["samples_day"] * use["sample_ms"]
        out.append(("awake", power["run_ua"], work_ms))
    sensors_ms = 0
    for name, active_ua, active_ms, standby_ua, times in use["sensors"]:
        sensors_ms += active_ms * times
        out.append((name, active_ua, active_ms * times))
        if not dark:
            out.append((name, standby_ua, DAY_MS))
    if reset:  # while it waits for the radio it sleeps lightly
        radio_ms = use["frames_day"] * use["frame_ms"] + use["windows_day"] * use["window_ms"]
        out.append(("waiting", power["light_ua"], radio_ms))
    if sensors_ms and profile != "always":  # but for a sensor it stays awake: a UART hears nothing in light sleep
        out.append(("waiting", power["idle_ua"] - (0 if reset else base_ua), sensors_ms))
    out.append(("sending", use["tx_ua"], use["frames_day"] * use["frame_ms"]))
    out.append(("listening", use["rx_ua"], use["windows_day"] * use["window_ms"]))
    if not dark:
        out.append(("radio", use["radio_sleep_ua"], DAY_MS))
    return out


def day_nc(rows):
    """Return the charge of a day in nC of rows of `draws`."""
    return sum([current_ua * ms for _, current_ua, ms in rows])


def self_discharge_nc(capacity_mah, chemistry):
    """Return what a cell loses in a day by itself, nC."""
    return capacity_mah * _MAH_NC * CHEMISTRIES[chemistry][0] * 4 // (1000 * 1461)


def life_days(capacity_mah, chemistry, charge_nc):
    """Return how many days a battery of `capacity_mah` gives `charge_nc` a day; the cell's own end is not counted."""
    return capacity_mah * _MAH_NC // (charge_nc + self_discharge_nc(capacity_mah, chemistry))


def shelf_days(chemistry):
    """Return after how many days the cell itself is at its end."""
    return CHEMISTRIES[chemistry][1] * 1461 // 4


def frame_uj(current_ua, frame_us, supply_mv=3300):
    """Return the energy of one frame in uJ."""
    return current_ua * frame_us // 1000 * supply_mv // 1000000

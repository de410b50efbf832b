"""What plan and law make of a radio's settings."""

from firmware.radio.plan import PLANS, band_of, power_limit_dbm
from firmware.wire.errors import DeviceError

# The settings of a plan: name, lowest, highest.
SETTINGS = (
    ("freq_hz", 150_000_000, 960_000_000), ("sf", 5, 12), ("bw_hz", 7_800, 500_000), ("cr", 5, 8), ("power_dbm", -17, 22),
    ("sync", 0, 255),
)  # fmt: skip


def bands_of(plan):
    """Return the sub-bands of the plan's `band`. DeviceError("config")."""
    bands = PLANS.get(plan.get("band"))
    if bands is None:
        raise DeviceError("config", "plan: band %s is unknown" % plan.get("band"))
    return bands


def settings_of(plan, bands, antenna_dbi, inverted=False):
    """Return the radio's settings (dict for `configure`) of a plan with all of SETTINGS. DeviceError("config").

    The power is what the plan asks for, at most what the law leaves with this antenna.
    """
    settings = {"iq": inverted}
    for name, low, high in SETTINGS:
        value = plan.get(name)
        if type(value) is not int or not low <= value <= high:
            raise DeviceError("config", "plan: %s must be %d to %d" % (name, low, high))
        settings[name] = value
    freq_hz = settings["freq_hz"]
    if band_of(freq_hz, settings["bw_hz"], bands) is None:
        raise DeviceError("config", "plan: %d Hz is in no sub-band" % freq_hz)
    settings["power_dbm"] = min(settings["power_dbm"], power_limit_dbm(freq_hz, antenna_dbi, bands))
    return settings

"""What plan and law make of a radio's settings."""

from firmware.radio.plan import PLANS, band_of, power_limit_dbm
from firmware.wire.errors import DeviceError

from .config import check_plan

NAMES = ("freq_hz", "sf", "bw_hz", "cr", "power_dbm", "sync")


def bands_of(plan):
    """Return the sub-bands of the plan's `band`. DeviceError("config")."""
    bands = PLANS.get(plan.get("band"))
    if bands is None:
        raise DeviceError("config", "plan: band %s is unknown" % plan.get("band"))
    return bands


def settings_of(plan, bands, antenna_dbi, inverted=False):
    """Return the radio's settings (dict for `configure`) of a plan with freq_hz sf bw_hz cr power_dbm sync.

    The power is what the plan asks for, at most what the law leaves with this antenna. DeviceError("config").
    """
    check_plan(plan)
    if band_of(plan["freq_hz"], plan["bw_hz"], bands) is None:
        raise DeviceError("config", "plan: %d Hz is in no sub-band" % plan["freq_hz"])
    settings = {name: plan[name] for name in NAMES}
    settings["power_dbm"] = min(plan["power_dbm"], power_limit_dbm(plan["freq_hz"], antenna_dbi, bands))
    settings["iq"] = inverted
    return settings

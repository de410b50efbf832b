"""The radio plan eu868: where a board may send, how long in an hour, how strongly. Source: firmware/wire/README.md, section 0."""

# Sub-band: lowest and highest edge in Hz, duty in millionths of an hour, limit of the radiated power (ERP) in dBm.
EU868 = (
    (865000000, 868000000, 10000, 14),
    (868000000, 868600000, 10000, 14),
    (868700000, 869200000, 1000, 14),
    (869400000, 869650000, 100000, 27),
    (869700000, 870000000, 10000, 14),
)
PLANS = {"eu868": EU868}


def band_of(freq_hz, bw_hz=0, plan=EU868):
    """The sub-band `(lo_hz, hi_hz, duty_ppm, erp_dbm)` that holds the whole signal, None outside the plan."""
    for band in plan:
        # A signal without width at the border of two bands belongs to the upper one.
        if band[0] <= freq_hz - bw_hz // 2 and freq_hz + (bw_hz + 1) // 2 <= band[1] and freq_hz < band[1]:
            return band
    return None


def power_limit_dbm(freq_hz, antenna_dbi=0, plan=EU868):
    """Highest power in dBm at the connector of an antenna of `antenna_dbi`; None outside the plan.

    ERP is counted against a dipole, which has 2.15 dBi; the two whole ones are given back.
    """
    band = band_of(freq_hz, 0, plan)
    return None if band is None else band[3] + 2 - antenna_dbi

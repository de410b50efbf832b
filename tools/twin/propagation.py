"""What becomes of a LoRa signal on its way: path loss, noise, sensitivity, and the loss that a shared channel must expect."""

import math
from collections.abc import Sequence

LOSS_1M_DB = 31.2  # free space, 868 MHz, isotropic antennas
EXPONENT = 3.3  # streets, antennas low: 130 dB at a kilometre; 129 were measured in Oulu (Petajajarvi 2015)
SHADOW_DB = 6.0  # standard deviation from link to link
SEA_EXPONENT = 2.7  # over water to an antenna half a metre above it: 125 dB at 2.9 km, as the two-ray law says
SEA_SHADOW_DB = 2.0
FADING_DB = 3.5  # standard deviation from frame to frame, cars and people about
NOISE_FIGURE_DB = 6.0
CAPTURE_DB = 6.0


def path_loss_db(distance_m: float, exponent: float = EXPONENT, loss_1m_db: float = LOSS_1M_DB) -> float:
    """Mean loss over `distance_m` (at least one metre) by the log-distance law."""
    return loss_1m_db + 10 * exponent * math.log10(max(1.0, distance_m))


def noise_floor_dbm(bw_hz: int, noise_figure_db: float = NOISE_FIGURE_DB) -> float:
    """Thermal noise at 290 K in `bw_hz`, as a receiver of this noise figure hears it."""
    return -174 + 10 * math.log10(bw_hz) + noise_figure_db


def snr_limit_db(sf: int) -> float:
    """Lowest signal to noise ratio that a LoRa receiver demodulates."""
    return -2.5 * (sf - 4)


def sensitivity_dbm(sf: int, bw_hz: int, noise_figure_db: float = NOISE_FIGURE_DB) -> float:
    """Weakest signal that is received."""
    return noise_floor_dbm(bw_hz, noise_figure_db) + snr_limit_db(sf)


def milliwatts(dbm: float) -> float:
    """Power in mW."""
    return float(10 ** (dbm / 10))


def dbm(mw: float) -> float:
    """Power in dBm; nothing at all counts as -300."""
    return 10 * math.log10(mw) if mw > 1e-30 else -300.0


def expected_loss(n_nodes: int, period_s: float, airtime_us: int, survives: float = 0.0) -> float:
    """Share of frames lost to collisions when `n_nodes` send once per `period_s` at random moments on one channel.

    Unslotted ALOHA: each of the others begins within one airtime before or after with probability 2 T / period.
    `survives` is the probability that a frame outlives an overlap (see `capture_share`); 0 is the classic curve.
    """
    if n_nodes < 2:
        return 0.0
    overlap = min(1.0, 2 * airtime_us / 1e6 / period_s)
    return 1 - float((1 - overlap * (1 - survives)) ** (n_nodes - 1))


def capture_share(levels_dbm: Sequence[float], airtime_us: int, symbol_us: float, preamble: int = 8,
                  capture_db: float = CAPTURE_DB) -> float:  # fmt: skip
    """Probability that a frame outlives an overlap at one receiver that hears these senders at `levels_dbm`.

    Nobody needs a preamble but for its last five symbols. The stronger one by `capture_db` survives if it began first, or
    while the receiver was not yet, or no longer, locked to the other: during that one's preamble, or so that its header broke.
    """
    n = len(levels_dbm)
    if n < 2:
        return 0.0
    ordered = sorted(levels_dbm)
    pairs = low = 0
    for level in ordered:
        while ordered[low] <= level - capture_db:
            low += 1
        pairs += low
    wins = pairs / (n * (n - 1))
    unneeded_us = max(0, preamble - 5) * symbol_us
    return min(1.0, (unneeded_us + wins * (airtime_us + (preamble + 8) * symbol_us)) / (2 * airtime_us))

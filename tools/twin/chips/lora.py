"""A LoRa frame in the air as the registers of a transmitter shape it, and the doors between a radio chip and its ether.

Plain code that MicroPython runs too, so that a driver and its chip can meet in one process. Source: SX1261/2 data sheet, 6.1.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    class Handle(Protocol):
        """A call that is to come."""

        def cancel(self) -> Any: ...

    class Clock(Protocol):
        """The clock of the simulation."""

        @property
        def now_us(self) -> int: ...

        def at(self, t_us: int, fn: Callable[..., Any], *args: Any) -> Handle: ...

    class Random(Protocol):
        """The part of `random.Random` that a chip needs."""

        def getrandbits(self, __k: int) -> int: ...

    class Air(Protocol):
        """What a radio chip asks of the ether around it."""

        def transmit(self, chip: Any, emission: "Emission") -> None:
            """The first symbol of `emission` leaves now."""

        def abort(self, chip: Any, emission: "Emission") -> None:
            """The carrier of `emission` ends now, before its last symbol."""

        def level_dbm(self, chip: Any, freq_hz: int, bw_hz: int) -> float:
            """Power in the channel at the chip's antenna, noise included."""

        def carries(self, chip: Any, emission_like: "Tuning") -> bool:
            """Is a frame of this tuning in the air, strong enough for a channel activity detection?"""


class Tuning:
    """What two modems must share to understand each other. `inverted` None: a register state that fits neither polarity."""

    def __init__(self, freq_hz: int, bw_hz: int, sf: int, inverted: "bool | None", sync: int) -> None:
        self.freq_hz = freq_hz
        self.bw_hz = bw_hz
        self.sf = sf
        self.inverted = inverted
        self.sync = sync

    def demodulates(self, other: "Tuning") -> bool:
        """True where this receiver's correlator sees the chirps of `other`; the sync word is compared later."""
        return (
            self.sf == other.sf
            and self.bw_hz == other.bw_hz
            and self.inverted is not None
            and self.inverted == other.inverted
            and abs(self.freq_hz - other.freq_hz) * 4 <= self.bw_hz
        )


class Emission:
    """One frame: `tuning`, the coding that its header announces, `payload`, `power_dbm` at the antenna connector.

    `loss_db` is what imperfect modulation costs every receiver. Instants, us on the simulation's clock: `start_us`;
    `detect_us`, from when on a receiver must listen; `lock_us`, end of the preamble; `header_us`; `end_us`.
    """

    def __init__(self, tuning: Tuning, *, cr: int, low_rate: bool, preamble: int, explicit: bool, crc: bool, payload: bytes,
                 power_dbm: float, loss_db: float, start_us: int) -> None:  # fmt: skip
        self.tuning = tuning
        self.cr = cr
        self.low_rate = low_rate
        self.explicit = explicit
        self.crc = crc
        self.payload = payload
        self.power_dbm = power_dbm
        self.loss_db = loss_db
        self.start_us = start_us
        sf, bw_hz = tuning.sf, tuning.bw_hz
        self.detect_us = start_us + _us(4 * max(0, preamble - 5), sf, bw_hz)
        self.lock_us = start_us + _us(4 * preamble, sf, bw_hz)
        self.header_us = start_us + _us(4 * (preamble + 8) + _sync_quarters(sf), sf, bw_hz)
        blocks = payload_blocks(len(payload), sf, low_rate, crc, explicit)
        self.end_us = start_us + _us(4 * (preamble + 8 + blocks * cr) + _sync_quarters(sf), sf, bw_hz)


def payload_blocks(n_bytes: int, sf: int, low_rate: bool, crc: bool, explicit: bool) -> int:
    """Interleaver blocks after the eight symbols of the header, by the data sheet's formula."""
    bits = 8 * n_bytes + 16 * int(crc) - 4 * sf + 20 * int(explicit) + (8 if sf >= 7 else 0)
    if bits <= 0:
        return 0
    per_block = 4 * (sf - 2) if low_rate else 4 * sf
    return -(-bits // per_block)


def _sync_quarters(sf: int) -> int:
    return 17 if sf >= 7 else 25


def _us(quarters: int, sf: int, bw_hz: int) -> int:
    return ((quarters << sf) * 500000 + bw_hz) // (2 * bw_hz)

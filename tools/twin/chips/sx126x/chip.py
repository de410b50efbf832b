"""An SX1261/SX1262 on its module: modes, sending, listening, channel activity detection."""

from ..lora import Emission
from . import tables as t
from .settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..lora import Air, Clock, Handle, Random

CONTINUOUS = 0xFFFFFF


class SX126x(Settings):
    """A chip with its module: `tcxo_mv` 0 = crystal; `rf_switch` how the module turns its antenna switch.

    "dio2": by DIO2 alone; "dio2+rxen": DIO2 for sending, pin `rxen` for receiving; "pins": `rxen` and `txen`.
    `agc_lock_dbm`: so strong a signal leaves a receiver deaf until it has slept and been calibrated, or has sent.
    """

    def __init__(self, clock: "Clock", air: "Air", rng: "Random", *, variant: str = "sx1262", tcxo_mv: int = 1800,
                 tcxo_start_us: int = 1500, rf_switch: str = "dio2", version: bytes = b"SX1261 V2D 2D02",
                 agc_lock_dbm: "float | None" = None) -> None:  # fmt: skip
        self.air = air
        self.rf_switch = rf_switch
        self.agc_lock_dbm = agc_lock_dbm
        self.pins = {"rxen": 0, "txen": 0}
        self.emission: Emission | None = None  # what is being sent
        self.locked: Emission | None = None  # what is being received
        self.rx_since_us = 0
        self.rx_ticks = 0
        self._rx_deadline_us = 0
        self.agc_locked = False
        self._rested = True  # no reception since sleep or reset
        self._events: list[Handle] = []  # what the running mode has ahead
        self._stuck_timer: Handle | None = None  # erratum 15.3
        self._damaged = False
        super().__init__(clock, rng, variant, version, (tcxo_mv, tcxo_start_us))

    def set_pin(self, name: str, level: int) -> None:
        """Drive `reset`, `cs`, or the switch inputs `rxen` and `txen` of the module."""
        if name in self.pins:
            self.pins[name] = level
        else:
            super().set_pin(name, level)

    # -- modes

    def _halt(self) -> None:
        self._stop_timers()
        self.locked = None
        if self.emission is not None:
            emission, self.emission = self.emission, None
            self.air.abort(self, emission)

    def _cold_start(self) -> None:
        self._halt()
        self._stop_stuck_timer()
        self._rested = True
        self.rx_pointer = 0
        super()._cold_start()

    def _calibrate(self, blocks: int) -> None:
        super()._calibrate(blocks)
        if self._rested and blocks & t.ADC_BLOCKS == t.ADC_BLOCKS:
            self.agc_locked = False

    def _wake(self) -> None:
        self._rested = True
        super()._wake()

    def _rest(self) -> None:
        """The fallback mode after a frame or a time-out."""
        self._halt()
        self.mode = self.fallback

    def _later(self, t_us: int, fn: "Callable[..., Any]", *args: "Any") -> None:
        self._events.append(self.clock.at(t_us, fn, *args))

    def _op_84(self, args: bytes) -> None:  # SetSleep
        if self._standby_only(0x84):
            self._fall_asleep(bool(args[0] & 4))

    def _op_80(self, args: bytes) -> None:  # SetStandby
        self._halt()
        wanted = t.STBY_XOSC if args[0] & 1 else t.STBY_RC
        if wanted == t.STBY_XOSC:
            self._busy_for(self._clock_start_us())
            if not self._clock_starts():
                self.device_errors |= t.XOSC_START_ERR
                wanted = t.STBY_RC
        self.mode = wanted
        self.command_status = 1
        self._busy_for(t.STBY_US)

    def _op_c0(self, args: bytes) -> None:  # GetStatus
        if self._last_opcode == 0x82:  # straight after SetRx it can leave the chip sending for ever
            self._halt()
            self.mode = t.TX

    def _op_c1(self, args: bytes) -> None:  # SetFs
        if self._radio_starts(t.TO_FS_US) is not None:
            self.mode = t.FS

    def _radio_starts(self, us: int) -> "int | None":
        """Into FS, RX, TX or CAD: the instant at which that is reached; None where clock or synthesiser do not work."""
        self._halt()
        us += self._clock_start_us()
        self._busy_for(us)
        if not self._clock_starts():
            self.device_errors |= t.XOSC_START_ERR
        elif not self.calibrated & t.PLL_BLOCK or not self.freq_hz:
            self.device_errors |= t.PLL_LOCK_ERR
        elif self.lora:
            self.command_status = 1
            return self.clock.now_us + us
        self.mode = t.STBY_RC
        self.command_status = 5
        return None

    # -- sending

    def _op_83(self, args: bytes) -> None:  # SetTx
        start_us = self._radio_starts(t.TO_TX_US + self.ramp_us)
        if start_us is None:
            return
        self.mode = t.TX
        self.agc_locked = False
        if self.faults.tx_done_lost > 0:
            self.faults.tx_done_lost -= 1
            return
        self._later(start_us, self._carrier_on)
        ticks = args[0] << 16 | args[1] << 8 | args[2]
        if ticks:
            self._later(start_us + ticks * 125 // 8, self._time_out)

    def _carrier_on(self) -> None:
        payload = bytes(self.buffer[(self.tx_base + i) & 0xFF] for i in range(self.length))
        self.emission = Emission(
            self.tuning,
            cr=self.cr,
            low_rate=self.low_rate,
            preamble=self.preamble,
            explicit=self.explicit,
            crc=self.crc,
            payload=payload,
            power_dbm=self.power_dbm,
            loss_db=self.modulation_loss_db,
            start_us=self.clock.now_us,
        )
        self._later(self.emission.end_us, self._sent)
        self.air.transmit(self, self.emission)

    def _sent(self) -> None:
        self.emission = None
        self._rest()
        self.command_status = 6
        self._raise(t.TX_DONE)

    # -- listening

    def _op_82(self, args: bytes) -> None:  # SetRx
        since_us = self._radio_starts(t.TO_RX_US)
        if since_us is None:
            return
        self.mode = t.RX
        self._rested = False
        self.rx_since_us = since_us
        self.rx_ticks = args[0] << 16 | args[1] << 8 | args[2]
        self.rx_pointer = self.rx_base
        if 0 < self.rx_ticks < CONTINUOUS:
            self._rx_deadline_us = since_us + self.rx_ticks * 125 // 8
            self.regs[t.RTC_CONTROL] = 1
            self._later(self._rx_deadline_us, self._time_out)
        if self.symbol_timeout:
            self._later(since_us + (self.symbol_timeout << self.sf) * 1000000 // self.bw_hz, self._no_symbol)

    def _time_out(self) -> None:
        self._rest()
        self.command_status = 3
        self._raise(t.TIMEOUT)

    def _no_symbol(self) -> None:
        if self.locked is None:
            self._time_out()

    def _stop_timers(self) -> None:
        for event in self._events:
            event.cancel()
        self._events = []

    def _stop_stuck_timer(self) -> None:
        if self._stuck_timer is not None:
            self._stuck_timer.cancel()
            self._stuck_timer = None

    def _write_register(self, address: int, byte: int) -> None:
        super()._write_register(address, byte)
        if address in (t.RTC_CONTROL, t.EVENT_MASK) and not self.regs[t.RTC_CONTROL] and self.regs[t.EVENT_MASK] & 2:
            self._stop_stuck_timer()

    def hears(self, emission: Emission) -> bool:
        """Is this receiver free, awake since the part of the preamble that it needs, and tuned to this frame?"""
        return (
            self.mode == t.RX
            and self.locked is None
            and not self.agc_locked
            and self.rx_since_us <= emission.detect_us
            and self.tuning.demodulates(emission.tuning)
        )

    def strong_signal(self, level_dbm: float) -> None:
        """A carrier in the channel while receiving: the automatic gain may lock up."""
        if self.mode == t.RX and self.agc_lock_dbm is not None and level_dbm >= self.agc_lock_dbm:
            self.agc_locked = True

    def on_preamble(self, emission: Emission) -> None:
        """The preamble of a frame that this chip `hears` has been found."""
        self.locked = emission
        if self.stop_on_preamble:
            self._stop_timers()
        self._raise(t.PREAMBLE_DETECTED)

    def on_header(self, emission: Emission, intact: bool) -> bool:
        """Sync word and header have passed; False if this receiver lets go of the frame here."""
        if emission is not self.locked:
            return False
        if self.tuning.sync != emission.tuning.sync:
            self.locked = None
            return False
        self._raise(t.SYNC_WORD_VALID)
        if self.faults.header_error > 0:
            self.faults.header_error -= 1
            intact = False
        if not self.explicit:  # nothing announces the frame: what was agreed must fit
            self._damaged = emission.explicit or len(emission.payload) != self.length or emission.cr != self.cr
        elif emission.explicit and intact:
            self._damaged = False
            self._raise(t.HEADER_VALID)
        else:
            self.locked = None
            if self.rx_ticks != CONTINUOUS:
                self._rest()
            self._raise(t.HEADER_ERR)
            return False
        if self.rx_ticks != CONTINUOUS:
            self._stop_timers()
        return True

    def on_packet(self, emission: Emission, payload: bytes, rssi_dbm: float, snr_db: float, intact: bool) -> bool:
        """The frame has ended, as `payload` at this receiver; True if the chip reports it as received without error."""
        if emission is not self.locked:
            return False
        if self.faults.crc_error > 0:
            self.faults.crc_error -= 1
            intact = False
        intact = intact and not self._damaged and emission.low_rate == self.low_rate
        size = len(payload) if self.explicit else self.length
        for i in range(size):
            self.buffer[(self.rx_pointer + i) & 0xFF] = payload[i] if i < len(payload) else 0
        self.rx_start, self.rx_length = self.rx_pointer, size
        self.rx_pointer = (self.rx_pointer + size) & 0xFF
        checked = emission.crc if self.explicit else self.crc
        self.regs[t.RX_CODING_RATE] = (emission.cr - 4) << 4
        self.regs[t.RX_CRC] = 0x10 if checked else 0
        rssi = min(255, max(0, round(-2 * rssi_dbm)))
        self.packet_status = (rssi, min(127, max(-128, round(4 * snr_db))) & 0xFF, rssi)
        self.locked = None
        if self.rx_ticks != CONTINUOUS:
            if self.rx_ticks and not self.explicit and not (self.regs[t.EVENT_MASK] & 2 and not self.regs[t.RTC_CONTROL]):
                self._stuck_timer = self.clock.at(max(self._rx_deadline_us, self.clock.now_us), self._time_out)
            self._rest()
        self.command_status = 2
        self._raise(t.RX_DONE | (t.CRC_ERR if checked and not intact else 0))
        return intact

    def _op_15(self, args: bytes) -> bytes:  # GetRssiInst
        level = self.air.level_dbm(self, self.freq_hz, self.bw_hz) if self.mode == t.RX else 0.0
        return bytes([min(255, max(0, round(-2 * level)))])

    # -- channel activity detection

    def _op_88(self, args: bytes) -> None:  # SetCadParams
        self.cad_symbols = 1 << min(args[0], 4)
        self.cad_exit = args[3]

    def _op_c5(self, args: bytes) -> None:  # SetCad
        since_us = self._radio_starts(t.TO_RX_US)
        if since_us is None:
            return
        self.mode = t.CAD
        self._later(since_us + (self.cad_symbols << self.sf) * 1000000 // self.bw_hz, self._cad_done)

    def _cad_done(self) -> None:
        busy = self.air.carries(self, self.tuning)
        self._rest()
        self._raise(t.CAD_DONE | (t.CAD_DETECTED if busy else 0))

"""What an SX126x is told: frame format, tuning, power, interrupts; and what its registers amount to for the ether."""

from ..lora import Tuning
from . import tables as t
from .core import Core


class Settings(Core):
    """Commands that set parameters, in standby, and the state that follows from the registers."""

    rf_switch: str
    pins: dict[str, int]

    # -- interrupts

    def _raise(self, bits: int) -> None:
        self.irq |= bits & self.irq_mask
        self._set_dio1(int(bool(self.irq & self.dio1_mask)))

    def _op_08(self, args: bytes) -> None:  # SetDioIrqParams
        self.irq_mask = args[0] << 8 | args[1]
        self.dio1_mask = args[2] << 8 | args[3]
        self._set_dio1(int(bool(self.irq & self.dio1_mask)))

    def _op_12(self, args: bytes) -> bytes:  # GetIrqStatus
        return bytes([self.irq >> 8, self.irq & 0xFF])

    def _op_02(self, args: bytes) -> None:  # ClearIrqStatus
        self.irq &= ~(args[0] << 8 | args[1])
        self._set_dio1(int(bool(self.irq & self.dio1_mask)))

    def _op_13(self, args: bytes) -> bytes:  # GetRxBufferStatus
        return bytes([self.rx_length, self.rx_start])

    def _op_14(self, args: bytes) -> bytes:  # GetPacketStatus
        return bytes(self.packet_status)

    # -- parameters

    def _op_8a(self, args: bytes) -> None:  # SetPacketType
        if self._standby_only(0x8A):
            self.lora = args[0] == 1

    def _op_86(self, args: bytes) -> None:  # SetRfFrequency
        word = args[0] << 24 | args[1] << 16 | args[2] << 8 | args[3]
        self.freq_hz = (word * 15625 + (1 << 13)) >> 14

    def _op_8b(self, args: bytes) -> None:  # SetModulationParams
        if not self._standby_only(0x8B):
            return
        if not self.lora or not 5 <= args[0] <= 12 or args[1] not in t.BANDWIDTH_HZ or not 1 <= args[2] <= 4:
            self._refuse(0x8B)
            return
        self.sf, self.bw_hz = args[0], t.BANDWIDTH_HZ[args[1]]
        self.cr, self.low_rate = args[2] + 4, bool(args[3])
        self.regs[t.TX_MODULATION] = t.RESET_VALUES[t.TX_MODULATION]

    def _op_8c(self, args: bytes) -> None:  # SetPacketParams
        if not self._standby_only(0x8C):
            return
        self.preamble = args[0] << 8 | args[1]
        self.explicit, self.length = not args[2], args[3]
        self.crc, self.invert_bit = bool(args[4]), args[5] & 1
        self.regs[t.IQ_POLARITY] = t.RESET_VALUES[t.IQ_POLARITY]

    def _op_95(self, args: bytes) -> None:  # SetPaConfig
        if self._standby_only(0x95):
            self.pa = (args[0], args[1], args[2])
            self.regs[t.OCP] = 0x18 if args[2] else 0x38

    def _op_8e(self, args: bytes) -> None:  # SetTxParams
        power = args[0] - 256 if args[0] > 127 else args[0]
        low, high = t.POWER_BYTE[int(self.variant == "sx1261")]
        self.power_byte = min(max(power, low), high)
        self.ramp_us = t.RAMP_US[args[1] & 7]

    def _op_8f(self, args: bytes) -> None:  # SetBufferBaseAddress
        self.tx_base, self.rx_base = args[0], args[1]

    def _op_93(self, args: bytes) -> None:  # SetRxTxFallbackMode
        self.fallback = {0x40: t.FS, 0x30: t.STBY_XOSC}.get(args[0], t.STBY_RC)

    def _op_96(self, args: bytes) -> None:  # SetRegulatorMode
        if self._standby_only(0x96):
            self.dcdc = bool(args[0])

    def _op_9d(self, args: bytes) -> None:  # SetDIO2AsRfSwitchCtrl
        self.dio2_switch = bool(args[0])

    def _op_9f(self, args: bytes) -> None:  # StopTimerOnPreamble
        self.stop_on_preamble = bool(args[0])

    def _op_a0(self, args: bytes) -> None:  # SetLoRaSymbNumTimeout
        self.symbol_timeout = args[0]

    # -- state for the ether

    @property
    def tuning(self) -> Tuning:
        """What the registers tune this modem to; polarity None where 0736 and the packet parameters disagree (erratum 15.4)."""
        standard = bool(self.regs[t.IQ_POLARITY] & 4)
        inverted = bool(self.invert_bit)
        sync = self.regs[t.SYNC_WORD_MSB] << 8 | self.regs[t.SYNC_WORD_LSB]
        return Tuning(self.freq_hz, self.bw_hz, self.sf, inverted if standard != inverted else None, sync)

    @property
    def power_dbm(self) -> float:
        """What leaves the antenna connector, by PA configuration, power byte, clamp (erratum 15.2) and antenna switch."""
        most, byte = t.PA_OUTPUT.get(self.pa, (0, 0))
        power = float(most - (byte - self.power_byte))
        if self.pa[2] != int(self.variant == "sx1261"):
            return power - t.SWITCH_DB  # the other amplifier's pin leads nowhere
        if self.pa[2] == 0 and self.regs[t.TX_CLAMP] & 0x1E != 0x1E:
            power -= t.CLAMP_DB
        sends = self.dio2_switch if self.rf_switch.startswith("dio2") else self.pins["txen"] and not self.pins["rxen"]
        return power if sends else power - t.SWITCH_DB

    @property
    def modulation_loss_db(self) -> float:
        """What a wrong register 0889 costs (erratum 15.1): bit 2 is 0 at 500 kHz and 1 elsewhere."""
        return 0.0 if bool(self.regs[t.TX_MODULATION] & 4) != (self.bw_hz == 500000) else t.MODULATION_DB

    @property
    def rx_loss_db(self) -> float:
        """How much less than a perfectly set up chip this one hears."""
        loss = self.modulation_loss_db
        loss += 0.0 if self.regs[t.RX_GAIN] == 0x96 else t.GAIN_POWER_SAVE_DB
        loss += 0.0 if self.regs[t.RX_PATCH] & 1 else t.PATCH_DB
        loss += 0.0 if self.calibrated & t.ADC_BLOCKS == t.ADC_BLOCKS else t.ADC_DB
        mhz = self.freq_hz / 1e6
        if self.image_mhz is None or not self.image_mhz[0] <= mhz <= self.image_mhz[1]:
            loss += t.IMAGE_DB
        pins = self.pins
        hears = self.rf_switch == "dio2" or (pins["rxen"] and (self.rf_switch == "dio2+rxen" or not pins["txen"]))
        return loss if hears else loss + t.SWITCH_DB

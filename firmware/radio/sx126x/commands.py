"""SX126x on SPI: one method a command. Every transaction is one transfer, after BUSY has gone low."""

import time

from ..errors import const
from . import regs

# Chapter 11. Underscore and const: the compiler puts the number in place, the board stores no name.
_SET_SLEEP = const(0x84)
_SET_STANDBY = const(0x80)
_SET_TX = const(0x83)
_SET_RX = const(0x82)
_SET_CAD = const(0xC5)
_SET_CAD_PARAMS = const(0x88)
_SET_PACKET_TYPE = const(0x8A)
_SET_RF_FREQUENCY = const(0x86)
_SET_PA_CONFIG = const(0x95)
_SET_TX_PARAMS = const(0x8E)
_SET_MODULATION_PARAMS = const(0x8B)
_SET_PACKET_PARAMS = const(0x8C)
_SET_BUFFER_BASE_ADDRESS = const(0x8F)
_WRITE_REGISTER = const(0x0D)
_READ_REGISTER = const(0x1D)
_WRITE_BUFFER = const(0x0E)
_READ_BUFFER = const(0x1E)
_SET_DIO_IRQ_PARAMS = const(0x08)
_GET_IRQ_STATUS = const(0x12)
_CLEAR_IRQ_STATUS = const(0x02)
_GET_RX_BUFFER_STATUS = const(0x13)
_GET_PACKET_STATUS = const(0x14)
_GET_DEVICE_ERRORS = const(0x17)
_CLEAR_DEVICE_ERRORS = const(0x07)
_SET_DIO3_AS_TCXO_CTRL = const(0x97)
_SET_DIO2_AS_RF_SWITCH_CTRL = const(0x9D)
_CALIBRATE = const(0x89)
_CALIBRATE_IMAGE = const(0x98)
_SET_REGULATOR_MODE = const(0x96)
_SET_RX_TX_FALLBACK_MODE = const(0x93)
_SET_LORA_SYMB_NUM_TIMEOUT = const(0xA0)

BUSY_MS = 50  # the longest a command takes: a full calibration, with a slow oscillator before it


class Commands:
    """`fault(name, detail)` is raised as "radio_busy" or "radio_absent"; after that `faulty` is True."""

    def __init__(self, spi, cs, busy, fault):
        self._spi = spi
        self._cs = cs
        self._busy = busy
        self._fault = fault
        self.faulty = False
        self._buf = bytearray(3 + 255)
        self._view = memoryview(self._buf)
        # The short ones exist once for all, so that a command leaves next to no garbage.
        self._short = [self._view[:n] for n in range(13)]

    # -- transport

    def wait_ready(self, limit_ms=BUSY_MS):
        """Wait until BUSY is low. "radio_busy" after `limit_ms`."""
        if not self._busy():
            return
        start_ms = time.ticks_ms()
        pause_us = 20
        while self._busy():
            if time.ticks_diff(time.ticks_ms(), start_ms) > limit_ms:
                self.fail("radio_busy", "BUSY high for %d ms" % limit_ms)
            time.sleep_us(pause_us)
            if pause_us < 500:
                pause_us *= 2

    def fail(self, name, detail):
        """Give up: this chip must be initialised anew."""
        self.faulty = True
        raise self._fault(name, detail)

    def _transfer(self, n):
        """Move the first n bytes of the buffer."""
        self.wait_ready()
        self._move(self._short[n] if n < len(self._short) else self._view[:n])

    def _move(self, view):
        self._cs(0)
        self._spi.write_readinto(view, view)
        self._cs(1)

    def touch(self):
        """Select the chip and say nothing, whatever BUSY says: that wakes it."""
        self._buf[0] = 0
        self._move(self._short[1])

    def _send(self, *mosi):
        """One command; what came back is in the buffer."""
        n = 0
        for byte in mosi:
            self._buf[n] = byte & 0xFF
            n += 1
        self._transfer(n)

    def _ask(self, *mosi):
        """A command with an answer, whose second byte is the chip's status: no chip gives 00 or FF."""
        self._send(*mosi)
        if self._buf[1] in (0x00, 0xFF):
            self.fail("radio_absent", "status %02x" % self._buf[1])
        return self._buf

    # -- registers and buffer

    def write_register(self, address, *values):
        self._send(_WRITE_REGISTER, address >> 8, address, *values)

    def read_register(self, address):
        self._send(_READ_REGISTER, address >> 8, address, 0, 0)
        return self._buf[4]

    def change_register(self, address, clear, set_):
        """Clear some bits, set some: the rest keeps what the chip put there."""
        self.write_register(address, self.read_register(address) & ~clear | set_)

    def version(self):
        """Return the 16 bytes of the version string."""
        buf = self._buf
        for i in range(20):
            buf[i] = 0
        buf[0] = _READ_REGISTER
        buf[1] = regs.VERSION_STRING >> 8
        buf[2] = regs.VERSION_STRING & 0xFF
        self._transfer(20)
        return bytes(self._view[4:20])

    def write_buffer(self, offset, data):
        n = len(data)
        self._buf[0] = _WRITE_BUFFER
        self._buf[1] = offset
        self._view[2 : 2 + n] = data
        self._transfer(2 + n)

    def read_buffer(self, offset, n):
        """Return n bytes as bytes."""
        self._buf[0] = _READ_BUFFER
        self._buf[1] = offset
        self._buf[2] = 0
        self._transfer(3 + n)
        return bytes(self._view[3 : 3 + n])

    # -- modes

    def set_sleep(self, config):
        self._send(_SET_SLEEP, config)

    def set_standby(self, config):
        self._send(_SET_STANDBY, config)

    def set_tx(self, timeout):
        self._send(_SET_TX, timeout >> 16, timeout >> 8, timeout)

    def set_rx(self, timeout):
        """Steps of 15.625 us; 0 = one frame without time-out. Never follow it with GetStatus: the chip may send for ever."""
        self._send(_SET_RX, timeout >> 16, timeout >> 8, timeout)

    def set_cad(self):
        self._send(_SET_CAD)

    def set_rx_tx_fallback_mode(self, mode):
        self._send(_SET_RX_TX_FALLBACK_MODE, mode)

    # -- parameters

    def set_packet_type(self, kind):
        self._send(_SET_PACKET_TYPE, kind)

    def set_rf_frequency(self, freq_hz):
        word = ((freq_hz << 14) + 7812) // 15625
        self._send(_SET_RF_FREQUENCY, word >> 24, word >> 16, word >> 8, word)

    def set_pa_config(self, duty, hp_max, device):
        self._send(_SET_PA_CONFIG, duty, hp_max, device, 1)

    def set_tx_params(self, power, ramp):
        self._send(_SET_TX_PARAMS, power, ramp)

    def set_modulation_params(self, sf, bandwidth, cr, low_rate):
        self._send(_SET_MODULATION_PARAMS, sf, bandwidth, cr, low_rate)

    def set_packet_params(self, preamble, implicit, length, crc, inverted):
        self._send(_SET_PACKET_PARAMS, preamble >> 8, preamble, implicit, length, crc, inverted)

    def set_cad_params(self, symbols, peak, least):
        """`symbols` as a power of two; ends in standby whatever was found."""
        self._send(_SET_CAD_PARAMS, symbols, peak, least, 0, 0, 0, 0)

    def set_lora_symb_num_timeout(self, symbols):
        self._send(_SET_LORA_SYMB_NUM_TIMEOUT, symbols)

    def set_buffer_base_address(self, tx, rx):
        self._send(_SET_BUFFER_BASE_ADDRESS, tx, rx)

    # -- interrupts and status

    def set_dio_irq_params(self, mask, dio1):
        self._send(_SET_DIO_IRQ_PARAMS, mask >> 8, mask, dio1 >> 8, dio1, 0, 0, 0, 0)

    def get_irq_status(self):
        buf = self._ask(_GET_IRQ_STATUS, 0, 0, 0)
        return buf[2] << 8 | buf[3]

    def clear_irq_status(self, bits):
        self._send(_CLEAR_IRQ_STATUS, bits >> 8, bits)

    def get_rx_buffer_status(self):
        """Return (length of the last frame, where it begins in the buffer)."""
        buf = self._ask(_GET_RX_BUFFER_STATUS, 0, 0, 0)
        return buf[2], buf[3]

    def get_packet_status(self):
        """Return (rssi_dbm, snr_x4) of the last frame."""
        buf = self._ask(_GET_PACKET_STATUS, 0, 0, 0, 0)
        snr = buf[3]
        return -(buf[2] >> 1), snr - 256 if snr > 127 else snr

    def get_device_errors(self):
        buf = self._ask(_GET_DEVICE_ERRORS, 0, 0, 0)
        return buf[2] << 8 | buf[3]

    def clear_device_errors(self):
        self._send(_CLEAR_DEVICE_ERRORS, 0, 0)

    # -- clock, supply, switch

    def set_dio3_as_tcxo_ctrl(self, code, delay):
        """`delay` in steps of 15.625 us: what the oscillator needs to settle."""
        self._send(_SET_DIO3_AS_TCXO_CTRL, code, delay >> 16, delay >> 8, delay)

    def set_dio2_as_rf_switch_ctrl(self, on):
        self._send(_SET_DIO2_AS_RF_SWITCH_CTRL, on)

    def set_regulator_mode(self, mode):
        self._send(_SET_REGULATOR_MODE, mode)

    def calibrate(self, blocks):
        """From standby RC only."""
        self._send(_CALIBRATE, blocks)

    def calibrate_image(self, band):
        """From standby RC only; first and last in multiples of 4 MHz."""
        self._send(_CALIBRATE_IMAGE, *band)

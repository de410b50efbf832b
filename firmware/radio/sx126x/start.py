"""From reset to a chip that is ready. The order matters; each step says why. Modem.begin() loads this and lets it go again."""

import time

from . import errata, regs

const = int

# Chapter 11: what only the start says
_SET_PACKET_TYPE = const(0x8A)
_SET_BUFFER_BASE_ADDRESS = const(0x8F)
_SET_RX_TX_FALLBACK_MODE = const(0x93)
_SET_REGULATOR_MODE = const(0x96)
_SET_DIO3_AS_TCXO_CTRL = const(0x97)
_SET_LORA_SYMB_NUM_TIMEOUT = const(0xA0)
_GET_DEVICE_ERRORS = const(0x17)
_CLEAR_DEVICE_ERRORS = const(0x07)
_READ_REGISTER = const(0x1D)

_VERSION_STRING = const(0x0320)  # 16 bytes that begin "SX126": the only identity there is
_RETENTION_LIST = const(0x029F)  # a count, then the addresses that a warm sleep keeps: RX_GAIN, TX_MODULATION, IQ_POLARITY
_RETAINED = b"\x03\x08\xac\x08\x89\x07\x36"
_OCP_60_MA = const(0x18)
_OCP_140_MA = const(0x38)
_XOSC_START_ERR = const(0x20)
_START_ERRORS = const(0x3F)  # this, and what could not be calibrated
_TCXO_MV = (1600, 1700, 1800, 2200, 2400, 2700, 3000, 3300)
_RESET_MS = const(100)


def start(cmd, pin, module):
    """Reset and initialise, into standby with the oscillator running. "radio_absent", "radio_busy"."""
    tcxo_mv, dcdc, dio2_switch, sx1261 = module
    # If the TCXO does not start, once more without: the same board is sold with a crystal.
    for millivolts in (tcxo_mv, 0) if tcxo_mv else (0,):
        reset(cmd, pin)
        errors = initialise(cmd, millivolts, dcdc, dio2_switch, sx1261)
        if not errors & _XOSC_START_ERR:
            break
    if errors:
        cmd.fail("radio_absent", "device errors %02x" % errors)
    cmd.set_standby(regs.STDBY_XOSC)


def reset(cmd, pin):
    """Pulse NRESET and find a chip of this family."""
    pin(0)
    time.sleep_ms(2)
    pin(1)
    time.sleep_ms(1)
    cmd.wait_ready(_RESET_MS)
    cmd.faulty = False
    for _ in range(10):
        cmd.set_standby(regs.STDBY_RC)
        found = version(cmd)
        if found[:5] == b"SX126":
            return
        time.sleep_ms(10)
    cmd.fail("radio_absent", "version %r" % found)


def version(cmd):
    """Return the chip's version string, 16 bytes."""
    cmd.buf[:20] = bytes((_READ_REGISTER, _VERSION_STRING >> 8, _VERSION_STRING & 0xFF)) + bytes(17)
    cmd.transfer(20)
    return bytes(cmd.buf[4:20])


def initialise(cmd, tcxo_mv, dcdc, dio2_switch, sx1261):
    """Set up what no setting changes, from standby RC; return the chip's error bits, of which none should be set."""
    if tcxo_mv:
        cmd.send(_SET_DIO3_AS_TCXO_CTRL, _TCXO_MV.index(tcxo_mv), 0, 0x01, 0x40)  # 5 ms in steps of 15.625 us
    cmd.send(_CLEAR_DEVICE_ERRORS, 0, 0)  # the calibration at power-on had no clock if a TCXO is fitted
    cmd.send(_SET_BUFFER_BASE_ADDRESS, 0, 0)
    cmd.send(_SET_PACKET_TYPE, 1)  # LoRa; before any modulation or packet parameter
    cmd.send(_SET_RX_TX_FALLBACK_MODE, 0x30)  # standby with the oscillator running
    cmd.send(_SET_LORA_SYMB_NUM_TIMEOUT, 0)
    cmd.calibrate()  # again, now with a clock
    errors = cmd.ask(_GET_DEVICE_ERRORS)[3] & _START_ERRORS
    cmd.send(_SET_REGULATOR_MODE, dcdc)
    cmd.set_dio2_as_rf_switch_ctrl(dio2_switch)
    cmd.write_register(regs.OCP, _OCP_60_MA if sx1261 else _OCP_140_MA)
    cmd.write_register(regs.RX_GAIN, regs.GAIN_BOOSTED)
    errata.receiver_patch(cmd)
    cmd.write_register(_RETENTION_LIST, *_RETAINED)
    errata.antenna_mismatch(cmd)
    return errors

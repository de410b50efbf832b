"""From reset to a chip that is ready, and from settings to registers. The order matters; each step says why."""

import time

from . import errata, regs

RESET_BUSY_MS = 100
TCXO_START = 5 << 6  # 5 ms in steps of 15.625 us


def start(cmd, pin, module):
    """Reset and initialise, into standby with the oscillator running. "radio_absent", "radio_busy"."""
    tcxo_mv, dcdc, dio2_switch, sx1261 = module
    # If the TCXO does not start, once more without: the same board is sold with a crystal.
    for millivolts in (tcxo_mv, 0) if tcxo_mv else (0,):
        reset(cmd, pin)
        errors = initialise(cmd, millivolts, dcdc, dio2_switch, sx1261)
        if not errors & regs.XOSC_START_ERR:
            break
    if errors:
        cmd.fail("radio_absent", "device errors %04x" % errors)
    cmd.set_standby(regs.STDBY_XOSC)


def reset(cmd, pin):
    """Pulse NRESET and find a chip of this family."""
    pin(0)
    time.sleep_ms(2)
    pin(1)
    time.sleep_ms(1)
    cmd.wait_ready(RESET_BUSY_MS)
    cmd.faulty = False
    for _ in range(10):
        cmd.set_standby(regs.STDBY_RC)
        version = cmd.version()
        if version[:5] == b"SX126":
            return
        time.sleep_ms(10)
    cmd.fail("radio_absent", "version %r" % version)


def initialise(cmd, tcxo_mv, dcdc, dio2_switch, sx1261):
    """Set up what no setting changes, from standby RC; return the chip's error bits, of which none should be set."""
    if tcxo_mv:
        cmd.set_dio3_as_tcxo_ctrl(regs.TCXO_MV.index(tcxo_mv), TCXO_START)
    cmd.clear_device_errors()  # the calibration at power-on had no clock if a TCXO is fitted
    cmd.set_buffer_base_address(0, 0)
    cmd.set_packet_type(regs.LORA)  # before any modulation or packet parameter
    cmd.set_rx_tx_fallback_mode(regs.FALLBACK_STDBY_XOSC)
    cmd.set_lora_symb_num_timeout(0)
    cmd.calibrate(regs.CALIBRATE_ALL)  # again, now with a clock
    errors = cmd.get_device_errors() & regs.START_ERRORS
    cmd.set_regulator_mode(dcdc)
    cmd.set_dio2_as_rf_switch_ctrl(dio2_switch)
    cmd.write_register(regs.OCP, regs.OCP_60_MA if sx1261 else regs.OCP_140_MA)
    cmd.write_register(regs.RX_GAIN, regs.GAIN_BOOSTED)
    errata.receiver_patch(cmd)
    cmd.write_register(regs.RETENTION_LIST, *regs.RETAINED)
    errata.antenna_mismatch(cmd)
    return errors


def wake(cmd, slept_ms):
    """From warm sleep, entered at ticks `slept_ms`, into standby with the oscillator running."""
    while time.ticks_diff(time.ticks_ms(), slept_ms) < regs.SLEEP_ENTRY_MS:
        time.sleep_us(500)
    cmd.touch()
    cmd.set_standby(regs.STDBY_XOSC)
    errata.receiver_patch(cmd)


def was_reset(cmd):
    """True for a chip that lost its power behind our back: its gain is no longer what it was given."""
    return cmd.read_register(regs.RX_GAIN) != regs.GAIN_BOOSTED


def image_band(freq_hz):
    """Return the arguments of CalibrateImage for this frequency."""
    mhz = freq_hz // 1000000
    for low, high, first, last in regs.IMAGE_BANDS:
        if low <= mhz <= high:
            return first, last
    first, last = mhz // 4, (mhz + 4) // 4
    return first - 1 + first % 2, last + 1 - last % 2


def set_power(cmd, power_dbm, sx1261):
    """Choose the amplifier's row and the byte that gives this power; keep the current limit, which SetPaConfig overwrites."""
    rows = regs.PA_SX1261 if sx1261 else regs.PA_SX1262
    most, duty, hp_max, device, byte = next(row for row in rows if power_dbm <= row[0])
    limit = cmd.read_register(regs.OCP)
    cmd.set_pa_config(duty, hp_max, device)
    cmd.write_register(regs.OCP, limit)
    cmd.set_tx_params(byte - (most - power_dbm), regs.RAMP_200_US)


def set_sync_word(cmd, sync):
    """0xYZ becomes Y and Z in the high halves of two registers; the low halves belong to the chip."""
    cmd.change_register(regs.SYNC_WORD, 0xF0, sync & 0xF0)
    cmd.change_register(regs.SYNC_WORD + 1, 0xF0, sync << 4 & 0xF0)

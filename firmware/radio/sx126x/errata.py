"""What the SX126x needs beside its data sheet's main chapters: one function an erratum (chapter 15), one for a deaf receiver.

`cmd` is a Commands.
"""

import time

from . import regs


def modulation_quality(cmd, bw_hz):
    """15.1, LoRa at 500 kHz: bit 2 of 0889 is 0 there and 1 elsewhere. After every SetModulationParams, which resets it."""
    cmd.change_register(regs.TX_MODULATION, 4, 0 if bw_hz == 500000 else 4)


def antenna_mismatch(cmd):
    """15.2, the high-power amplifier clamps too early when the antenna does not match. After power-on and every cold start."""
    cmd.change_register(regs.TX_CLAMP, 0, 0x1E)


def implicit_header_timeout(cmd):
    """15.3, the timer of a receive window runs on and fires later. After every reception that had a time-out."""
    cmd.write_register(regs.RTC_CONTROL, 0)
    cmd.change_register(regs.EVENT_MASK, 0, 2)


def inverted_iq(cmd, inverted):
    """15.4: bit 2 of 0736 is 0 with inverted IQ and 1 with standard. After every SetPacketParams, which resets it."""
    cmd.change_register(regs.IQ_POLARITY, 4, 0 if inverted else 4)


def receiver_patch(cmd):
    """Undocumented bit 0 of 08B5: more sensitive. After every calibration, which clears it, and after sleep."""
    cmd.change_register(regs.RX_PATCH, 0, 1)


def recalibrate(cmd, image, dio2_switch):
    """Cure a receiver that a strong signal has left deaf: only calibration after sleep does. From reception to standby.

    `image` are the arguments of CalibrateImage.
    """
    cmd.set_standby(regs.STDBY_RC)
    cmd.set_sleep_warm()
    time.sleep_ms(2)
    cmd.touch()
    cmd.set_standby(regs.STDBY_RC)
    cmd.calibrate()
    cmd.calibrate_image(image)
    cmd.set_dio2_as_rf_switch_ctrl(dio2_switch)
    cmd.write_register(regs.RX_GAIN, regs.GAIN_BOOSTED)
    receiver_patch(cmd)
    cmd.set_standby(regs.STDBY_XOSC)

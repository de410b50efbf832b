"""A driver is right when the chip is in the right state: registers after every kind of setting, against the data sheet."""

from radio_desk import Desk, fault_of

from tools.twin.chips.sx126x import tables as t

BANDWIDTHS = (7812, 10417, 15625, 20833, 31250, 41667, 62500, 125000, 250000, 500000)


def sent(**settings):
    """Send ten bytes with these settings; returns (chip, emission) as the chip made it."""
    module = {key: settings.pop(key) for key in ("variant", "tcxo_mv") if key in settings}
    desk = Desk(radio=dict(module), **module)
    desk.radio.configure(**settings)
    desk.radio.start_send(b"0123456789")
    desk.run_ms(1)
    assert desk.chip.mode == t.TX
    assert desk.finish() == desk.air.sent[0].end_us - desk.air.sent[0].start_us
    desk.settled()
    assert desk.chip.device_errors == 0
    return desk.chip, desk.air.sent[0]


def check_after_begin():
    desk = Desk()
    chip = desk.chip
    assert chip.mode == t.STBY_XOSC
    assert chip.lora
    assert chip.calibrated == 0x7F
    assert chip.dio3 == (1800, 5000)
    assert chip.dio2_switch
    assert chip.dcdc
    assert chip.fallback == t.STBY_XOSC
    assert (chip.tx_base, chip.rx_base) == (0, 0)
    assert chip.regs[t.RX_GAIN] == 0x96
    assert chip.regs[t.OCP] == 0x38
    assert chip.regs[t.TX_CLAMP] == 0xDE
    assert chip.regs[t.RX_PATCH] & 1
    assert [chip.regs[0x029F + i] for i in range(7)] == [3, 0x08, 0xAC, 0x08, 0x89, 0x07, 0x36]
    assert chip.device_errors == 0
    desk.settled()


def check_crystal_module():
    desk = Desk(tcxo_mv=0, radio={"tcxo_mv": 0})
    assert desk.chip.dio3 is None
    assert desk.chip.calibrated == 0x7F
    assert desk.radio.counters["reinit"] == 0


def check_tcxo_voltages():
    for mv in (1600, 1700, 1800, 2200, 2400, 2700, 3000, 3300):
        desk = Desk(tcxo_mv=mv, radio={"tcxo_mv": mv})
        assert desk.chip.dio3[0] == mv
        assert desk.chip.device_errors == 0


def check_every_bandwidth():
    for bw_hz in BANDWIDTHS:
        chip, emission = sent(bw_hz=bw_hz, sf=7)
        assert emission.tuning.bw_hz == bw_hz
        assert bool(chip.regs[t.TX_MODULATION] & 4) == (bw_hz != 500000), bw_hz
        assert emission.loss_db == 0


def check_every_spreading_factor():
    for sf in range(5, 13):
        for bw_hz in (125000, 250000, 500000):
            chip, emission = sent(sf=sf, bw_hz=bw_hz)
            assert emission.tuning.sf == sf
            assert emission.low_rate == ((1 << sf) * 1000 >= 16 * bw_hz)
            assert chip.preamble == (12 if sf < 7 else 8)


def check_coding_rate_preamble_crc_header():
    for cr in range(5, 9):
        chip, emission = sent(cr=cr, preamble=20)
        assert emission.cr == cr
        assert emission.crc
        assert emission.explicit
        assert (chip.preamble, chip.length) == (20, 10)
        assert emission.payload == b"0123456789"


def check_polarity():
    for inverted in (False, True):
        chip, emission = sent(iq=inverted)
        assert bool(chip.regs[t.IQ_POLARITY] & 4) == (not inverted)
        assert chip.regs[t.IQ_POLARITY] & ~4 == 0x09  # the other bits are the chip's
        assert emission.tuning.inverted is inverted


def check_sync_words():
    for sync, word in ((0x12, 0x1424), (0x34, 0x3444), (0xA7, 0xA474)):
        _, emission = sent(sync=sync)
        assert emission.tuning.sync == word


def check_frequencies_and_image():
    rows = (
        (433050000, 0x6B, 0x6F),
        (490000000, 0x75, 0x81),
        (783000000, 0xC1, 0xC5),
        (868100000, 0xD7, 0xDB),
        (869525000, 0xD7, 0xDB),
        (915000000, 0xE1, 0xE9),
        (600000000, 0x95, 0x97),  # outside the table: the odd multiples of 4 MHz around it
    )
    for freq_hz, first, last in rows:
        chip, emission = sent(freq_hz=freq_hz)
        assert emission.tuning.freq_hz == freq_hz
        assert chip.image_mhz == (4 * first, 4 * last), freq_hz
        assert chip.rx_loss_db == 0


def check_image_is_calibrated_again_only_when_the_band_changes():
    desk = Desk()
    for freq_hz, times in ((868100000, 1), (869525000, 1), (433050000, 2), (868100000, 3)):
        desk.radio.configure(freq_hz=freq_hz)
        desk.radio.start_send(b"x")
        desk.finish()
        assert desk.bus.log.count(0x98) == times


# power: paDutyCycle, hpMax, deviceSel, power byte
SX1262 = {
    22: (4, 7, 0, 22),
    21: (4, 7, 0, 21),
    20: (3, 5, 0, 22),
    18: (3, 5, 0, 20),
    17: (2, 3, 0, 22),
    14: (2, 2, 0, 22),
    13: (2, 2, 0, 21),
    0: (2, 2, 0, 8),
    -9: (2, 2, 0, -1),
}
SX1261 = {15: (6, 0, 1, 14), 14: (4, 0, 1, 14), 12: (4, 0, 1, 12), 10: (1, 0, 1, 13), 0: (1, 0, 1, 3), -17: (1, 0, 1, -14)}


def amplifier(chip):
    return chip.pa[0], chip.pa[1], chip.pa[2], chip.power_byte


def check_power_of_the_sx1262():
    for power, row in SX1262.items():
        chip, emission = sent(power_dbm=power)
        assert amplifier(chip) == row, power
        assert emission.power_dbm == power
        assert chip.regs[t.OCP] == 0x38  # 140 mA, although SetPaConfig overwrites it
        assert chip.ramp_us == 200


def check_power_of_the_sx1261():
    for power, row in SX1261.items():
        chip, emission = sent(variant="sx1261", tcxo_mv=0, power_dbm=power)
        assert amplifier(chip) == row, power
        assert emission.power_dbm == power
        assert chip.regs[t.OCP] == 0x18


def check_current_limit_survives_a_change_of_power():
    desk = Desk()
    for power in (22, 14, 20):
        desk.chip.regs[t.OCP] = 0x30  # somebody's own choice
        desk.radio.configure(power_dbm=power)
        desk.radio.start_send(b"x")
        desk.finish()
        assert desk.chip.regs[t.OCP] == 0x30


def check_settings_that_the_chip_does_not_have():
    desk = Desk()
    wrong = (
        {"sf": 4}, {"sf": 13}, {"bw_hz": 100000}, {"cr": 9}, {"power_dbm": 23}, {"power_dbm": -10}, {"sync": 256},
        {"freq_hz": 1000}, {"preamble": 4}, {"colour": 1},
    )  # fmt: skip
    for settings in wrong:
        assert fault_of(lambda settings=settings: desk.radio.configure(**settings)) == "config", settings
    for frame in (b"", bytes(256), None):
        assert fault_of(lambda frame=frame: desk.radio.start_send(frame)) == "config"


def check_the_longest_frame():
    desk = Desk(2)
    frame = bytes(range(255))
    desk.radios[1].start_recv()
    desk.radio.start_send(frame)
    assert desk.hear(desk.radios[1]).frame == frame

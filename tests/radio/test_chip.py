"""The chip model by itself: what the data sheet says of registers, times, sleep, oscillator, calibration."""

import pytest
from probe import Probe

from tools.twin.chips.sx126x import tables as t


@pytest.fixture
def probe():
    return Probe()


def test_values_after_reset(probe):
    for address, value in t.RESET_VALUES.items():
        assert probe.chip.regs[address] == value
    assert probe("1d0740000000")[4:] == bytes([0x14, 0x24])
    assert probe("1d03200000000000000000000000000000000000")[4:10] == b"SX1261"
    assert probe.chip.status() >> 4 == 2  # standby RC
    assert probe.chip.image_mhz == (902, 928)


def test_version_string_is_read_only(probe):
    probe("0d032000")
    assert probe("1d03200000")[4] == ord("S")


def test_busy_times(probe):
    chip = probe.chip
    probe.tune()
    for text, shortest, longest in (
        ("8001", 20, 60),  # standby with crystal
        ("83000000", t.TO_TX_US, t.TO_TX_US + 20),
        ("8000", 10, 40),
        ("82ffffff", t.TO_RX_US, t.TO_RX_US + 60),
        ("8000", 10, 40),
        ("897f", 3500, 4000),
        ("98d7db", 1000, 2000),
    ):
        probe(text, wait=False)
        assert shortest <= probe.ready() <= longest, text
    assert chip.violations == 0


def test_a_transaction_while_busy_is_lost(probe):
    probe("897f", wait=False)
    probe("8001", wait=False)
    assert probe.chip.violations == 1
    assert probe.chip.mode == t.STBY_RC


def test_reset_takes_a_while_and_forgets(probe):
    probe("0d08ac96")
    probe.chip.set_pin("reset", 0)
    assert probe.chip.get_pin("busy") == 1
    probe.chip.set_pin("reset", 1)
    assert probe.ready() >= 3000
    assert probe.chip.regs[t.RX_GAIN] == 0x94


def test_tcxo_needs_its_voltage_before_anything_runs():
    probe = Probe(tcxo_mv=1800)
    assert probe.chip.device_errors & t.XOSC_START_ERR  # the calibration at power-on had no clock
    assert probe.chip.calibrated == t.RC_BLOCKS
    assert probe.chip.image_mhz is None
    probe("8a01")
    probe("863641999a")
    probe("82ffffff")
    assert probe.chip.mode == t.STBY_RC  # no way into reception
    probe("9702000140")  # 1.8 V, 5 ms
    probe("070000")
    assert probe("17000000")[2:] == b"\0\0"
    probe("897f", wait=False)
    assert 8000 < probe.ready() < 9000
    assert probe.chip.calibrated == t.ALL_BLOCKS
    probe("82ffffff", wait=False)
    assert probe.ready() >= 5000  # every start from standby RC waits for the oscillator
    assert probe.chip.mode == t.RX
    probe("8001")
    probe("82ffffff", wait=False)
    assert probe.ready() < 100  # from standby XOSC it runs


@pytest.mark.parametrize(("code", "steps"), [("00", "000140"), ("02", "000001")])
def test_tcxo_too_weak_or_too_hurried(code, steps):
    probe = Probe(tcxo_mv=1800)
    probe(f"97{code}{steps}")
    probe("070000")
    probe("897f")
    assert probe.chip.device_errors & t.XOSC_START_ERR


def test_a_crystal_does_not_start_with_dio3_on(probe):
    probe("9702000140")
    probe("897f")
    assert probe.chip.device_errors & t.XOSC_START_ERR
    assert probe("17000000")[3] & 0x20


def test_calibration_resets_image_and_patch(probe):
    probe("98d7db")
    assert probe.chip.image_mhz == (860, 876)
    probe("0d08b501")
    probe("897f")
    assert probe.chip.image_mhz == (902, 928)
    assert probe.chip.regs[t.RX_PATCH] == 0


def test_calibration_is_for_standby_rc_and_seven_bits(probe):
    probe("8001")
    probe("897f")
    probe("98d7db")
    probe("8000")
    probe("89fe")  # bit 7 is reserved
    assert probe.chip.refused == [0x89, 0x98, 0x89]


def test_parameters_are_for_standby(probe):
    probe.tune()
    probe("82ffffff")
    for text in ("8b07040100", "8c000800ff0100", "8a01", "9504070001", "8404"):
        probe(text)
    assert probe.chip.refused == [0x8B, 0x8C, 0x8A, 0x95, 0x84]
    assert probe.chip.mode == t.RX


def test_modulation_needs_the_packet_type(probe):
    probe("8b07040100")
    assert probe.chip.refused == [0x8B]


def test_set_pa_config_overwrites_the_current_limit(probe):
    probe("0d08e720")
    probe("9504070001")
    assert probe.chip.regs[t.OCP] == 0x38
    probe("9504000101")
    assert probe.chip.regs[t.OCP] == 0x18
    assert probe.chip.power_dbm < 0  # the other amplifier's pin has no antenna


def test_cold_sleep_forgets_everything(probe):
    probe.tune()
    probe("0d08ac96")
    probe("8400", wait=False)
    probe.clock.run(1000)
    assert probe.chip.get_pin("busy") == 1  # all the time
    probe("00", wait=False)
    assert probe.ready() >= 3400
    assert probe.chip.lora is False
    assert probe.chip.regs[t.RX_GAIN] == 0x94
    assert probe.chip.violations == 0


def test_warm_sleep_keeps_settings_but_only_listed_registers(probe):
    probe.tune()
    for text in ("0d08ac96", "0d088905", "0d073609", "0d08b501", "0d029f0108ac", "9d01", "0e00414243"):
        probe(text)
    probe("8404", wait=False)
    probe.clock.run(1000)
    probe.chip.set_pin("cs", 0)  # the falling edge alone wakes
    assert 300 <= probe.ready() < 500
    chip = probe.chip
    assert (chip.lora, chip.sf, chip.freq_hz, chip.dio2_switch) == (True, 7, 868100000, True)
    assert chip.regs[t.RX_GAIN] == 0x96
    assert chip.regs[t.TX_MODULATION] == t.RESET_VALUES[t.TX_MODULATION]
    assert chip.regs[t.IQ_POLARITY] == t.RESET_VALUES[t.IQ_POLARITY]
    assert chip.regs[t.RX_PATCH] == 0
    assert chip.buffer == bytes(256)


TELLING = "1d08ac0000 1e000000000000 1200000000 1300000000 1400000000 1700000000 8a01 83000000"


@pytest.mark.parametrize("text", [*TELLING.split(), "1d0320" + "00" * 17])
def test_a_bus_that_goes_byte_by_byte_shows_the_same(probe, text):
    probe.tune()
    probe("0e00414243")
    mosi = bytes.fromhex(text)
    shown = bytes(probe.chip.peek(mosi[: n + 1]) for n in range(len(mosi)))
    assert shown == probe(text, wait=False)
    assert probe.chip.peek(mosi[:1]) == 0  # BUSY
    assert probe.chip.mode == (t.TX if text == "83000000" else t.STBY_RC)  # and to look is not to act

"""The chip model's modes: sending, receiving, time-outs, interrupts."""

import pytest
from probe import Probe

from tools.twin.chips.lora import Emission
from tools.twin.chips.sx126x import tables as t


@pytest.fixture
def probe():
    return Probe()


def test_sending(probe):
    probe.tune()
    probe("8f8000")
    probe("0e80" + b"0123456789".hex())
    probe("83000000")
    assert probe.chip.mode == t.TX
    probe.clock.run(200000)
    assert probe.chip.mode == t.STBY_RC
    (emission,) = probe.air.sent
    assert emission.payload == b"0123456789"
    assert probe("12000000")[2:] == b"\0\1"
    assert probe.edges == [("dio1", 1)]
    probe("020001")
    assert probe.edges == [("dio1", 1), ("dio1", 0)]


def test_only_masked_interrupts_show(probe):
    probe.tune()
    probe("0800020002")
    probe("83000000")
    probe.clock.run(200000)
    assert probe.chip.irq == 0
    assert probe.edges == []


def test_standby_cuts_a_frame_off(probe):
    probe.tune()
    probe("83000000")
    probe.clock.run(1000)
    probe("8000")
    assert probe.air.aborted == probe.air.sent
    probe.clock.run(200000)
    assert probe.chip.irq == 0


def test_transmit_timeout(probe):
    probe.tune()
    probe("83000040")  # 1 ms
    probe.clock.run(200000)
    assert probe.chip.irq == t.TIMEOUT


def test_get_status_straight_after_set_rx_may_send_for_ever(probe):
    probe.tune()
    probe("82ffffff")
    probe("c000")
    probe.clock.run(10_000_000)
    assert probe.chip.mode == t.TX


def test_get_status_later_is_harmless(probe):
    probe.tune()
    probe("82ffffff")
    probe("12000000")
    assert probe("c000")[1] >> 4 == t.RX
    assert probe.chip.mode == t.RX


def receive(probe, payload=b"0123456789", *, intact=True):
    emission = Emission(
        probe.chip.tuning,
        cr=5,
        low_rate=False,
        preamble=8,
        explicit=True,
        crc=True,
        payload=payload,
        power_dbm=14.0,
        loss_db=0.0,
        start_us=probe.clock.now_us + 1000,
    )
    probe.clock.run(emission.lock_us - probe.clock.now_us)
    if not probe.chip.hears(emission):
        return False
    probe.chip.on_preamble(emission)
    probe.clock.run(emission.header_us - probe.clock.now_us)
    if not probe.chip.on_header(emission, intact):
        return False
    probe.clock.run(emission.end_us - probe.clock.now_us)
    return probe.chip.on_packet(emission, payload, -97.5, -6.25, intact)


def test_receiving(probe):
    probe.tune()
    probe("0d07360d")
    probe("8f0040")
    probe("82ffffff")
    assert receive(probe)
    bits = t.PREAMBLE_DETECTED | t.SYNC_WORD_VALID | t.HEADER_VALID | t.RX_DONE
    assert probe.chip.irq == bits
    assert probe("13000000")[2:] == bytes([10, 0x40])
    assert probe("1e4000" + "00" * 10)[3:] == b"0123456789"
    assert probe("1400000000")[2:4] == bytes([195, 256 - 25])
    assert probe.chip.regs[t.RX_CODING_RATE] == 0x10
    assert probe.chip.regs[t.RX_CRC] == 0x10
    probe("02ffff")
    assert receive(probe)
    assert probe("13000000")[2:] == bytes([10, 0x4A])  # appended, as long as it listens


def test_single_reception_ends_in_the_fallback_mode(probe):
    probe.tune()
    probe("9330")
    probe("82000000")
    assert receive(probe)
    assert probe.chip.mode == t.STBY_XOSC


def test_header_error(probe):
    probe.tune()
    probe("82000000")
    assert not receive(probe, intact=False)
    assert probe.chip.irq & t.HEADER_ERR
    assert not probe.chip.irq & t.RX_DONE


def test_listening_too_late_for_the_preamble(probe):
    probe.tune()
    probe("82ffffff")
    probe.chip.rx_since_us = probe.clock.now_us + 1000 + 4 * 1024  # half of the preamble is over
    assert not receive(probe)


def test_receive_window(probe):
    probe.tune()
    probe("82001900")  # 100 ms
    probe.clock.run(99000)
    assert probe.chip.mode == t.RX
    probe.clock.run(2000)
    assert probe.chip.irq == t.TIMEOUT
    assert probe.chip.mode == t.STBY_RC


def test_symbol_timeout(probe):
    probe.tune()
    probe("a010")
    probe("82ffffff")
    probe.clock.run(16 * 1024 + 200)
    assert probe.chip.irq == t.TIMEOUT


def test_timer_stops_at_the_preamble_when_told_so(probe):
    probe.tune()
    probe("9f01")
    probe("82000280")  # 10 ms: the header comes after 21
    assert receive(probe)


def test_random_numbers_and_rssi(probe):
    probe.tune()
    assert len(set(probe("1d081900" + "00" * 4)[4:])) > 1
    probe("82ffffff")
    assert probe("150000")[2] == 234  # -117 dBm of noise


def test_unknown_commands_are_refused(probe):
    probe("7700")
    assert probe.chip.refused == [0x77]
    assert probe.chip.status() & 0x0E == 5 << 1

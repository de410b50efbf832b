"""Everything that can break, broken on purpose: each fault has its name, and the radio works again when it is over."""

from radio_desk import Desk, fault_of

from tools.twin.chips.sx126x import tables as t

try:
    import pytest

    produces = pytest.mark.produces
except ImportError:

    def produces(*names):
        return lambda check: check


def works(desk):
    """Send from the first board, receive at the second one."""
    other = desk.radios[1]
    other.start_recv()
    desk.radio.start_send(b"works")
    desk.finish()
    packet = desk.hear(other)
    return packet is not None and packet.frame == b"works"


@produces("radio_busy")
def check_busy_stuck_at_the_start():
    desk = Desk(begin=False)
    desk.chip.faults.busy_stuck = True
    before_us = desk.clock.now_us
    assert fault_of(desk.radio.begin) == "radio_busy"
    assert desk.clock.now_us - before_us < 150000
    desk.chip.faults.busy_stuck = False
    desk.radio.begin()


@produces("radio_busy")
def check_busy_stuck_in_the_middle():
    desk = Desk(2)
    desk.chip.faults.busy_stuck = True
    assert fault_of(lambda: desk.radio.start_send(b"x")) == "radio_busy"
    assert fault_of(desk.radio.start_recv) == "radio_busy"
    assert fault_of(desk.radio.sleep) is None
    desk.chip.faults.busy_stuck = False
    for _ in range(2):
        assert works(desk)  # initialised anew, once, with all its settings
        assert desk.radio.counters["reinit"] == 2


@produces("radio_busy")
def check_busy_stuck_while_sending():
    desk = Desk(2)
    desk.radio.start_send(b"x")
    desk.chip.faults.busy_stuck = True
    assert fault_of(desk.finish) == "radio_busy"
    desk.chip.faults.busy_stuck = False
    assert works(desk)


@produces("radio_absent")
def check_nothing_on_the_bus():
    for byte in (0x00, 0xFF):
        desk = Desk(begin=False)
        desk.chip.faults.spi_byte = byte
        assert fault_of(desk.radio.begin) == "radio_absent"
        desk.chip.faults.spi_byte = None
        desk.radio.begin()


@produces("radio_absent")
def check_the_bus_breaks_while_listening():
    desk = Desk(2)
    desk.radio.start_recv()
    desk.chip.faults.spi_byte = 0xFF
    desk.radios[1].start_send(b"lost")
    assert fault_of(lambda: desk.hear(desk.radio)) == "radio_absent"
    desk.chip.faults.spi_byte = None
    assert works(desk)


@produces("radio_absent")
def check_wrong_chip():
    for version in (b"LR1110", b"SX1276", bytes(16)):
        desk = Desk(begin=False, version=version)
        assert fault_of(desk.radio.begin) == "radio_absent"


@produces("radio_absent")
def check_oscillator_does_not_start():
    desk = Desk(2)
    desk.chip.faults.xosc = True
    assert fault_of(desk.radio.begin) == "radio_absent"
    desk.chip.faults.xosc = False
    assert works(desk)


def check_a_crystal_where_a_tcxo_was_expected():
    desk = Desk(2, tcxo_mv=0, radio={"tcxo_mv": 1800})
    assert desk.chip.dio3 is None
    assert desk.chip.calibrated == 0x7F
    assert desk.chip.regs[t.TX_CLAMP] == 0xDE
    assert works(desk)


@produces("radio_absent")
def check_a_tcxo_where_a_crystal_was_expected():
    desk = Desk(begin=False, tcxo_mv=1800, radio={"tcxo_mv": 0})
    assert fault_of(desk.radio.begin) == "radio_absent"


@produces("radio_tx")
def check_the_transmission_that_never_ends():
    desk = Desk(2)
    desk.chip.faults.tx_done_lost = 1
    toa_us = desk.radio.airtime_us(5)
    desk.radio.start_send(b"never")
    before_us = desk.clock.now_us
    assert fault_of(desk.finish) == "radio_tx"
    assert 5000 + 5 * toa_us <= desk.clock.now_us - before_us + 2000 < 5000 + 5 * toa_us + 10000
    assert desk.radio.counters["tx_deadline"] == 1
    assert desk.chip.mode == t.STBY_XOSC
    assert works(desk)
    assert desk.radio.counters["reinit"] == 0


@produces("radio_tx")
def check_three_strikes_and_the_chip_starts_anew():
    desk = Desk(2)
    desk.chip.faults.tx_done_lost = 3
    for _ in range(3):
        desk.radio.start_send(b"never")
        assert fault_of(desk.finish) == "radio_tx"
    desk.chip.regs[t.OCP] = 0x01  # a chip that lost its mind
    assert works(desk)
    assert desk.radio.counters["reinit"] == 1
    assert desk.chip.regs[t.OCP] == 0x38


def check_a_lost_edge_of_dio1_after_sending():
    desk = Desk(2)
    desk.chip.faults.dio1_lost = 1
    assert works(desk)


def check_a_lost_edge_of_dio1_while_listening():
    desk = Desk(2)
    desk.chips[1].faults.dio1_lost = 1
    assert works(desk)
    assert desk.chips[1].faults.dio1_lost == 0


def check_a_broken_wire_at_dio1():
    """No edge and no level: sending ends at the deadline with success, a window ends a little late."""
    desk = Desk(2)
    for radio in desk.radios:
        radio._dio1 = lambda: 0
    for chip in desk.chips:
        chip.on_edge = lambda name, level: None
    desk.radio.start_send(b"x")
    assert desk.finish() == desk.radio.airtime_us(1)
    assert desk.radio.counters["dio1"] == 1
    desk.radio.start_recv(300)
    desk.radios[1].start_send(b"heard")
    packet = desk.hear(desk.radio, 5000)
    assert packet.frame == b"heard"
    assert desk.radio.counters["dio1"] == 2
    desk.radio.start_recv(300)
    assert desk.hear(desk.radio, 5000) is None
    assert not desk.radio.receiving


def check_an_event_between_reading_and_clearing():
    """Something happens after the interrupts were read: it must not be cleared, DIO1 stays high, no edge follows."""
    desk = Desk(2)
    desk.radio.start_recv()
    desk.radios[1].start_send(b"first")
    desk.finish(desk.radios[1])
    clear = desk.chip._op_02

    def clear_late(args):
        desk.chip.irq |= t.HEADER_ERR
        desk.chip._op_02 = clear
        clear(args)

    desk.chip._op_02 = clear_late
    assert desk.radio.poll_recv().frame == b"first"
    assert desk.radio.poll_recv() is None
    assert desk.radio.counters["header"] == 1
    assert desk.chip.dio1 == 0


def check_damaged_frames_are_counted_and_dropped():
    desk = Desk(2)
    rx = desk.radios[1]
    desk.chips[1].faults.crc_error = 3
    rx.start_recv()
    for _ in range(3):
        desk.radio.start_send(b"damaged")
        desk.finish()
        assert desk.hear(rx, 20) is None
    assert rx.counters["crc"] == 3
    assert rx.receiving
    assert works(desk)


def check_damaged_headers_are_counted():
    desk = Desk(2)
    rx = desk.radios[1]
    desk.chips[1].faults.header_error = 2
    rx.start_recv()
    for _ in range(2):
        desk.radio.start_send(b"damaged")
        desk.finish()
        assert desk.hear(rx, 20) is None
    assert rx.counters["header"] == 2
    assert works(desk)


def check_a_damaged_frame_ends_a_window():
    for fault, counter in (("crc_error", "crc"), ("header_error", "header")):
        desk = Desk(2)
        setattr(desk.chip.faults, fault, 1)
        desk.radio.start_recv(5000)
        desk.radios[1].start_send(b"damaged")
        before_us = desk.clock.now_us
        assert desk.hear(desk.radio) is None
        assert not desk.radio.receiving
        assert desk.radio.counters[counter] == 1
        assert desk.clock.now_us - before_us < 200000


def brown_out(desk):
    """The module lost its power for a moment: BUSY and SPI are fine, everything else is forgotten."""
    desk.chip.set_pin("reset", 0)
    desk.chip.set_pin("reset", 1)
    desk.run_ms(10)


def check_a_brown_out_is_seen_before_the_next_frame():
    desk = Desk(2)
    for asleep in (False, True):
        if asleep:
            desk.radio.sleep()
        brown_out(desk)
        assert works(desk)
    assert desk.radio.counters["reinit"] == 2


def check_a_brown_out_while_listening_is_seen_within_a_minute():
    desk = Desk(2)
    desk.radio.start_recv()
    brown_out(desk)
    for _ in range(61):
        desk.radio.poll_recv()
        desk.run_ms(1000)
    desk.radios[1].start_send(b"again")
    assert desk.hear(desk.radio).frame == b"again"
    assert desk.radio.counters["reinit"] == 1

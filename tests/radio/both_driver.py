"""What a board does with its radio: frames there and back, sleep, continuous listening, sending at a moment."""

from radio_desk import Desk, fault_of

from firmware.radio.sx126x.cad import ChannelCheck
from tools.twin.chips.sx126x import tables as t


def check_there_and_back_in_both_polarities():
    """As a board and a bridge: the uplink in standard polarity, the answer inverted."""
    desk = Desk(2)
    node, bridge = desk.radios
    bridge.start_recv()
    node.start_send(b"reading")
    assert desk.finish(node) == node.airtime_us(7)
    up = desk.hear(bridge)
    assert (up.frame, up.rssi_dbm, up.snr_x4) == (b"reading", -80, 36)
    bridge.configure(iq=True)
    node.configure(iq=True)
    node.start_recv(1000)
    bridge.start_send(b"answer")
    down = desk.hear(node)
    assert down.frame == b"answer"
    assert not node.receiving
    desk.finish(bridge)
    bridge.configure(iq=False)
    bridge.start_recv()
    node.configure(iq=False)
    node.start_send(b"more")
    desk.finish(node)
    assert desk.hear(bridge).frame == b"more"
    desk.settled()


def check_signals_below_the_noise():
    desk = Desk(2)
    desk.air.level_dbm_of, desk.air.snr_db = -123.5, -12.25
    desk.radio.start_recv()
    desk.radios[1].start_send(b"far away")
    packet = desk.hear(desk.radio)
    assert (packet.rssi_dbm, packet.snr_x4) == (-123, -49)


def check_polarities_do_not_hear_each_other():
    desk = Desk(2)
    desk.radios[0].configure(iq=True)
    desk.radios[1].start_recv()
    desk.radio.start_send(b"down")
    desk.finish()
    assert desk.hear(desk.radios[1], 100) is None
    assert desk.radios[1].counters == {"crc": 0, "header": 0, "tx_deadline": 0, "reinit": 0, "agc": 0, "dio1": 0}


def check_foreign_networks_are_not_heard():
    desk = Desk()
    desk.radio.start_recv()
    desk.air.foreign(sync=0x3444)  # LoRaWAN
    assert desk.hear(desk.radio, 500) is None
    desk.air.foreign(sync=0x1424)
    assert desk.hear(desk.radio).frame == b"foreign"
    desk.radio.configure(sync=0x34)
    desk.radio.start_recv()
    desk.air.foreign(sync=0x3444)
    assert desk.hear(desk.radio).frame == b"foreign"


def check_a_frame_without_checksum_is_counted_not_returned():
    desk = Desk()
    desk.radio.start_recv()
    desk.air.foreign(sync=0x1424, crc=False)
    assert desk.hear(desk.radio, 500) is None
    assert desk.radio.counters["crc"] == 1
    assert desk.radio.receiving


def check_continuous_reception_follows_the_start_offset():
    """The buffer is a ring of 256 bytes: frames begin anywhere and wrap."""
    desk = Desk(2)
    rx = desk.radios[1]
    for radio in desk.radios:
        radio.configure(sf=7)
    rx.start_recv()
    starts = set()
    for i in range(20):
        frame = bytes([i]) * (17 + i)
        desk.radio.start_send(frame)
        desk.finish()
        assert desk.hear(rx).frame == frame
        starts.add(desk.chips[1].rx_start)
    assert len(starts) == 20
    assert rx.receiving
    desk.settled()


def check_a_window_closes_by_itself():
    desk = Desk()
    desk.radio.start_recv(100)
    before_us = desk.clock.now_us
    assert desk.hear(desk.radio) is None
    assert not desk.radio.receiving
    assert 100000 <= desk.clock.now_us - before_us < 110000
    assert desk.chip.mode == t.STBY_XOSC


def check_window_lengths_are_clamped():
    desk = Desk()
    for timeout_ms, ticks in ((0, 1), (1, 64), (300000, 0xFFFFFE), (None, 0xFFFFFF)):
        desk.radio.start_recv(timeout_ms)
        assert desk.chip.rx_ticks == ticks


def check_the_window_stays_open_while_a_header_is_valid():
    """The frame's header is in time, its end is not."""
    desk = Desk(2)
    desk.radio.start_recv(100)
    desk.radios[1].start_send(bytes(100))  # header after 83 ms, end after 554 ms
    assert desk.hear(desk.radio).frame == bytes(100)


def check_warm_sleep_keeps_the_settings():
    desk = Desk(2)
    node, bridge = desk.radios
    for radio in desk.radios:
        radio.configure(sf=10, bw_hz=250000, power_dbm=20, sync=0x55)
    for i in range(3):
        node.sleep()
        assert desk.chip.mode == t.SLEEP
        desk.run_ms(1000 * i)
        bridge.start_recv()
        node.start_send(b"%d" % i)
        desk.finish(node)
        assert desk.hear(bridge).frame == b"%d" % i
        assert desk.air.sent[-1].power_dbm == 20
        assert desk.air.sent[-1].loss_db == 0
    node.sleep()
    node.start_recv(500)
    assert desk.chip.rx_loss_db == 0  # gain, patch and image are back
    bridge.start_send(b"down")
    assert desk.hear(node).frame == b"down"
    assert node.counters["reinit"] == 0
    desk.settled()


def check_sleep_at_once_and_twice():
    desk = Desk()
    desk.radio.sleep()
    desk.radio.sleep()
    desk.radio.start_send(b"x")  # within the 2 ms that falling asleep takes
    assert desk.finish() == desk.radio.airtime_us(1)
    desk.settled()


def check_a_staged_frame_leaves_within_a_millisecond():
    desk = Desk(2)
    desk.radios[1].start_recv()
    desk.radio.start_recv()
    desk.radio.stage(b"on time")
    desk.run_ms(3)
    now_us = desk.clock.now_us
    desk.radio.start_send()
    assert desk.air.sent[0].start_us - now_us < 1000
    assert desk.finish() == desk.radio.airtime_us(7)
    assert desk.hear(desk.radios[1]).frame == b"on time"
    assert fault_of(desk.radio.start_send) == "config"  # it is gone now


def check_sending_from_listening_within_five_milliseconds():
    desk = Desk()
    desk.radio.configure(sf=7)
    desk.radio.start_recv()
    now_us = desk.clock.now_us
    desk.radio.start_send(bytes(60))
    assert desk.air.sent[0].start_us - now_us < 5000


def check_a_frame_that_is_complete_survives_a_change_of_mind():
    desk = Desk(2)
    bridge = desk.radio
    bridge.start_recv()
    desk.radios[1].start_send(b"just in")
    desk.finish(desk.radios[1])
    bridge.start_send(b"answer")  # before anybody has asked for it
    desk.finish(bridge)
    assert bridge.poll_recv().frame == b"just in"
    assert bridge.poll_recv() is None


def check_the_moment_of_a_frame_is_that_of_its_interrupt():
    desk = Desk(2, start_ms=(1 << 30) - 150)  # the ticks wrap meanwhile
    desk.radio.start_recv()
    desk.radios[1].start_send(b"when?")
    desk.run_ms(1000)
    packet = desk.radio.poll_recv()
    end_ms = (desk.air.sent[0].end_us // 1000 + desk.ticks.start_ms) % (1 << 30)
    assert 0 <= desk.ticks.ticks_diff(packet.t_ms, end_ms) <= 1


def check_antenna_pins():
    for switch, radio in (
        ("dio2", {}),
        ("dio2+rxen", {"rxen": True}),
        ("pins", {"rxen": True, "txen": True, "dio2_rf_switch": False}),
    ):
        desk = Desk(2, rf_switch=switch, radio=radio)
        desk.radios[1].start_recv()
        assert desk.chips[1].rx_loss_db == 0, switch
        desk.radio.start_send(b"x")
        assert desk.air.sent[0].power_dbm == 14, switch
        desk.finish()
        assert desk.hear(desk.radios[1]).frame == b"x"
        if switch != "dio2":
            assert desk.chip.pins["txen"] == desk.chip.pins["rxen"] == 0


def check_hearing():
    desk = Desk(2)
    desk.radio.start_recv()
    assert not desk.radio.hearing()
    desk.radios[1].start_send(bytes(50))
    desk.run_ms(60)
    assert desk.radio.hearing()
    assert desk.hear(desk.radio).frame == bytes(50)
    assert not desk.radio.hearing()
    desk.radio.idle()
    assert not desk.radio.hearing()


def check_never_get_status_and_never_spi_in_the_interrupt():
    """GetStatus straight after SetRx may leave the chip sending for ever; a transaction in the handler breaks another."""
    desk = Desk(2)
    desk.radio.start_recv()
    desk.run_ms(100)
    transactions = len(desk.bus.log)
    desk.radios[1].start_send(b"edge")
    desk.run_ms(1000)
    assert len(desk.bus.log) == transactions
    assert desk.radio.poll_recv().frame == b"edge"
    assert 0xC0 not in desk.bus.log


def check_channel_activity_detection():
    desk = Desk(2)
    assert listen_before_talk(desk) is False
    desk.radios[1].start_send(bytes(100))
    desk.run_ms(100)
    assert listen_before_talk(desk) is True
    desk.finish(desk.radios[1])
    assert listen_before_talk(desk) is False
    assert desk.chip.mode == t.STBY_XOSC
    desk.radio.configure(bw_hz=62500)
    assert fault_of(lambda: ChannelCheck(desk.radio)) == "config"
    desk.settled()


def listen_before_talk(desk):
    check = ChannelCheck(desk.radio)
    for _ in range(100):
        busy = check.poll()
        if busy is not None:
            return busy
        desk.run_ms(1)
    raise AssertionError("no end of the detection")

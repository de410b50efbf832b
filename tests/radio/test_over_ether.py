"""Boards with drivers and chips in a real ether, and the loss of a busy channel against the theory."""

import random

import pytest
from radio_desk import Desk
from town import FREQ, Town

from firmware.radio.sx126x.modem import Modem
from tools.twin import clock
from tools.twin.chips.sx126x import tables as t
from tools.twin.ether import Ether, capture_share, expected_loss, path_loss_db, sensitivity_dbm


def busy_town(seed, n, period_s, hours, levels):
    """Nodes that send 24 bytes at SF9 once a period at their own phase; returns (loss at the hub, frames)."""
    town = Town(clock.Clock())
    rng = random.Random(seed)
    lost = total = 0

    def count(sender, receiver, payload, reason):
        nonlocal lost, total
        if receiver == "hub":
            total += 1
            lost += reason is not None

    town.ether.on_outcome = count
    for i in range(n):
        town.node(f"n{i}", levels[i])
    for k in range(int(hours * 3600 / period_s)):
        for i in range(n):
            town.send(f"n{i}", at_ms=1000 * (k * period_s + rng.random() * period_s))
    while town.clock.step():
        pass
    return lost / total, total


def test_the_loss_of_a_busy_channel_is_the_expected_one():
    toa_us = 205824
    quiet = expected_loss(40, 60, toa_us)
    assert quiet == pytest.approx(1 - (1 - 2 * 0.205824 / 60) ** 39)
    assert expected_loss(1, 60, toa_us) == 0
    rng = random.Random(3)
    equal = [-90.0] * 40
    spread = [rng.uniform(-120, -70) for _ in range(40)]
    for levels in (equal, spread):
        survives = capture_share(levels, toa_us, 4096)
        curve = expected_loss(40, 60, toa_us, survives)
        seen, total = busy_town(11, 40, 60, 1.5, levels)
        assert total == 3600
        assert seen == pytest.approx(curve, rel=0.15), (seen, curve)
    assert capture_share(spread, toa_us, 4096) > capture_share(equal, toa_us, 4096) > 0


def over_the_air(**settings):
    """Two boards with drivers and chips, 500 m apart, in a real ether."""
    desk = Desk(1, begin=False)
    desk.air = ether = Ether(desk.clock, random.Random(2), shadow_db=0.0, fading_db=0.0)
    desk.chips, desk.radios, desk.buses = [], [], []
    for i, name in enumerate(("node", "bridge")):
        desk.add(Modem, {}, settings)
        ether.attach(desk.chips[i], name, 500.0 * i, 0.0, antenna_dbi=2)
        desk.radios[i].begin()
    desk.radio, desk.chip = desk.radios[0], desk.chips[0]
    desk.outcomes = []
    ether.on_outcome = lambda *outcome: desk.outcomes.append(outcome)
    return desk


@pytest.mark.parametrize("inverted", [False, True])
def test_two_boards_over_the_ether(inverted):
    desk = over_the_air()
    node, bridge = desk.radios
    for radio in desk.radios:
        radio.configure(iq=inverted)
    bridge.start_recv()
    node.start_send(b"reading")
    desk.finish(node)
    packet = desk.hear(bridge)
    assert packet.frame == b"reading"
    assert packet.rssi_dbm == round(14 + 4 - path_loss_db(500))
    assert desk.outcomes == [("node", "bridge", b"reading", None)]
    bridge.configure(iq=not inverted)
    bridge.start_recv()
    node.start_send(b"other polarity")
    desk.finish(node)
    assert desk.outcomes[-1] == ("node", "bridge", b"other polarity", "deaf")
    bridge.sleep()
    node.start_send(b"asleep")
    desk.finish(node)
    assert desk.outcomes[-1][3] == "deaf"


def test_two_boards_that_send_at_once_are_busy():
    desk = over_the_air()
    node, bridge = desk.radios
    node.start_send(b"up")
    bridge.start_send(b"down")
    desk.finish(node)
    desk.finish(bridge)
    desk.run_ms(50)
    assert {o[3] for o in desk.outcomes} == {"busy"}


def test_a_board_that_starts_to_send_loses_what_it_was_receiving():
    desk = over_the_air()
    node, bridge = desk.radios
    bridge.start_recv()
    node.start_send(bytes(60))
    desk.run_ms(120)
    bridge.start_send(b"too early")
    desk.finish(bridge)
    desk.run_ms(500)
    assert [o[3] for o in desk.outcomes if o[0] == "node"] == ["busy"]
    assert bridge.poll_recv() is None


def test_wrong_erratum_states_cost_range():
    """At the very edge of range 3 dB decide: 0889 at either end, the gain, the clamp."""
    def arrives(spoil):
        desk = over_the_air()
        level = 14 + 4 - path_loss_db(500)
        desk.air.noise_figure_db = level - 1.5 - sensitivity_dbm(9, 125000, 0.0)
        node, bridge = desk.radios
        bridge.start_recv()
        node.stage(b"edge")
        spoil(desk.chips)
        node.start_send()
        desk.finish(node)
        return desk.hear(bridge, 100) is not None

    assert arrives(lambda chips: None)
    assert not arrives(lambda chips: chips[0].regs.update({t.TX_MODULATION: 0x01}))
    assert not arrives(lambda chips: chips[1].regs.update({t.TX_MODULATION: 0x01}))
    assert not arrives(lambda chips: chips[0].regs.update({t.TX_CLAMP: 0xC8}))
    assert not arrives(lambda chips: chips[1].regs.update({t.RX_GAIN: 0x94}))
    assert not arrives(lambda chips: setattr(chips[1], "image_mhz", (902, 928)))
    assert not arrives(lambda chips: setattr(chips[0], "dio2_switch", False))


def test_activity_and_level():
    desk = over_the_air()
    node, bridge = desk.radios
    bridge.start_recv()
    desk.run_ms(1)
    quiet = desk.air.level_dbm(desk.chips[1], FREQ, 125000)
    assert quiet == pytest.approx(-117, abs=0.1)
    node.start_send(bytes(40))
    desk.run_ms(50)
    assert desk.air.level_dbm(desk.chips[1], FREQ, 125000) == pytest.approx(18 - path_loss_db(500), abs=0.2)
    assert desk.air.carries(desk.chips[1], desk.chips[1].tuning)
    assert not desk.air.carries(desk.chips[0], desk.chips[0].tuning)  # its own does not count

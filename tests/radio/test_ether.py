"""The rules of the ether: levels, who hears whom, and why not."""

import random

import pytest
from radio_desk import Clock
from town import FREQ, Ear, Town

from tools.twin.ether import Ether, path_loss_db, sensitivity_dbm, snr_limit_db


def test_levels():
    assert path_loss_db(1) == pytest.approx(31.2)
    assert path_loss_db(1000) == pytest.approx(31.2 + 99)
    assert path_loss_db(0) == path_loss_db(1)
    # the SX1262 data sheet, boosted gain, 125 kHz: -124 dBm at SF7, -137 at SF12
    assert sensitivity_dbm(7, 125000) == pytest.approx(-124.5, abs=0.6)
    assert sensitivity_dbm(12, 125000) == pytest.approx(-137, abs=0.6)
    assert sensitivity_dbm(9, 250000) - sensitivity_dbm(9, 125000) == pytest.approx(3.01, abs=0.01)
    assert [snr_limit_db(sf) for sf in (7, 8, 9, 10, 11, 12)] == [-7.5, -10, -12.5, -15, -17.5, -20]


def test_a_frame_arrives_with_its_level():
    town = Town()
    town.node("a", -90)
    town.send("a", b"hello")
    assert town.run() == {"a": None}
    assert town.hub.got == [(b"hello", -90.0, 13.0, True)]  # the SNR of a strong signal is not reported higher
    assert ("a", "hub", b"hello", None) in town.outcomes


@pytest.mark.parametrize("sf", range(7, 13))
def test_sensitivity(sf):
    town = Town()
    town.hub.tuning.sf = sf
    edge = sensitivity_dbm(sf, 125000)
    town.node("near", edge + 0.5)
    town.node("far", edge - 0.5)
    town.send("near", sf=sf)
    town.send("far", at_ms=5000, sf=sf)
    assert town.run() == {"near": None, "far": "sensitivity"}
    assert town.hub.got[0][2] == pytest.approx(snr_limit_db(sf) + 0.5, abs=0.11)


def test_losses_of_sender_and_receiver_count():
    for at_sender in (True, False):
        town = Town()
        town.node("a", sensitivity_dbm(9, 125000) + 2)
        emission = town.send("a")
        if at_sender:
            emission.loss_db = 3.0
        else:
            town.hub.rx_loss_db = 3.0
        assert town.run() == {"a": "sensitivity"}


def test_the_stronger_one_captures():
    """6 dB over the other, and there first."""
    for difference, first_reason in ((7, None), (5, "collision")):
        town = Town()
        town.node("a", -90)
        town.node("b", -90 - difference)
        town.send("a")
        town.send("b", at_ms=100)
        assert town.run() == {"a": first_reason, "b": "collision"}


def test_a_receiver_locked_to_a_weak_frame_misses_the_strong_one():
    town = Town()
    town.node("weak", -110)
    town.node("strong", -80)
    town.send("weak")
    town.send("strong", at_ms=40)  # the preamble of the weak one has passed, its header has not
    assert town.run() == {"weak": "collision", "strong": "collision"}
    town = Town()
    town.node("weak", -110)
    town.node("strong", -80)
    town.send("weak")
    town.send("strong", at_ms=10)  # still within the preamble
    assert town.run() == {"weak": "collision", "strong": None}


def test_a_broken_header_frees_the_receiver():
    town = Town()
    town.node("weak", -110)
    town.node("strong", -80)
    town.send("weak")
    town.send("strong", at_ms=70)  # into the header of the weak one, which ends at 83 ms
    assert town.run() == {"weak": "collision", "strong": None}
    assert town.hub.headers == [False, True]


def test_payload_hit_is_a_checksum_error():
    town = Town()
    town.node("a", -90)
    town.node("b", -88)
    town.send("a")
    town.send("b", at_ms=150)
    assert town.run() == {"a": "collision", "b": "collision"}
    payload, _, _, intact = town.hub.got[0]
    assert not intact
    assert payload != bytes(24)
    assert len(payload) == 24


def test_two_weak_ones_add_up():
    town = Town()
    town.node("a", -90)
    for name in ("b", "c"):
        town.node(name, -97)
        town.send(name, at_ms=100)
    town.send("a")
    assert town.run()["a"] == "collision"
    town = Town()
    town.node("a", -90)
    for i, name in enumerate(("b", "c")):
        town.node(name, -97)
        town.send(name, b"x" * 4, at_ms=60 + 130 * i)  # one after the other
    town.send("a", bytes(60))
    assert town.run()["a"] is None


def test_only_the_last_five_symbols_of_the_preamble_matter():
    """The other one ends 2 ms before, or 2 ms after, the hub begins to need this preamble."""
    for at_ms, reason in ((-2.0, None), (2.0, "collision")):
        town = Town()
        town.node("early", -83)
        town.node("late", -90)
        early = town.send("early", b"x")
        start_ms = early.end_us / 1000 - 3 * 4.096 - at_ms
        town.send("late", at_ms=start_ms)
        reasons = town.run()
        assert reasons["early"] is None
        assert reasons["late"] == reason


def test_other_spreading_factors_and_polarities_are_noise():
    for kind in ({"sf": 7}, {"inverted": True}):
        town = Town()
        town.node("a", -90)
        town.node("b", -85)  # 5 dB stronger: no matter
        town.send("a")
        town.send("b", at_ms=50, **kind)
        assert town.run()["a"] is None
        town = Town()
        town.node("a", -110)
        town.node("b", -85)  # 25 dB stronger: too much for 12.5 dB of processing gain
        town.send("a")
        town.send("b", at_ms=50, **kind)
        assert town.run()["a"] == "collision"


def test_other_channels_do_not_disturb():
    town = Town()
    town.node("a", -120)
    town.node("b", -50)
    town.send("a")
    town.send("b", at_ms=50, freq_hz=FREQ + 200000)
    assert town.run() == {"a": None, "b": "deaf"}


def test_half_duplex_and_deaf():
    town = Town()
    for name, at_ms in (("a", 100), ("b", 1000), ("c", 2000)):
        town.node(name, -90)
        town.send(name, at_ms=at_ms)
    town.ears["hub"] = town.hub
    town.hub.awake = False
    answer = town.send("hub", bytes(10), inverted=True)
    assert answer.detect_us < 100000 < answer.end_us
    town.clock.at(1500000, setattr, town.hub, "awake", True)
    assert town.run() == {"a": "busy", "b": "deaf", "c": None}


def test_a_sender_that_stops_in_the_middle():
    town = Town()
    town.node("a", -90)
    emission = town.send("a")
    town.clock.at(150000, town.ether.abort, town.ears["a"], emission)
    assert town.run() == {"a": "cut"}
    assert not town.hub.got[0][3]


def test_a_station_can_leave():
    town = Town()
    town.node("a", -90)
    town.node("b", -90)
    town.send("a")
    town.clock.at(100000, town.ether.detach, "hub")
    town.send("b", at_ms=1000)
    assert town.run() == {}
    with pytest.raises(ValueError, match="two stations"):
        town.ether.attach(Ear(), "b", 0, 0)


def test_shadow_is_a_property_of_the_link():
    def losses(names, seed=5):
        ether = Ether(Clock(), random.Random(seed))
        for i, name in enumerate(names):
            ether.attach(Ear(), name, 100.0 * ord(name[0]), 10.0 * ord(name[0]), antenna_dbi=2)
            assert i < len(names)
        stations = ether.stations
        return {(a, b): ether.link_loss_db(stations[a], stations[b]) for a in names for b in names if a != b}

    few, many = losses(["a", "b"]), losses(["z", "b", "c", "a"])
    assert few["a", "b"] == few["b", "a"] == many["a", "b"]  # neither direction, order nor company matters
    assert losses(["a", "b"], seed=6) != few
    spread = list(losses([chr(i) for i in range(97, 117)]).values())
    assert len(set(spread)) == len(spread) / 2


def test_the_same_seed_gives_the_same_town():
    def run(seed):
        town = Town(shadow_db=6.0, fading_db=2.0)
        town.ether.rng.seed(seed)
        for i in range(6):
            town.node(f"n{i}", -125 + i)
            town.send(f"n{i}", at_ms=150 * i)
        town.run()
        return town.outcomes, town.hub.got

    assert run(1) == run(1)
    assert run(1) != run(2)

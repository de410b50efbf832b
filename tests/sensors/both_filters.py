"""Filters and parsers under both interpreters."""

from firmware.sensors.a02yyuw import Stream
from firmware.sensors.ds18b20 import crc8
from firmware.sensors.filters import distance, median, spread


def check_median_and_spread():
    assert median([5]) == 5
    assert median((9, 1, 5)) == 5
    assert median([4, 1, 3, 2]) == 2
    values = [10, 11, 9, 10, 4000]
    assert median(values) == 10
    assert spread(values, 10) == 1
    assert values == [10, 11, 9, 10, 4000]


def check_distance_of_vectors():
    assert distance((0, 0, 0), (3, 4, 0)) == 5
    assert distance((100000, -100000, 50000), (-100000, 100000, -50000)) == 300000


def feed(data):
    stream = Stream()
    return [mm for mm in map(stream.feed, bytes.fromhex(data)) if mm is not None], stream.bad


def check_frames():
    assert feed("ff07a1a7" + "ff032022") == ([1953, 800], 0)
    assert feed("2022" + "ff032022") == ([800], 0)  # switched on in the middle
    assert feed("ff032023" + "ff032022") == ([800], 1)  # a wrong sum
    assert feed("ff0320" + "ff032022") == ([800], 1)  # a byte is missing: the next frame begins in this one
    assert feed("ffff032022") == ([800], 1)  # one too many
    assert feed("ff00fffe" * 2) == ([255, 255], 0)  # FF as data
    assert feed("fffe" + "ff00fffe") == ([255], 1)  # switched on within it


def check_every_single_damaged_byte():
    """Whatever happens to one byte of a frame, at most two frames are lost and none is invented outside 0..65535."""
    good = bytes.fromhex("ff032022") * 6
    for at in range(4, 12):
        for bit in range(8):
            wrong = bytearray(good)
            wrong[at] ^= 1 << bit
            stream = Stream()
            found = [mm for mm in map(stream.feed, wrong) if mm is not None]
            assert found.count(800) >= 4, (at, bit, found)


def check_crc_finds_every_single_flip():
    pad = bytearray(bytes.fromhex("91014b467fff0f1025"))
    assert crc8(pad) == 0
    for i in range(72):
        pad[i // 8] ^= 1 << i % 8
        assert crc8(pad) != 0
        pad[i // 8] ^= 1 << i % 8

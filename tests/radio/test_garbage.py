"""The driver leaves little behind: a bridge that hears for months must not need the collector for its radio."""

from pathlib import Path


def test_garbage(mp):
    sent, received, looked = map(int, mp(Path(__file__).with_name("garbage.py")).split())
    assert sent <= 1536  # bytes on the 64-bit port: tuples of arguments, one view a transaction
    assert received <= 1280  # the frame and its Packet among them
    assert looked == 0

"""The lines for a live view never hold the daemon up."""

import json
import os
import time

from gateway import events


def _lines(fd):
    data = b""
    while chunk := os.read(fd, 65536):
        data += chunk
    return [json.loads(line) for line in data.splitlines()]


def test_lines_come_in_order():
    read, write = os.pipe()
    said = events.Events(write)
    for n in range(50):
        said.say({"ev": "stored", "n": n, "odd": [b"bytes"]})
    said.close()
    os.close(write)
    assert [line["n"] for line in _lines(read)] == list(range(50))
    os.close(read)


def test_what_is_too_much_is_dropped_and_told(monkeypatch):
    monkeypatch.setattr(events, "_WAITING_MAX", 20)
    read, write = os.pipe()
    said = events.Events(write)
    start = time.monotonic()
    for n in range(3000):  # more than pipe and queue hold
        said.say({"ev": "stored", "n": n, "fill": "x" * 100})
    assert time.monotonic() - start < 2
    os.set_blocking(read, False)
    got = b""
    while said._queue.qsize():
        try:
            got += os.read(read, 65536)
        except BlockingIOError:
            time.sleep(0.01)
    said.say({"ev": "late"})
    said.close()
    os.close(write)
    os.set_blocking(read, True)
    while chunk := os.read(read, 65536):
        got += chunk
    os.close(read)
    lines = [json.loads(line) for line in got.splitlines()]
    assert lines[-1]["ev"] == "late"
    missed = sum(line.get("missed", 0) for line in lines)
    assert missed > 1000
    assert len(lines) - 1 + missed == 3000


def test_a_reader_that_went_away():
    read, write = os.pipe()
    said = events.Events(write)
    os.close(read)
    for n in range(100):
        said.say({"ev": "stored", "n": n})
    said._thread.join(2)
    assert not said._thread.is_alive()
    said.close()
    os.close(write)

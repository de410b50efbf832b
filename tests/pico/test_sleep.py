"""Boards that sleep, on the chip, without a host on their port: behind a power gate, and lightly."""

from itertools import pairwise
from pathlib import Path

import pytest

from firmware.wire.frame import parse
from gateway.inventory import Power, load

FLEET = load(Path(__file__).resolve().parent.parent.parent / "boards.yaml")
DONE = 22  # the pin that tells the gate
SLEEP_EN0 = 0xA8  # which clocks run in light sleep, in the RP2040's CLOCKS

pytestmark = pytest.mark.timeout(600)


def wake(uf2, flash=None):
    """One wake of a gated bin: the Run, when its frame was sent and when it let go of its power, ms."""
    from first_frame import Run

    power = Power("gated", DONE, None, None)
    run = Run(uf2, FLEET, "bin-quai", flash=flash, cable=False, power=power)
    levels = []
    run.pico.mcu.gpio[DONE].add_listener(lambda new, old: levels.append((run.pico.clock.now_us / 1000, int(new))))
    _, sent_ms, _ = run.to_sent()
    run.pico.run(lambda: levels[-1][1], chip_s=20, wall_s=200)
    assert [level for _, level in levels] == [0, 1]
    return run, sent_ms, levels[-1][0]


def test_a_gated_bin_reports_at_once_and_cuts_its_power(uf2):
    first, sent_ms, off_ms = wake(uf2)
    print(f"gated bin, first wake: sent {sent_ms:.0f} ms, off {off_ms:.0f} ms")
    again, sent_ms, off_ms = wake(uf2, first.pico.flash)
    print(f"gated bin, second wake: sent {sent_ms:.0f} ms, off {off_ms:.0f} ms")
    assert parse(first.air.frames[0][2]).piv == 1
    assert parse(again.air.frames[0][2]).piv == 2  # one counter a wake
    assert sent_ms < 4_500  # 2.6 s of them are the sensors', 0.27 s the frame's
    assert off_ms < sent_ms + 500  # a planned wake does not wait for an answer


def test_a_bin_sleeps_lightly_and_keeps_its_grid(uf2):
    from first_frame import Run

    run = Run(uf2, FLEET, "bin-quai", cable=False, report_s=30, power=Power("light", None, None, None))
    pico, slept = run.pico, []
    clocks = pico.mcu.clocks
    write = clocks.write_uint32
    clocks.write_uint32 = lambda at, value: (at == SLEEP_EN0 and slept.append(pico.clock.now_us), write(at, value))
    pico.run(lambda: len(run.air.frames) == 3, chip_s=120, wall_s=300)
    pico.rest(20)
    assert pico.resets == 0
    assert len(slept) >= 5  # after the minute in which a host may say something, in slices of 3.9 s
    starts = [start for start, _, _ in run.air.frames]
    assert all(abs(late - early - 30_000_000) < 500_000 for early, late in pairwise(starts))

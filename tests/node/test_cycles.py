"""A share of the thousands of cycles (tests/bench/cycles.py): nothing grows, and nothing needs more than 4 kB at once."""

import importlib.util

import mp
import pytest

spec = importlib.util.spec_from_file_location("bench_cycles", mp.ROOT / "tests/bench/cycles.py")
cycles = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cycles)


@pytest.mark.parametrize("kind", list(cycles.HEAPS_KB))
@pytest.mark.parametrize("what", list(cycles.BOARDS))
def test_hundreds_of_cycles_on_a_heap_that_is_a_sieve(slot, what, kind):
    folder = slot(cycles.BOARDS[what], report_s=cycles.REPORT_S)
    row = cycles.run(folder, cycles.HEAPS_KB[kind], 300)
    print(f"bin {what}, {kind}: {row}")
    assert cycles.holds(row, 300), row


def test_an_allocation_of_more_than_4_kb_is_found(slot):
    folder = slot("bin-quai", report_s=cycles.REPORT_S)
    greedy = """
service = app.schedule.service
report = service.report
async def large(now_s):
    bytearray(5000)
    return await report(now_s)
service.report = large
"""
    program = cycles.code(folder, "node", 60).replace("kept = sieve(LARGEST)", greedy + "kept = sieve(LARGEST)")
    row = cycles.run(folder, cycles.HEAPS_KB["Pico"], 60, program=program)
    assert row["errors"] >= 60
    assert not cycles.holds(row, 60)


def test_growth_is_found(slot):
    folder = slot("bin-quai", report_s=cycles.REPORT_S)
    leak = """
service = app.schedule.service
report = service.report
leaked = None
async def leaking(now_s):
    global leaked
    leaked = [leaked]
    return await report(now_s)
service.report = leaking
"""
    program = cycles.code(folder, "node", 300).replace("kept = sieve(LARGEST)", leak + "kept = sieve(LARGEST)")
    row = cycles.run(folder, cycles.HEAPS_KB["Pico"], 300, program=program)
    assert not cycles.holds(row, 300)

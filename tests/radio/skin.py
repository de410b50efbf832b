"""Cases for the asyncio skin of the driver, run by test_skin.py in MicroPython on a clock of its own."""

import virtual  # first: it puts the clock under asyncio  # noqa: I001

import asyncio
import gc
import time

from radio_desk import Desk, Fault

from firmware.radio.sx126x.aio import SX126x
from tools.twin.chips.sx126x import tables as t


class TownClock:
    """The clock of `virtual` as chips and desk know a clock."""

    @property
    def now_us(self):
        return virtual.port.now

    def at(self, t_us, fn, *args):
        token = virtual.port.at(max(t_us, virtual.port.now), lambda: fn(*args))
        return Token(token)

    def run(self, us):
        virtual.port.spend(us)


class Nothing:
    def append(self, opcode):
        pass


class Token:
    def __init__(self, token):
        self.token = token

    def cancel(self):
        virtual.port.disarm(self.token)


def desk(n=2, **settings):
    return Desk(n, driver=SX126x, clock=TownClock(), **settings)


async def case_there_and_back():
    d = desk()
    node, bridge = d.radios
    listening = asyncio.create_task(bridge.recv())
    await asyncio.sleep_ms(10)
    node.stage(b"reading")
    before = time.ticks_us()
    toa_us = await node.send()
    assert toa_us == node.airtime_us(7)
    assert 0 <= time.ticks_diff(time.ticks_us(), before) - toa_us < 1000
    packet = await listening
    assert packet.frame == b"reading"
    assert abs(time.ticks_diff(packet.t_ms, d.air.sent[0].end_us // 1000)) <= 1
    assert node.counters["dio1"] == 0
    d.settled()


async def case_listening_costs_no_frame_between_two_calls():
    """A bridge that comes back late: the receiver was on all the time."""
    d = desk()
    node, bridge = d.radios
    listening = asyncio.create_task(bridge.recv())
    await asyncio.sleep_ms(1)
    await node.send(b"one")
    assert (await listening).frame == b"one"
    await node.send(b"two")
    await asyncio.sleep_ms(500)
    assert (await bridge.recv()).frame == b"two"
    rx_starts = d.buses[1].log.count(0x82)
    assert rx_starts == 1


async def case_a_window():
    d = desk()
    before = time.ticks_ms()
    assert await d.radio.recv(150) is None
    assert 150 <= time.ticks_diff(time.ticks_ms(), before) < 165
    listening = asyncio.create_task(d.radio.recv(1000))
    await asyncio.sleep_ms(20)
    await d.radios[1].send(b"answer")
    assert (await listening).frame == b"answer"
    assert not d.radio.receiving


async def case_cancelled_to_send():
    d = desk(3)
    bridge, node, other = d.radios
    listening = asyncio.create_task(bridge.recv())
    await asyncio.sleep_ms(100)
    listening.cancel()
    try:
        await listening
    except asyncio.CancelledError:
        pass
    assert bridge.receiving  # until somebody wants something else
    hears = asyncio.create_task(node.recv())
    await asyncio.sleep_ms(1)
    await bridge.send(b"answer")
    assert (await hears).frame == b"answer"
    listening = asyncio.create_task(bridge.recv())
    await asyncio.sleep_ms(1)
    await other.send(b"uplink")
    assert (await listening).frame == b"uplink"
    d.settled()


async def case_two_frames_at_once():
    """The second ends while the first is being fetched: nobody waits for another edge."""
    d = desk()
    node, bridge = d.radios
    for radio in d.radios:
        radio.configure(sf=7)
    listening = asyncio.create_task(bridge.recv())
    await asyncio.sleep_ms(1)
    for i in range(10):
        await node.send(bytes([i]) * 10)
        packet = await listening
        assert packet.frame == bytes([i]) * 10
        listening = asyncio.create_task(bridge.recv())
    listening.cancel()


async def case_lost_edges():
    d = desk()
    d.chips[0].faults.dio1_lost = 1
    d.chips[1].faults.dio1_lost = 1
    listening = asyncio.create_task(d.radios[1].recv())
    await asyncio.sleep_ms(10)
    before = time.ticks_ms()
    await d.radio.send(b"edges")
    assert time.ticks_diff(time.ticks_ms(), before) < 200
    assert (await listening).frame == b"edges"
    assert time.ticks_diff(time.ticks_ms(), before) < 2500  # the watch looks at the level every 2 s


async def case_an_event_while_another_is_served():
    """A damaged frame is being cleared away when the next one ends: no edge tells of it, and no 2 s go by."""
    d = desk()
    chip = d.chip
    chip.faults.crc_error = 1
    clear = chip._op_02

    def clear_late(args):
        if chip.irq & t.CRC_ERR:
            chip._op_02 = clear
            clear(args)
            chip.irq |= t.RX_DONE
            chip.dio1 = 1
        else:
            clear(args)

    listening = asyncio.create_task(d.radio.recv())
    await asyncio.sleep_ms(10)
    chip._op_02 = clear_late
    before = time.ticks_ms()
    await d.radios[1].send(b"twice")
    assert (await listening).frame == b"twice"
    assert time.ticks_diff(time.ticks_ms(), before) < 500
    assert d.radio.counters["crc"] == 1


async def case_deadline():
    d = desk()
    d.chip.faults.tx_done_lost = 1
    toa_ms = d.radio.airtime_us(3) // 1000
    before = time.ticks_ms()
    name = None
    try:
        await d.radio.send(b"abc")
    except Fault as error:
        name = error.name
    assert name == "radio_tx"
    assert 5 * toa_ms <= time.ticks_diff(time.ticks_ms(), before) < 5 * toa_ms + 60
    assert await d.radio.send(b"abc") == d.radio.airtime_us(3)


async def case_a_deaf_receiver_is_cured():
    d = desk(2, agc_lock_dbm=-20.0)
    listening = asyncio.create_task(d.radio.recv())
    await asyncio.sleep_ms(100)
    d.air.level_dbm_of = -5.0
    d.air.foreign()
    await asyncio.sleep_ms(500)
    d.air.level_dbm_of = -80.0
    assert d.chip.agc_locked
    await asyncio.sleep(65)
    assert d.radio.counters["agc"] == 1
    assert d.chip.mode == t.RX
    await d.radios[1].send(b"hello again")
    assert (await listening).frame == b"hello again"


async def case_an_hour_of_silence_costs_no_heap():
    d = desk(1)
    listening = asyncio.create_task(d.radio.recv())
    await asyncio.sleep(70)
    d.bus.log = Nothing()
    gc.collect()
    before = gc.mem_alloc()
    await asyncio.sleep(3600)
    gc.collect()
    grown = gc.mem_alloc() - before
    assert d.radio.counters["agc"] >= 59
    assert grown < 4096, grown
    listening.cancel()


def run(name):
    asyncio.run(globals()[name]())

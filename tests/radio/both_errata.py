"""Every erratum: the chip's side effect, what it costs when nothing is done, and that the driver does it in time."""

from radio_desk import Clock, Desk, Random

from firmware.radio.sx126x import errata
from firmware.radio.sx126x.commands import Commands
from tools.twin.chips.sx126x import SX126x
from tools.twin.chips.sx126x import tables as t


class Silent:
    """An air in which nothing is."""

    def transmit(self, chip, emission):
        pass

    def abort(self, chip, emission):
        pass


def bare(**settings):
    """A chip after reset, its clock, and a function that sends it one command."""
    clock = Clock()
    chip = SX126x(clock, Silent(), Random(), tcxo_mv=0, **settings)
    clock.run(5000)

    def command(text):
        answer = chip.spi(bytes.fromhex(text))
        clock.run(20000)
        return answer

    command("8a01")
    command("8636410000")
    return chip, clock, command


def check_15_1_set_modulation_params_resets_0889():
    chip, _, command = bare()
    command("0d088905")
    assert chip.regs[t.TX_MODULATION] == 0x05
    command("8b07040100")
    assert chip.regs[t.TX_MODULATION] == 0x01
    assert chip.modulation_loss_db > 0  # 125 kHz wants the bit set
    command("0d088905")
    assert chip.modulation_loss_db == 0
    command("8b07060100")
    assert chip.modulation_loss_db == 0  # 500 kHz wants it cleared
    command("0d088905")
    assert chip.modulation_loss_db > 0


def check_15_1_after_every_change_of_modulation():
    desk = Desk()
    for bw_hz, sf in ((500000, 7), (125000, 7), (125000, 9), (500000, 9), (250000, 9)):
        desk.radio.configure(bw_hz=bw_hz, sf=sf)
        desk.radio.start_recv()
        assert desk.chip.modulation_loss_db == 0, (bw_hz, sf)
        desk.radio.start_send(b"x")
        desk.finish()
        assert desk.air.sent[-1].loss_db == 0, (bw_hz, sf)


def check_15_2_the_clamp_costs_power():
    desk = Desk(begin=False)
    desk.radio.begin()
    desk.radio.configure(power_dbm=22)
    desk.radio.start_send(b"x")
    desk.finish()
    assert desk.air.sent[-1].power_dbm == 22
    desk.chip.regs[t.TX_CLAMP] = 0xC8  # as after power-on
    desk.radio.start_send(b"x")
    desk.finish()
    assert desk.air.sent[-1].power_dbm == 17
    desk.radio.begin()  # a cold start
    desk.radio.start_send(b"x")
    desk.finish()
    assert desk.air.sent[-1].power_dbm == 22


def check_15_3_the_timer_of_a_window_fires_later():
    """The chip alone: implicit header, a frame in a window of 1 s, then standby; the time-out comes all the same."""
    for cured in (False, True):
        chip, clock, command = bare()
        command("8b07040100")
        command("8c000801050100")
        command("0d07360d")
        command("08ffffffff00000000")
        command("8200fa00")  # 1 s
        emission = foreign(chip, clock, b"12345")
        assert chip.irq & t.RX_DONE
        command("02ffff")
        if cured:
            cmd = Commands(Direct(chip, clock), lambda level: None, lambda: 0, None)
            errata.implicit_header_timeout(cmd)
            assert chip.regs[t.RTC_CONTROL] == 0
            assert chip.regs[t.EVENT_MASK] & 2
        clock.run(1000000)
        assert bool(chip.irq & t.TIMEOUT) == (not cured)
        assert emission.end_us < 1000000


class Direct:
    def __init__(self, chip, clock):
        self.chip, self.clock = chip, clock

    def write_readinto(self, mosi, miso):
        self.clock.run(20000)
        miso[:] = self.chip.spi(bytes(mosi))


def foreign(chip, clock, payload):
    """Bring a frame with implicit header, CR 4/5, to a chip by hand."""
    from tools.twin.chips.lora import Emission

    emission = Emission(chip.tuning, cr=5, low_rate=False, preamble=8, explicit=False, crc=True, payload=payload,
                        power_dbm=14.0, loss_db=0.0, start_us=clock.now_us + 100000)  # fmt: skip
    clock.run(emission.lock_us - clock.now_us)
    assert chip.hears(emission)
    chip.on_preamble(emission)
    clock.run(emission.header_us - clock.now_us)
    assert chip.on_header(emission, True)
    clock.run(emission.end_us - clock.now_us)
    assert chip.on_packet(emission, payload, -80.0, 9.0, True)
    return emission


def check_15_3_after_every_window():
    desk = Desk(2)
    desk.radio.start_recv(100)
    desk.hear(desk.radio)
    assert desk.chip.regs[t.EVENT_MASK] & 2  # it ran out
    desk.chip.regs[t.EVENT_MASK] = 0
    desk.radio.start_recv(500)
    desk.radios[1].start_send(b"in time")
    assert desk.hear(desk.radio).frame == b"in time"
    assert desk.chip.regs[t.EVENT_MASK] & 2  # it was met
    desk.chip.regs[t.EVENT_MASK] = 0
    desk.radio.start_recv(500)
    desk.radio.idle()
    assert desk.chip.regs[t.EVENT_MASK] & 2  # it was given up
    desk.chip.regs[t.EVENT_MASK] = 0
    desk.radio.start_recv()
    desk.radio.idle()
    assert not desk.chip.regs[t.EVENT_MASK]  # there was none


def check_15_4_set_packet_params_resets_0736():
    chip, _, command = bare()
    command("0d073609")
    command("8c000800ff0101")
    assert chip.regs[t.IQ_POLARITY] == 0x0D
    assert chip.tuning.inverted is None  # inverted by command, standard by register: fits nobody
    command("0d073609")
    assert chip.tuning.inverted is True
    command("8c000800ff0100")
    assert chip.tuning.inverted is False


def check_15_4_wrong_polarity_neither_hears_nor_is_heard():
    for wrong in (0, 1):
        for inverted in (False, True):
            desk = Desk(2)
            for radio in desk.radios:
                radio.configure(iq=inverted)
            desk.radios[1].start_recv()
            if wrong == 1:
                desk.chips[1].regs[t.IQ_POLARITY] ^= 4
            desk.radio.stage(b"hello")
            if wrong == 0:
                desk.chips[0].regs[t.IQ_POLARITY] ^= 4
            desk.radio.start_send()
            desk.finish()
            assert desk.hear(desk.radios[1], 100) is None


def deafen(desk):
    """A transmitter next door locks the receiver's gain."""
    desk.air.level_dbm_of = -10.0
    desk.air.foreign()
    desk.run_ms(300)
    desk.air.level_dbm_of = -80.0
    assert desk.chip.agc_locked


def check_agc_neither_standby_nor_calibration_alone_cures():
    desk = Desk(2, agc_lock_dbm=-20.0)
    desk.radio.start_recv()
    deafen(desk)
    desk.radio.start_recv()
    desk.radios[1].start_send(b"lost")
    assert desk.hear(desk.radio, 300) is None
    for command in (b"\x80\0", b"\x89\x7f"):
        desk.run_ms(10)
        desk.chip.spi(command)
    assert desk.chip.agc_locked
    desk.radio.start_send(b"x")  # sending does
    desk.finish()
    assert not desk.chip.agc_locked


def check_agc_is_cured_after_a_minute_of_silence():
    desk = Desk(2, agc_lock_dbm=-20.0)
    desk.radio.start_recv()
    deafen(desk)
    for _ in range(62):
        assert desk.radio.poll_recv() is None
        desk.run_ms(1000)
    assert desk.radio.counters["agc"] == 1
    assert desk.bus.log.count(0x9D) == 2  # the switch once more
    assert not desk.chip.agc_locked
    chip = desk.chip
    assert chip.mode == t.RX
    assert (chip.calibrated, chip.image_mhz, chip.rx_loss_db) == (0x7F, (860, 876), 0)
    assert chip.dio2_switch
    desk.radios[1].start_send(b"heard again")
    assert desk.hear(desk.radio).frame == b"heard again"
    desk.settled()


def check_agc_cure_waits_while_a_frame_comes_in():
    desk = Desk(2)
    for radio in desk.radios:
        radio.configure(sf=12)
    desk.radio.start_recv()
    desk.run_ms(59000)
    desk.radios[1].start_send(bytes(200))
    heard = 0
    for _ in range(30):
        desk.run_ms(500)
        packet = desk.radio.poll_recv()
        heard += desk.radio.hearing()
        if packet:
            break
    assert packet.frame == bytes(200)
    assert heard > 5
    assert desk.radio.counters["agc"] == 0


def check_agc_cure_is_not_held_up_by_a_preamble_of_noise():
    desk = Desk()
    desk.radio.start_recv()
    desk.run_ms(1000)
    desk.chip._raise(t.PREAMBLE_DETECTED)
    for _ in range(70):
        desk.run_ms(1000)
        desk.radio.poll_recv()
    assert desk.radio.counters["agc"] == 1


def check_gain_and_patch_cost_sensitivity():
    desk = Desk()
    desk.radio.start_recv()
    chip = desk.chip
    assert chip.rx_loss_db == 0
    chip.regs[t.RX_GAIN] = 0x94
    assert chip.rx_loss_db == 3
    chip.regs[t.RX_PATCH] = 0
    assert chip.rx_loss_db == 4

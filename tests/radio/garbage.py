"""Print what one frame sent, one received and one look leave behind, bytes: the driver alone, on a bus that answers by rote."""

import gc

from firmware.radio.sx126x.modem import Modem


class Spi:
    irq = 0

    def write_readinto(self, mosi, miso):
        op = mosi[0]
        if len(miso) > 1:
            miso[1] = 0x2A
        if op == 0x1D:
            if len(miso) > 5:
                miso[4:9] = b"SX126"
            else:
                miso[4] = 0x96
        elif op == 0x12:
            miso[2], miso[3] = 0, self.irq
        elif op == 0x13:
            miso[2], miso[3] = 24, 0


class Dio1:
    IRQ_RISING = 1

    def irq(self, handler, trigger):
        self.rise = lambda: handler(self)

    def __call__(self):
        return 0


def pin(level=0):
    return 0


spi, dio1 = Spi(), Dio1()
modem = Modem(spi, pin, pin, pin, dio1, fault=RuntimeError)
frame = bytes(24)


def send():
    modem.start_send(frame)
    spi.irq = 1
    dio1.rise()
    assert modem.poll_send()


def receive():
    spi.irq = 2
    dio1.rise()
    assert modem.poll_recv().frame is not None


def cost(action):
    action()
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    action()
    used = gc.mem_alloc() - before
    gc.enable()
    return used


sending = cost(send)
modem.start_recv()
print(sending, cost(receive), cost(modem.poll_recv))

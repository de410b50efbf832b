"""A02YYUW, a waterproof ultrasonic distance sensor with UART output (9600 8N1).

It sends frames FF high low sum by itself, every 100 to 300 ms; sum = (FF + high + low) & FF, distance in mm. Nearer than
30 mm it is blind. It computes with a fixed speed of sound, that of REFERENCE_DC.
"""

import asyncio

from firmware.wire.errors import DeviceError

MIN_MM = 30
MAX_MM = 4500
BAUD = 9600
REFERENCE_DC = 200  # 0.1 Cel: the air temperature at which its millimetres are true
FRAME_MS = 300  # the longest pause between two frames


class Stream:
    """Finds the frames in a stream of bytes and finds them again after damage. `bad` counts frames with a wrong sum."""

    def __init__(self):
        self.bad = 0
        self._frame = bytearray(4)
        self._n = 0

    def feed(self, byte):
        """Take one byte; return the distance in mm when it completes a sound frame, else None."""
        frame = self._frame
        frame[self._n] = byte
        if frame[0] != 0xFF:
            return None
        self._n += 1
        if self._n < 4:
            return None
        if (0xFF + frame[1] + frame[2]) & 0xFF == frame[3]:
            self._n = 0
            return frame[1] << 8 | frame[2]
        self.bad += 1
        self._again()
        return None

    def _again(self):
        """Start anew at the next FF that is already here: it may be the true beginning."""
        frame = self._frame
        self._n = 0
        for i in range(1, 4):
            if self._n or frame[i] == 0xFF:
                frame[self._n] = frame[i]
                self._n += 1


class A02YYUW:
    """The sensor on a machine.UART of 9600 baud, 8N1, whose read does not wait; `power`: the pin that switches it on for
    a burst (it draws 8 mA), or None."""

    def __init__(self, uart, power=None):
        self._uart = uart
        self._power = power
        self._chunk = bytearray(16)

    async def read_burst(self, n=9):
        """Return a list of up to n distances in mm, all within MIN_MM..MAX_MM, at least one; takes up to 0.3 (n + 4) s.

        DeviceError: sensor_silent (no byte), sensor_checksum (no sound frame), sensor_range (no distance in range).
        """
        if self._power is None:
            return await self._burst(n)
        self._power.value(1)
        try:
            return await self._burst(n)
        finally:
            self._power.value(0)

    async def _burst(self, n):
        uart = self._uart
        while uart.any():
            uart.readinto(self._chunk)  # what waited in the buffer is old
        stream = Stream()
        good: list = []
        bytes_seen = frames = 0
        waits = (n + 4) * FRAME_MS // 50
        while len(good) < n and waits:
            if not uart.any():
                waits -= 1
                await asyncio.sleep_ms(50)
                continue
            got = uart.readinto(self._chunk) or 0
            bytes_seen += got
            for i in range(got):
                mm = stream.feed(self._chunk[i])
                if mm is not None:
                    frames += 1
                    if MIN_MM <= mm <= MAX_MM:
                        good.append(mm)
        if good:
            return good[:n]
        raise DeviceError("sensor_range" if frames else "sensor_checksum" if bytes_seen else "sensor_silent")

    read = read_burst


def make(spec, buses):
    return A02YYUW(buses.uart(spec, BAUD), buses.power(spec))

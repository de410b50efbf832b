"""Scenarios of the power-cut runner (cut_runner.py): a whole node, by cable and by radio, until its readings are sent."""

import desk
from cut_runner import judge
from desk import Host, Service, config, flash, link, opened, radio_config

from firmware.wire.quantities import REPEATS


class Wired:
    """The same counter carries the same bytes for ever, a reading has one counter for ever, none is lost but the newest."""

    SETTINGS = config(report_s=60)
    SECONDS = 500

    @classmethod
    def provision(cls, disk):
        flash(cls.SETTINGS)

    def __init__(self):
        self.taken = 0
        self.frames = {}  # piv -> bytes
        self.numbers = {}  # number of a reading -> piv
        self.kept = set()  # readings for which the queue's push has returned

    def life(self, disk):
        Service.script = lambda now: self.reading(disk)
        host = Host()
        host.disk = disk
        app = desk.start("/f/", host)
        if app.radio:
            app.radio.disk = disk
        else:
            host.on_message = lambda m: self.answer(host, m)
        push = app.uplink.push
        app.schedule._push = lambda reading: self.push(disk, push, reading)
        try:
            desk.run(app, self.SECONDS)
        finally:
            self.sort_out(app, host)
        disk.alive()
        judge(disk, len(app.queue.ids) < 3, "{} readings are left", len(app.queue.ids))
        self.complete(disk)

    def reading(self, disk):
        self.taken += disk.power is not None
        return {4: self.taken}

    def push(self, disk, push, reading):
        push(reading)
        if disk.power is not None:
            self.kept.add(reading[4])

    def answer(self, host, message):
        # Every third frame is not handled before the next: some are on their way when the power goes.
        if message[0] == 1 and message[1] % 3 == 0:
            host.say(link.handled(message[1]))

    def sort_out(self, app, host):
        from cut_runner import Violation

        sent = [f for _, f, _ in app.radio.sent] if app.radio else [m[2] for m in host.of(1)]
        for frame in sent:
            payload, piv = opened(frame)
            if self.frames.setdefault(piv, frame) != frame:
                raise Violation(f"counter {piv} carries two frames")
            value = payload[4]
            number = value if type(value) is int else value[0] + value[1]
            if self.numbers.setdefault(number, piv) != piv:
                raise Violation(f"reading {number} comes twice")
            if REPEATS in payload and self.numbers.get(value[0], piv - 1) != piv - 1:
                raise Violation(f"reading {value[0]} is repeated as another")
            if REPEATS in payload:
                self.numbers[value[0]] = piv - 1

    def complete(self, disk):
        lost = self.kept - set(self.numbers)
        judge(disk, not lost, "lost: {}", sorted(lost))


class Radio(Wired):
    """By radio the reading that has just left the queue may be lost, one in each boot that is cut."""

    SETTINGS = radio_config(report_s=60)
    SECONDS = 600

    def complete(self, disk):
        lost = self.kept - set(self.numbers)
        judge(disk, len(lost) <= 2, "lost: {}", sorted(lost))

"""Firmware with the mistakes that boards really have, for the power-cut runner: it must find each of them."""

import cut_state

from firmware.node import files
from firmware.node import settings as good_settings
from firmware.node.queue import Queue
from firmware.node.restore import make_queue
from firmware.wire import cbor


class CounterAfterUse(cut_state.Counter1):
    """A counter written after it was used."""

    def life(self, disk):
        counter = self.counter()
        for _ in range(self.USES):
            piv = counter.upcoming
            counter.upcoming += 1
            cut_state.judge(disk, piv > self.used, "counter {} after {}", piv, self.used)
            self.used = piv
            counter._store(counter.upcoming)


class OneSlot(cut_state.Counter1):
    """A counter in one file that is removed before it is written anew."""

    def counter(self):
        path = "/f/counter-0001"

        class InPlace:
            def next(self):
                piv = int.from_bytes(files.read(path) or b"\0\0\0\1", "big")
                files.remove(path)
                files.write(path, (piv + 1).to_bytes(4, "big"))
                return piv

        return InPlace()


class SettingsInPlace(cut_state.Settings):
    """Settings in one file, flushed in the middle of its writing."""

    def save(self, changed):
        data = (9).to_bytes(4, "big") + cbor.dumps_link(changed)
        for path in ("/f/state/settings-0", "/f/state/settings-1"):
            with open(path, "wb") as file:
                file.write(data[:9])
                file.flush()
                file.write(data[9:])
                file.write(files.crc32(data).to_bytes(4, "little"))


class SettingsAndThenTheirId(cut_state.Settings):
    """The effect of a command and its id in two records, one after the other."""

    def save(self, changed):
        done = good_settings.load("/f/")[0]["done"]
        good_settings.save("/f/", dict(changed, done=done))
        good_settings.save("/f/", changed)


class Forgetful(Queue):
    """Does not always take an entry off flash when it is sent."""

    def drop(self, ident):
        self.ids.remove(ident)
        if not ident % 4:
            files.remove(self._path % ident)


class QueueThatRemembers(cut_state.Backlog):
    """Entries that are sent come back."""

    def queue(self):
        return make_queue("/f/state/queue", Forgetful, self.DEPTH)

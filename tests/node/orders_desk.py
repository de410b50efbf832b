"""A board on its desk with a gateway that answers: `answers` wait for uplinks that ask. MicroPython only, after desk.py."""

from desk import *  # noqa: F403
from desk import KEYS, Desk, Service, config, now_ms, opened, radio_config

from firmware.node.noladder import NoLadder
from firmware.wire import cbor, link
from firmware.wire.seal import seal

LIMITS = {
    "range": {"empty_mm": [100, 6000], "full_mm": [100, 6000], "x": [-5, 5], "y": [-5, 5]},
    "less": [["full_mm", "empty_mm"]], "together": [["x", "y"]],
}  # fmt: skip
SETTINGS = {"empty_mm": 1150, "full_mm": 250}
made = []


def script(now):
    made.append({3: len(made) % 100})
    return dict(made[-1])


class Ladder(NoLadder):
    """Counts what the ladder of the board is told; a restart is done by the test."""

    def __init__(self):
        self.reboots = self.heard = 0

    def reboot(self):
        self.reboots += 1

    def answered(self):
        self.heard += 1


class Town:
    """The desk, and a gateway: `answers` is a list of payloads, None where the answer is lost; `got` the uplinks' payloads."""

    def __init__(self, wired=False, **changes):
        Service.script = script
        make = config if wired else radio_config
        self.desk = Desk(make(settings=dict(SETTINGS), limits=LIMITS, **changes))
        self.wired = wired
        self.answers = []
        self.got = []
        self.asked = 0
        self.statuses = []
        self._begin()

    def _begin(self):
        self.app = self.desk.app
        self.ladder = self.app.board.ladder = Ladder()
        if self.wired:
            self.desk.host.on_message = self._line
        else:
            self.radio = self.desk.radio
            self._send = self.radio.send
            self.radio.send = self._air

    def restart(self):
        """What the board asks its ladder for."""
        self.desk.reboot()
        self._begin()

    def run(self, seconds):
        self.desk.run(seconds)

    async def _air(self, frame=None):
        toa = await self._send(frame)
        answer = self._answer(frame)
        if answer:
            self.radio.incoming.append((now_ms() + 1000, answer, -80, 20))
        return toa

    def _line(self, message):
        if message[0] == 1:
            answer = self._answer(message[2])
            if answer:
                self.desk.host.say(link.send(len(self.got), answer, 0, {}))
            self.desk.host.say(link.handled(message[1]))
        elif message[0] == 3:
            self.statuses.append(message[2])

    def _answer(self, frame):
        payload, piv = opened(frame)
        self.got.append(payload)
        if -5 not in payload:
            return None
        self.asked += 1
        answer = self.answers.pop(0) if self.answers else None
        return None if answer is None else seal(KEYS, piv, cbor.dumps(answer), down=True)

    @property
    def results(self):
        """[(id, result)] as the uplinks told them."""
        return [(p[-12], p.get(-13)) for p in self.got if -12 in p]

    @property
    def reports(self):
        """Seconds between the last two uplinks with a reading."""
        return self.app.schedule._report_ms // 1000

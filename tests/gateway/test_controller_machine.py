"""The controller as a state machine: whatever happens, no nonce is used twice, and what is done is done once."""

import tempfile
from pathlib import Path

from controldesk import Desk, back_up, restore
from examples import examples
from gatedesk import keys
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from test_receive import UNIX_S

from firmware.wire.downlink import accept_downlink
from firmware.wire.errors import WireError
from firmware.wire.frame import parse

CRASHES = ("", "", "", "heard", "heard-done")


class Machine(RuleBasedStateMachine):
    """Boards that ask, answers that get lost, bridges that refuse, crashes at any point, restores, new keys."""

    @initialize(data=st.data())
    def begin(self, data):
        memory = Path("/dev/shm")  # nothing here is about syncs
        self.folder = tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)
        self.desk = Desk(Path(self.folder.name), (1, 2, 3))
        self.base = {n: n for n in (1, 2, 3)}  # board -> the number of its key id
        self.pivs = dict.fromkeys((1, 2, 3), 0)
        self.open = dict.fromkeys((1, 2, 3))  # board -> (id, result) that it tells
        self.done = {}  # (board, id) -> how often its effect happened
        self.effects = {}
        self.bytes = {}  # (kid, piv) -> every answer that was handed over or logged
        self.heard = []
        self.backup = None
        self.now_s = UNIX_S

    def teardown(self):
        if hasattr(self, "desk"):
            self.desk.store.close()
            self.folder.cleanup()

    def _give(self, n, frame, lost):
        kid, head = self.base[n], parse(frame)
        assert self.bytes.setdefault((head.kid, head.piv), frame) == frame
        if lost:
            return
        try:
            answer = accept_downlink(keys(kid), frame, self.pivs[n])
        except WireError as error:
            assert error.name == "stale"  # noqa: PT017 - an answer to a frame that was played back
            return
        self.open[n] = None
        if -12 in answer:
            ident = answer[-12]
            if (n, ident) not in self.done:
                self.done[n, ident] = 0 if ident % 3 else 61
                self.effects[n, ident] = self.effects.get((n, ident), 0) + 1
            self.open[n] = (ident, self.done[n, ident])

    @rule(n=st.sampled_from((1, 2, 3)), asks=st.booleans(), lost=st.booleans(), crash=st.sampled_from(CRASHES))
    def uplink(self, n, asks, lost, crash):
        self.pivs[n] += 1
        payload = {-5: True} if asks or self.open[n] else {}
        if self.open[n]:
            payload |= {-12: self.open[n][0], -13: self.open[n][1]}
        kid = self.base[n]
        self.heard.append((n, kid, self.pivs[n], payload))
        for frame in self._up(kid, self.pivs[n], payload, crash):
            self._give(n, frame, lost)

    def _up(self, kid, piv, payload, crash=""):
        self.now_s += 7
        if crash:
            self.desk.store._point = lambda name: self._die(name, crash)
        try:
            given = self.desk.up(kid, piv, payload, unix_s=self.now_s)
        except Dead:
            self.desk.given.clear()
            self.desk.open().hello()
            return []
        self.desk.store._point = lambda name: None
        return [frame for _, frame, _ in given]

    def _die(self, name, crash):
        if name == crash:
            raise Dead

    @precondition(lambda self: self.heard)
    @rule(data=st.data())
    def played_back(self, data):
        n, kid, piv, payload = data.draw(st.sampled_from(self.heard))
        for frame in self._up(kid, piv, payload):
            self._give(n, frame, True)

    @rule(n=st.sampled_from((1, 2, 3)), expires_s=st.sampled_from((5, 1000)))
    def command(self, n, expires_s):
        self.desk.add(n, {-2: 600}, expires_s=expires_s, unix_s=self.now_s)

    @rule(pick=st.integers(0, 30))
    def cancel(self, pick):
        queue = self.desk.queue(self.now_s)
        found = queue.newest()
        if found:
            queue.cancel(found[pick % len(found)].id)
        queue.close()

    @precondition(lambda self: self.desk.given)
    @rule(data=st.data(), status=st.sampled_from(("ok", "late", "busy", "duty")))
    def bridge(self, data, status):
        number, _, _ = data.draw(st.sampled_from(self.desk.given))
        self.desk.took(self.desk.says(number, status))

    @rule()
    def restart(self):
        self.desk.open().hello()

    @rule()
    def copied(self):
        self.backup = back_up(self.desk, "backup.db")

    @precondition(lambda self: self.backup)
    @rule()
    def restored(self):
        self._logged()
        restore(self.desk, self.backup)
        self.desk.open().hello()

    @rule(n=st.sampled_from((1, 2)))
    def rotate(self, n):
        if self.base[n] > 200:
            return
        self.base[n] += 16
        self.pivs[n] = 0
        self.desk.kids = (*self.desk.kids, self.base[n])
        self.desk.open().hello()

    def _logged(self):
        for kid, piv, frame in self.desk.store._db.execute("SELECT kid, piv, frame FROM downlink"):
            assert self.bytes.setdefault((kid, piv), frame) == frame

    @invariant()
    def no_nonce_twice(self):
        if hasattr(self, "desk"):
            self._logged()

    @invariant()
    def done_is_done(self):
        if not hasattr(self, "desk"):
            return
        assert all(n == 1 for n in self.effects.values())
        for board, ident, state, result in self.desk.store._db.execute("SELECT board, id, state, result FROM command"):
            if state in ("done", "refused"):
                assert self.done.get((int(board[4:]), ident)) == result


class Dead(BaseException):
    """The process is gone."""


TestMachine = Machine.TestCase
TestMachine.settings = examples(25)

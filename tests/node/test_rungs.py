"""The ladder's rules as functions of a record, against a model that knows only what a board's owner wants of them."""

import json

from examples import examples
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from firmware import rungs

POWER, PIN, WATCHDOG, SLEEP, SOFT = range(1, 6)
NAMES = ["distance", "temperature", "field"]


class Life(RuleBasedStateMachine):
    """A board that boots, works, fails and is told things, in any order. `note`: what lies in its retained memory."""

    def __init__(self):
        super().__init__()
        self.r = rungs.new()
        self.note = b""
        self.bad = 0  # ends that were bad since the last good hour
        self.unanswered = 0
        self.wake = False
        self.floor = 0
        self.boot(POWER)

    def boot(self, cause):
        """One boot; checks what must hold of each."""
        before = json.loads(json.dumps(self.r))
        _, self.wake = rungs.begin(self.r, cause, self.note)
        fine = self.note[:1] not in (b"C", b"X") and not (cause == WATCHDOG and self.note[:1] not in (b"R", b"D"))
        if self.wake and fine and not before[rungs.TRIAL]:
            assert self.r == before  # a scheduled wake costs no write and is no strike
        if before[rungs.TRIAL] and not self.r[rungs.TRIAL]:
            assert self.r[rungs.SLOT] == before[rungs.SLOT]
            assert self.r[rungs.CRASHES][-1][0] == rungs.REVERTED
        if before[rungs.PAROLE] and not before[rungs.TRIAL] and not fine:
            assert before[rungs.PAROLE] in self.r[rungs.QUARANTINE]
        self.note = b""

    # -- how a boot ends

    @rule()
    def power_is_cut(self):
        self.bad += bool(self.r[rungs.OPEN])
        self.boot(POWER)

    @rule(sensor=st.sampled_from(["", *NAMES]))
    def the_watchdog_bites(self, sensor):
        self.bad += 1
        self.note = b"S" + sensor.encode()[:10] if sensor else b""
        self.boot(WATCHDOG)

    @rule(code=st.integers(1, 65), text=st.text(max_size=60), sensor=st.sampled_from(["", *NAMES]), cause=st.sampled_from([2, 3]))
    def an_exception_ends_it(self, code, text, sensor, cause):
        self.bad += 1
        rungs.crash(self.r, code, text, sensor)
        self.note = b"X"
        self.boot(cause)

    @rule(raw=st.binary(min_size=1, max_size=10))
    def flash_does_not_take_the_crash(self, raw):
        self.bad += 1
        self.note = b"C" + raw
        self.boot(WATCHDOG)

    @rule(cause=st.sampled_from([WATCHDOG, PIN, SOFT]))
    def it_is_restarted_on_purpose(self, cause):
        self.note = b"R"
        strikes = self.r[rungs.STRIKES]
        self.boot(cause)
        assert self.r[rungs.STRIKES] == strikes

    @rule(chip=st.booleans())
    def it_sleeps(self, chip):
        rungs.settled(self.r)
        self.bad = 0
        self.note = b"D" if chip else b""
        self.boot(WATCHDOG if chip else SLEEP)
        assert self.wake

    # -- what happens in between

    @rule(gated=st.booleans(), n=st.integers(0, 3), lucky=st.booleans())
    def it_says_what_it_is(self, gated, n, lucky):
        rungs.about(self.r, gated, NAMES[:n], lucky)

    @precondition(lambda self: not rungs.safe(self.r))
    @rule()
    def it_sends(self):
        rungs.sent(self.r)

    @precondition(lambda self: not rungs.safe(self.r))
    @rule(hours=st.integers(1, 48))
    def an_hour_is_good(self, hours):
        if rungs.settled(self.r, hours):
            self.note = b"R"
            self.boot(WATCHDOG)
        self.bad = 0

    @rule(times=st.integers(1, 4))
    def nobody_answers(self, times):
        for _ in range(times):
            self.no_answer()

    def no_answer(self):
        before = json.loads(json.dumps(self.r))
        self.unanswered += 1
        ends = rungs.asked(self.r)
        if before[rungs.TRIAL]:
            assert ends is (self.unanswered > rungs.MOST_ASKED)
        if ends:
            assert before[rungs.TRIAL]
            self.note = b"R"
            self.boot(SOFT)
        elif not before[rungs.TRIAL]:
            assert self.r == before  # a gateway that is dead never counts against an image that is confirmed

    @rule()
    def somebody_answers(self):
        release = self.r[rungs.RELEASE] if self.r[rungs.TRIAL] else 0
        rungs.answered(self.r)
        assert not self.r[rungs.TRIAL]
        assert self.r[rungs.FLOOR] >= release

    @precondition(lambda self: not self.r[rungs.TRIAL])
    @rule(release=st.integers(1, 100))
    def a_release_is_staged(self, release):
        rungs.stage(self.r, rungs.other(self.r[rungs.SLOT]), release)
        self.unanswered = 0
        self.note = b"R"
        self.boot(SOFT)
        assert rungs.slots(self.r)[0][0] == self.r[rungs.TRIAL]

    @rule()
    def it_cannot_load_the_slot(self):
        first, second = rungs.slots(self.r)[0]
        rungs.found(self.r, second)
        assert rungs.slots(self.r)[0] == (second, first)

    @precondition(lambda self: rungs.safe(self.r))
    @rule()
    def the_safe_mode_lasts_long_enough(self):
        assert rungs.retry(self.r)
        self.note = b"R"
        self.boot(SOFT)
        assert not rungs.safe(self.r)

    # -- what must always hold

    @invariant()
    def the_record_is_sound(self):
        r = self.r
        assert len(r) == len(rungs.new())
        assert json.loads(json.dumps(r)) == r
        assert len(json.dumps(r)) < 1000
        assert r[rungs.SLOT] in ("a", "b")
        assert r[rungs.TRIAL] in ("", rungs.other(r[rungs.SLOT]))
        assert set(r[rungs.QUARANTINE]) <= set(r[rungs.SENSORS])
        assert len(set(r[rungs.QUARANTINE])) == len(r[rungs.QUARANTINE])
        assert r[rungs.PAROLE] not in r[rungs.QUARANTINE]
        assert len(r[rungs.CRASHES]) <= rungs.RING
        assert r[rungs.STRIKES] < rungs.MOST_STRIKES
        assert r[rungs.TRIES] < rungs.MOST_TRIES or not r[rungs.TRIAL]

    @invariant()
    def the_floor_never_sinks(self):
        assert self.r[rungs.FLOOR] >= self.floor
        self.floor = self.r[rungs.FLOOR]

    @invariant()
    def nothing_is_taken_away_without_cause(self):
        if self.r[rungs.SAFE] == 1 and not self.r[rungs.TRYING]:
            assert self.bad >= rungs.MOST_STRIKES

    def teardown(self):
        """From wherever it is, a fault that goes leaves a board that works, within two boots and an hour."""
        self.note = b""
        self.boot(POWER)
        if rungs.safe(self.r):
            rungs.retry(self.r)
            self.note = b"R"
            self.boot(SOFT)
        assert not rungs.safe(self.r)
        rungs.sent(self.r)
        rungs.settled(self.r)
        self.boot(POWER)
        r = self.r
        assert (r[rungs.SAFE], r[rungs.STRIKES], r[rungs.PAROLE]) == (0, 0, "")


TestLife = Life.TestCase
TestLife.settings = examples(60)


def test_a_record_of_an_older_ladder_is_taken_up(tmp_path):
    old = ["b", "", 3, 3, 0, 2]
    data = (7).to_bytes(4, "big") + json.dumps(old).encode()
    from binascii import crc32

    (tmp_path / "ladder-1").write_bytes(data + crc32(data).to_bytes(4, "little"))
    r, at, generation = rungs.load(f"{tmp_path}/")
    assert (r[:6], r[6:], at, generation) == (old, rungs.new()[6:], 0, 7)
    assert rungs.save(f"{tmp_path}/", r)
    assert not (tmp_path / "ladder-0").exists()  # nothing new, nothing written
    rungs.sent(r)
    r[rungs.STRIKES] = 0
    assert rungs.save(f"{tmp_path}/", r)
    assert rungs.load(f"{tmp_path}/")[2] == 8

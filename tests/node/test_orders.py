"""Orders: what a command does to a board, once, and how its result comes back."""

import textwrap

import pytest


@pytest.fixture
def town(desk):
    """`town(code)`: run `code` with everything of orders_desk.py at hand; returns its standard output."""

    def run(code, **options):
        return desk("from orders_desk import *\n" + textwrap.dedent(code), **options)

    return run


def test_an_interval_is_told_in_the_next_uplink_and_holds_after_the_restart(town):
    out = town(
        """
        t = Town(report_s=900)
        t.answers = [{-1: 1800000000, -2: 600, -12: 7}]
        t.run(2000)
        assert t.ladder.reboots == 1 and t.app.uplink.result == (7, 0)
        assert t.app.board.uptime.ahead_s is not None
        t.restart()
        assert t.reports == 600
        t.answers = [{}]
        t.run(31)
        assert t.results[-1] == (7, 0) and t.got[-1][-5] is True     # told soon, and asked about
        n = len(t.results)
        t.run(3000)
        assert len(t.results) == n, t.results                        # answered: told no more
        t.restart()
        t.run(3000)
        assert len(t.results) == n and t.app.uplink.result is None
        print("ok")
        """
    )
    assert out.split() == ["ok"]


def test_a_command_that_comes_twice_is_done_once(town):
    out = town(
        """
        t = Town()
        order = {-12: 9, -14: [3, "empty_mm", 1400]}
        t.answers = [order]
        t.run(1000)
        assert t.ladder.reboots == 1
        from firmware.node import settings
        record = settings.load("/f/")[0]
        assert record["settings"] == {"empty_mm": 1400} and record["done"] == [b"\\0\\1", 9, 0, False], record
        t.restart()
        before = t.desk.disk.operations
        t.answers = [order, order]
        t.run(2000)
        assert t.ladder.reboots == 0 and t.results[-1] == (9, 0), t.results
        assert settings.load("/f/")[0]["settings"] == {"empty_mm": 1400}
        t.answers = [{-12: 10, -14: [1]}]
        t.run(1000)
        assert t.ladder.reboots == 1
        print("ok")
        """
    )
    assert out.split() == ["ok"]


REFUSED = [
    ("{-2: 9}", 61), ("{-2: 86401}", 61), ("{-14: [99]}", 60), ("{-14: []}", 60), ("{-14: 3}", 60), ('{-14: ["reboot"]}', 60),
    ('{-14: [3, "empty_mm"]}', 61), ('{-14: [3, "empty_mm", 99]}', 61), ('{-14: [3, "empty_mm", True]}', 61),
    ('{-14: [3, "empty_mm", 250]}', 61), ('{-14: [3, "colour", 3]}', 61), ('{-14: [3, "x", 1]}', 61), ("{-14: [3]}", 61),
    ("{-14: [4, 868300000, 9, 125000, 5]}", 61), ("{-14: [4, 433000000, 9, 125000, 5, 14]}", 61),
    ("{-14: [4, 868300000, 13, 125000, 5, 14]}", 61), ('{-2: 600, -14: [3, "x", 99]}', 61), ("{-14: [2]}", 62),
]  # fmt: skip


@pytest.mark.produces("order_unknown", "order_value", "order_failed")
def test_what_cannot_be_done_is_refused_by_name_and_changes_nothing(town):
    out = town(
        f"""
        t = Town(report_s=30)
        refused = [{", ".join(f"({payload}, {code})" for payload, code in REFUSED)}]
        t.answers = [dict(p, **{{}}) for p, _ in refused]
        for i, answer in enumerate(t.answers):
            answer[-12] = 100 + i
        t.run(40 * (len(refused) + 3))
        told = dict(t.results)
        assert told == {{100 + i: code for i, (_, code) in enumerate(refused)}}, told
        from firmware.node import settings
        record = settings.load("/f/")[0]
        assert set(record) == {{"done"}} and t.ladder.reboots == 0, record
        from firmware.wire.host.errors import DEVICE_ERRORS
        print(*sorted(set(DEVICE_ERRORS[code] for code in told.values())))
        """
    )
    assert out.split() == ["order_failed", "order_unknown", "order_value"]


def test_settings_that_the_flash_does_not_take_are_not_in_force(town):
    out = town(
        """
        t = Town()
        t.answers = [{-12: 3, -2: 600}]
        answer = t._answer
        def fill(frame):
            t.desk.disk.full = bool(t.answers)
            return answer(frame)
        t._answer = fill
        t.run(2000)
        assert (3, 62) in t.results and t.ladder.reboots == 0, t.results
        from firmware.node import settings
        assert "report_s" not in settings.load("/f/")[0]
        print("ok")
        """
    )
    assert out.split() == ["ok"]


def test_calibration_measures_and_keeps_what_it_found(town):
    out = town(
        """
        Service.KEYS = (4,)
        t = Town()
        Service.script = lambda now: {4: 1234, 3: 0}
        t.answers = [{-12: 4, -14: [2]}]
        t.run(1000)
        from firmware.node import settings
        print(settings.load("/f/")[0]["settings"], t.ladder.reboots, t.app.uplink.result)
        """
    )
    assert out.strip() == "{'empty_mm': 1234} 1 (4, 0)"


def test_a_bay_learns_the_field_of_the_empty_bay(town):
    out = town(
        """
        from firmware.services.calibration import calibrate
        class Field:
            n = 0
            async def read(self):
                self.n += 1
                return 22000 + self.n, 4800 - self.n, 40000 + (900 if self.n == 3 else 0)
        print(sorted(asyncio.run(calibrate(Module(field=Field()))).items()))
        """
    )
    assert eval(out) == [("base_x_nt", 22005), ("base_y_nt", 4795), ("base_z_nt", 40000)]


PLAN = "[4, 868300000, 10, 125000, 5, 14]"


def test_a_radio_plan_is_kept_when_an_answer_comes_on_it(town):
    out = town(
        f"""
        t = Town()
        t.answers = [{{-12: 5, -14: {PLAN}}}]
        t.run(1000)
        assert t.ladder.reboots == 1 and t.radio.settings["sf"] == 9     # tried after the restart
        t.restart()
        t.answers = [None]
        t.run(31)
        assert t.radio.settings["sf"] == 10 and t.radio.settings["freq_hz"] == 868300000
        assert t.got[-1][-12] == 5 and -13 not in t.got[-1] and t.got[-1][-5] is True      # on trial
        t.answers = [{{}}, {{}}]
        t.run(950)
        assert t.results[-2:] == [(5, None), (5, 0)], t.results
        t.restart()
        t.run(950)
        print(t.radio.settings["sf"], t.ladder.reboots)
        """
    )
    assert out.split() == ["10", "0"]


def test_a_radio_plan_falls_back_when_no_answer_comes_and_says_so(town):
    out = town(
        f"""
        t = Town()
        t.answers = [{{-12: 5, -14: {PLAN}}}]
        t.run(1000)
        t.restart()
        t.run(950)
        t.restart()                # a power cut does not begin the trial anew
        n = t.asked
        for _ in range(10):
            if t.ladder.reboots:
                break
            t.run(900)
        assert t.asked - n <= 2, (t.asked, n)
        t.restart()
        t.answers = [{{}}]
        t.run(31)
        print(t.radio.settings["sf"], t.results[-1], t.app.uplink.trial)
        """
    )
    assert out.strip() == "9 (5, 62) False"


def test_more_commands_are_asked_for_at_once(town):
    out = town(
        """
        t = Town()
        t.answers = [{-3: True, -12: 1, -2: 600}, {-3: True, -12: 2, -14: [3, "empty_mm", 1300]}, {-12: 3}]
        t.desk.after(0, lambda: None)
        t.run(920)
        times = [at for at, _, _ in t.radio.sent]
        assert len(times) >= 3 and times[1] - times[0] < 5000 and times[2] - times[1] < 5000, times
        assert t.got[1][-5] is True and t.results[:2] == [(1, 0), (2, 0)]
        assert t.ladder.reboots == 1                        # when the last has come
        assert t.app.uplink.result == (3, 0)
        assert set(t.desk.host.taken()) == {opened(f)[1] for _, f, _ in t.radio.sent}
        print("ok")
        """
    )
    assert out.split() == ["ok"]


def test_a_wired_board_is_answered_over_its_line(town):
    out = town(
        """
        t = Town(wired=True)
        t.answers = [{-3: True, -12: 1, -2: 600}, {-12: 2, -14: [3, "full_mm", 300]}, {}]
        t.run(20)
        assert t.results == [(1, 0)] and t.statuses == ["ok", "ok"], (t.results, t.statuses)
        assert t.ladder.reboots == 1
        t.restart()
        t.answers = [{}]
        t.run(2)
        assert t.results[-1] == (2, 0) and t.reports == 600 and t.statuses == ["ok"] * 3
        # what is no answer to the frame sent last is refused, and so is a second one
        last = opened(t.desk.host.of(1)[-1][2])[1]
        say = t.desk.host.say
        for frame in (seal(KEYS, last, b"\\xa0", down=True), seal(KEYS, last - 1, b"\\xa0", down=True), b"", "text", bytes(200)):
            say(link.send(50, frame, 0, {}))
        t.run(3)
        print(*t.statuses[3:])
        """
    )
    assert out.split() == ["stale", "stale", "short", "format", "long"] or out.split()[-1] in ("kid", "long", "version")


def test_a_power_cut_at_every_write_leaves_the_order_done_or_not_begun(town):
    out = town(
        """
        order = {-12: 6, -2: 600, -14: [3, "empty_mm", 1300]}
        cuts = done = 0
        while True:
            t = Town(wired=True)
            t.answers = [order]
            answer = t._answer
            def cut(frame):
                t.desk.disk.cut_after = cuts
                return answer(frame)
            t._answer = cut
            try:
                t.run(8)
            except PowerCut:
                pass
            whole = t.desk.disk.power is not None
            t.desk.disk.cut_after = None
            t._answer = answer
            t.restart()
            from firmware.node import settings
            record = settings.load("/f/")[0]
            if record:
                assert record["report_s"] == 600 and record["settings"] == {"empty_mm": 1300}, record
                assert record["done"] == [b"\\0\\1", 6, 0, False] and t.app.uplink.result == (6, 0), record
                done += 1
            else:
                assert t.reports == 900 and t.app.uplink.result is None
            t.answers = [order] * 3                             # it is given again until its result comes
            t.run(8)
            assert settings.load("/f/")[0]["report_s"] == 600
            cuts += 1
            if whole:
                break
        print(cuts, done)
        """,
        timeout_s=100,
    )
    cuts, done = map(int, out.split())
    assert cuts >= 3
    assert 0 < done < cuts


SLEEPING = """
import sleep_desk
from orders_desk import *

class Asleep(sleep_desk.Sleeper):
    "A board that sleeps, and a gateway that answers it."

    answers, got = [], []

    def on(self):
        super().on()
        send = self.radio.send

        async def air(frame=None):
            toa = await send(frame)
            payload, piv = opened(frame)
            self.got.append(payload)
            if -5 in payload and self.answers:
                answer = seal(KEYS, piv, cbor.dumps(self.answers.pop(0)), down=True)
                self.radio.incoming.append((now_ms() + 1000, answer, -80, 20))
            return toa

        self.radio.send = air

Service.script = script
"""


@pytest.mark.parametrize("profile", ["deep", "gated"])
def test_a_board_that_sleeps_obeys_in_one_wake_and_tells_in_the_next(town, profile):
    out = town(
        SLEEPING
        + f"""
Asleep.answers = [{{-12: 3, -3: True, -14: [3, "empty_mm", 1400]}}, {{-12: 4, -2: 1200}}, {{}}]
t = Asleep(radio_config(settings=dict(SETTINGS), limits=LIMITS, report_s=900), "{profile}", 5)
t.wakes(6)
from firmware.node import settings
record = settings.load("/f/")[0]
assert record["settings"] == {{"empty_mm": 1400}} and record["report_s"] == 1200, record
assert record["done"] == [b"\\0\\1", 4, 0, True], record
print([(p[-12], p.get(-13)) for p in t.got if -12 in p], -12 in t.got[-1])
"""
    )
    assert out.strip() == "[(3, 0), (4, 0)] False"

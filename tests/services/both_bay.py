"""The detector of a parking bay, sample by sample, under both interpreters. Fields in nT, a sample every 10 s."""

from firmware.services.parking import Bay, Service
from firmware.wire.errors import DeviceError

EMPTY = (22000, 5000, 40000)
CAR = (31000, 3000, 52000)
OTHER = (14000, -6000, 45000)
BASE = {"base_x_nt": 22000, "base_y_nt": 5000, "base_z_nt": 40000}


class Run:
    """A bay and its clock."""

    def __init__(self, settings=BASE):
        self.bay = Bay(settings)
        self.now_s = 0
        self.changes = []

    def stay(self, field, seconds, drift=(0, 0, 0)):
        """Hold a field for so long, drifting to field + drift; return where it ended."""
        steps = seconds // 10
        for i in range(1, steps + 1):
            x, y, z = [field[axis] + drift[axis] * i // steps for axis in range(3)]
            if self.bay.update(x, y, z, self.now_s):
                self.changes.append((self.now_s, self.bay.occupied))
            self.now_s += 10
        return moved(field, drift)


def moved(field, by):
    return tuple(field[axis] + by[axis] for axis in range(3))


def check_known_baseline_is_right_after_two_samples():
    for field, taken in ((EMPTY, False), (CAR, True)):
        run = Run()
        run.stay(field, 20)
        assert run.bay.occupied is taken
        assert run.bay.trusted
        assert run.changes == []  # the state at the boot is no change
        assert run.bay.reading(20)[8] == 100


def check_change_is_told_within_the_dwell():
    run = Run()
    run.stay(EMPTY, 600)
    run.stay(CAR, 600)
    run.stay(EMPTY, 600)
    assert [taken for _, taken in run.changes] == [True, False]
    assert run.changes[0][0] - 590 <= 30
    assert run.changes[1][0] - 1190 <= 30
    assert run.bay.reading(1800) == {6: False, 7: 600, 8: 100}


def check_who_passes_is_no_change():
    run = Run()
    run.stay(EMPTY, 600)
    for _ in range(50):
        run.stay(CAR, 10)
        run.stay(EMPTY, 20)
    run.stay(CAR, 600)
    for _ in range(50):
        run.stay(EMPTY, 10)
        run.stay(CAR, 20)
    assert [taken for _, taken in run.changes] == [True]


def check_hysteresis():
    run = Run()
    run.stay(EMPTY, 600)
    run.stay(moved(EMPTY, (0, 0, 2900)), 100)
    assert run.changes == []
    run.stay(moved(EMPTY, (0, 0, 9000)), 600)
    run.stay(moved(EMPTY, (0, 0, 2900)), 100)
    assert len(run.changes) == 1
    assert run.bay.occupied
    run.stay(moved(EMPTY, (0, 0, 1500)), 100)
    assert len(run.changes) == 2
    assert not run.bay.occupied


def check_baseline_moves_with_the_drift_under_a_car():
    """20 uT of drift in eight hours with a car in the bay: the car's leaving is seen at once, and so is the next one."""
    drift = (20000, -12000, 8000)
    run = Run()
    run.stay(EMPTY, 3600)
    run.stay(CAR, 8 * 3600, drift)
    here = run.stay(moved(EMPTY, drift), 3600)
    assert run.changes[-1][0] <= 9 * 3600 + 20
    assert not run.bay.occupied
    run.stay(moved(here, (0, 9000, 0)), 600)
    assert [taken for _, taken in run.changes] == [True, False, True]


def check_baseline_follows_while_empty():
    run = Run()
    here = run.stay(EMPTY, 12 * 3600, (20000, 15000, -20000))
    assert run.changes == []
    run.stay(moved(here, (4000, 0, 0)), 600)
    assert run.bay.occupied


def check_neighbours_do_not_matter():
    """They come and go, on both sides, with a car in the bay and without."""
    left, right = (900, 500, -1100), (-300, 1200, 900)
    both = moved(left, right)
    run = Run()
    for field in (EMPTY, CAR, EMPTY):
        for beside in ((0, 0, 0), left, both, right, (0, 0, 0), both, (0, 0, 0), right):
            run.stay(moved(field, beside), 400)
    assert [taken for _, taken in run.changes] == [True, False]


def check_car_at_boot_without_baseline():
    """One stay and one gap are wrong and said with little confidence; from the next car on all is right."""
    run = Run({})
    run.stay(CAR, 1800)
    assert run.bay.occupied is False
    assert run.bay.reading(run.now_s)[8] <= 25
    run.stay(EMPTY, 1800)
    assert run.bay.occupied is True
    assert run.bay.reading(run.now_s)[8] <= 25
    run.stay(OTHER, 1800)
    assert run.bay.occupied is True
    assert run.bay.trusted
    assert run.bay.reading(run.now_s)[7] <= 1800
    assert run.bay.reading(run.now_s)[8] > 50
    for field, taken in ((EMPTY, False), (CAR, True), (EMPTY, False), (OTHER, True)):
        run.stay(field, 1800)
        assert run.bay.occupied is taken


def check_empty_at_boot_without_baseline():
    run = Run({})
    run.stay(EMPTY, 600)
    assert run.bay.occupied is False
    assert run.bay.reading(600)[8] <= 25
    run.stay(CAR, 60)
    run.stay(moved(CAR, (6000, 0, -3000)), 600)  # it moves on by half a metre
    assert run.bay.occupied
    run.stay(EMPTY, 600)
    assert run.bay.occupied is False
    assert run.bay.trusted
    assert run.bay.reading(run.now_s)[8] == 100


def check_aged_baseline_heals():
    """A written baseline that is 12 uT wrong says `taken` for ever, until a car has come and gone."""
    run = Run()
    aged = moved(EMPTY, (0, -12000, 0))
    run.stay(aged, 1800)
    assert run.bay.occupied is True
    run.stay(moved(aged, (9000, 0, 9000)), 1800)
    run.stay(aged, 600)
    assert run.bay.occupied is False
    run.stay(moved(aged, (0, 0, 9000)), 600)
    assert run.bay.occupied is True


def check_two_cars_without_a_gap():
    run = Run()
    run.stay(EMPTY, 600)
    run.stay(CAR, 1800)
    run.stay(OTHER, 1800)
    assert run.bay.occupied
    assert len(run.changes) == 1
    run.stay(EMPTY, 600)
    assert run.bay.occupied is False


def check_state_outlives_a_reset():
    run = Run({})
    assert run.bay.state() == b""
    run.stay(EMPTY, 600)
    run.stay(CAR, 600)
    run.stay(EMPTY, 600)
    state = run.bay.state()
    assert len(state) == 13
    again = Run({})
    again.bay.restore(state)
    again.stay(CAR, 20)
    assert again.bay.occupied is True
    assert again.bay.trusted


def check_a_long_silence_is_no_long_step():
    """An hour without samples must not carry a passing field into the baseline."""
    run = Run()
    run.stay(EMPTY, 600)
    run.now_s += 3600
    run.stay(moved(EMPTY, (2500, 0, 0)), 10)
    run.stay(moved(EMPTY, (0, 2990, 0)), 10)
    assert run.bay._base[0] < (22000 + 300) * 64


def check_settings_that_cannot_be():
    for settings in ({"enter_nt": 2000, "leave_nt": 2000}, {"dwell_s": 15}, {"leave_nt": 0}, {"drift_s": 0}):
        assert fault(settings) == "config"
    assert fault({"enter_nt": 5000, "sample_s": 5, "dwell_s": 10}) is None


def fault(settings):
    try:
        Service(settings, {"field": None})
    except DeviceError as error:
        return error.name
    return None

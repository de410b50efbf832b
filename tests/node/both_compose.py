"""One payload of two readings: what goes in arrays, what fits, and that the receiver reads what was meant."""

from firmware.node.compose import compose, shown, with_repeat
from firmware.wire.cbor import loads
from firmware.wire.errors import DeviceError
from firmware.wire.host.payload import entries
from firmware.wire.quantities import (
    AGE,
    ANSWER,
    BATTERY,
    BUTTON,
    DISTANCE,
    ERROR,
    FILL,
    FIRMWARE,
    LATITUDE,
    LONGITUDE,
    OCCUPIED,
    REPEATS,
    RESET_CAUSE,
    STATE_TIME,
    STEP,
    TEMPERATURE,
    TILTED,
    TOKEN,
    WATER_TEMPERATURE,
    WAVE_HEIGHT,
    WAVE_PERIOD,
)

BIN = {BATTERY: 3587, TEMPERATURE: 214, FILL: 73, DISTANCE: 412, TILTED: False}
BIN_BEFORE = {BATTERY: 3590, TEMPERATURE: -7, FILL: 71, DISTANCE: 440, TILTED: True}
BUOY = {
    BATTERY: 3902, WATER_TEMPERATURE: 1683, WAVE_HEIGHT: 87, WAVE_PERIOD: 64, LATITUDE: 5138472, LONGITUDE: 312765,
}  # fmt: skip


def made(newest, limit=255, **options):
    buf = bytearray(255)
    n = compose(buf, limit, newest, dict(options.pop("extras", ())), **options)
    assert n <= limit
    return loads(bytes(buf[:n]))


def check_a_repeat_is_read_as_the_reading_before():
    payload = made(BIN, before=BIN_BEFORE, step_s=900)
    old, new = entries(payload, 41)
    assert old == (40, "repeat", 900, {k: v for k, v in BIN_BEFORE.items() if k != BATTERY})
    assert new == (41, "direct", 0, BIN)
    assert payload[REPEATS] == 1
    assert payload[STEP] == 900


def check_only_what_both_have_is_in_arrays():
    payload = made({FILL: 1, DISTANCE: 900, BATTERY: 1}, before={FILL: 3, TEMPERATURE: 200, BATTERY: 2}, step_s=1)
    assert payload == {FILL: [3, -2], DISTANCE: 900, BATTERY: 1, STEP: 1, REPEATS: 1}


def check_position_bytes_buttons_alarms_age_and_control_are_never_in_arrays():
    alone = {LATITUDE: 5138472, LONGITUDE: 312765, BUTTON: 1, TOKEN: b"1234", BATTERY: 3000, ERROR: 3}
    assert with_repeat(dict(alone, **{}), alone, 60) is None
    payload = made(dict(alone, **{}), before=alone, step_s=60, extras=[(AGE, 4), (ANSWER, True)])
    assert payload[LATITUDE] == 5138472
    assert REPEATS not in payload
    assert STEP not in payload
    both = made(BUOY, before=dict(BUOY), step_s=1800)
    assert both[WAVE_HEIGHT] == [87, 0]
    assert both[LATITUDE] == BUOY[LATITUDE]
    assert [e[3].get(LATITUDE) for e in entries(both, 9)] == [None, BUOY[LATITUDE]]


def check_booleans_are_themselves_and_never_mixed_with_numbers():
    payload = made({OCCUPIED: True, STATE_TIME: 0}, before={OCCUPIED: False, STATE_TIME: 1847}, step_s=7)
    assert payload[OCCUPIED] == [False, True]
    assert payload[STATE_TIME] == [1847, -1847]
    assert [e[3] for e in entries(payload, 2)] == [{OCCUPIED: False, STATE_TIME: 1847}, {OCCUPIED: True, STATE_TIME: 0}]


def check_bytes_are_a_scalar():
    payload = made({99: b"new", FILL: 2}, before={99: b"old", FILL: 2}, step_s=5)
    assert payload[99] == b"new"
    assert payload[FILL] == [2, 0]


def check_without_a_true_step_there_is_no_repeat():
    for step_s in (0, -3):
        assert REPEATS not in made(BIN, before=BIN_BEFORE, step_s=step_s)


def check_the_low_rate_profile_drops_first_the_repeat_then_what_can_wait():
    room = 50 - 13
    assert REPEATS in made(BIN, room, before=BIN_BEFORE, step_s=900)
    full = [(RESET_CAUSE, 1), (FIRMWARE, "0.1.0"), (ANSWER, True)]
    payload = made(BIN, room, before=BIN_BEFORE, step_s=900, extras=full)
    assert REPEATS not in payload
    assert payload[FIRMWARE] == "0.1.0"
    payload = made(BUOY, room, before=BUOY, step_s=900, extras=full)
    assert FIRMWARE not in payload
    assert payload[ANSWER] is True
    assert payload[LATITUDE] == BUOY[LATITUDE]


def check_a_reading_that_never_fits_has_a_name():
    name = None
    try:
        made(dict.fromkeys(range(24, 40), 1 << 20), 37)
    except DeviceError as error:
        name = error.name
    assert name == "config"


def check_every_length_of_payload_keeps_its_limit():
    for limit in range(10, 60):
        reading = dict(BIN)
        try:
            payload = made(reading, limit, before=BIN_BEFORE, step_s=900, extras=[(AGE, 70000), (ERROR, 13)])
        except DeviceError:
            assert limit < 30
        else:
            assert payload[FILL] == 73 or payload[FILL] == [71, 2]


def check_the_log_shows_quantities_alone():
    assert shown({FILL: 73, BATTERY: 3500, TILTED: True, AGE: 3, ERROR: 1, TOKEN: b"\x01\xff"}) == (
        '{"1":3500,"3":73,"5":true,"21":"01ff"}'
    )

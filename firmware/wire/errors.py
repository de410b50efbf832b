"""Every error of the project has a name, and this is the table that firmware, daemon and tools share.

The names of refused frames, and of what only a host can run into, are beside it in host/errors.py.
"""

# What a board reports of itself, each name behind its number under key -7. One text, because a board has no room for a
# table; hosts have it as DEVICE_ERRORS of host/errors.py.
CODES = (
    "1 sensor_silent 2 sensor_checksum 3 sensor_range 4 sensor_id 5 sensor_bus 6 sensor_power_on "
    "10 radio_absent 11 radio_busy 12 radio_tx 13 radio_duty "
    "20 store 21 queue_full 22 counter 30 config 31 identity 32 config_older 33 state_lost "
    "34 quarantine 35 safe_mode 36 task_late 37 watchdog 40 exception "
    "50 update_signature 51 update_release 52 update_board 53 update_bytecode 54 update_damaged 55 update_room "
    "56 update_reverted "
    "60 order_unknown 61 order_value 62 order_failed "
    "63 console_auth 64 console_rate 65 console_request"
)

# MicroPython's compiler puts the value in place of a name that is set by const(); elsewhere it is the value itself.
const = int


class WireError(Exception):
    """A frame, a payload or a message that is not accepted; `name` is one of FRAME_ERRORS (host/errors.py)."""

    def __init__(self, name):
        super().__init__(name)
        self.name = name


class DeviceError(Exception):
    """A fault of a board's own parts; `name` is one of CODES, `code` its number under key -7."""

    def __init__(self, name, detail=""):
        super().__init__(name, detail)
        self.name = name
        self.detail = detail
        words = CODES.split()
        self.code = int(words[words.index(name) - 1])

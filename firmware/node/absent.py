"""Stands for a sensor that a service cannot do without and that is not there."""

from firmware.wire.errors import DeviceError


class Absent:
    """Whatever is asked of it is refused with DeviceError(error, name)."""

    def __init__(self, error, name):
        self._why = error, name

    async def _refuse(self, *args):
        raise DeviceError(self._why[0], self._why[1])

    def __getattr__(self, name):
        return self._refuse

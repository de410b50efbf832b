"""A sensor that leaves a note while it is asked: when that is the board's end, the boot ladder knows whom to suspect."""

import asyncio
import sys

from firmware.wire.errors import DeviceError, const

_ANSWER_MS = const(15000)  # three times what the slowest takes that does not say otherwise (answer_ms)


class Watched:
    """`driver` under the name `name`; suspect(name) notes it, suspect() takes that back."""

    def __init__(self, driver, name, suspect):
        self._driver = driver
        self._name = name
        self._suspect = suspect

    def __getattr__(self, name):
        found = getattr(self._driver, name)
        if not callable(found):
            return found

        def ask(*args):
            self._suspect(self._name)
            try:
                out = found(*args)
            except Exception:
                self._suspect()  # it has answered, if badly: a later bite is not its doing
                raise
            if hasattr(out, "send"):
                return self._wait(out)
            self._suspect()
            return out

        return ask

    async def _wait(self, reading):
        try:
            return await asyncio.wait_for_ms(reading, getattr(self._driver, "answer_ms", _ANSWER_MS))
        except asyncio.TimeoutError:
            raise DeviceError("sensor_silent", self._name)
        except DeviceError:
            raise
        except Exception as error:  # a driver's own mistake must not take its service along
            sys.print_exception(error)
            raise DeviceError("exception", self._name)
        finally:
            self._suspect()

"""A sensor that leaves a note while it is asked: when that is the board's end, the boot ladder knows whom to suspect."""


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
            out = found(*args)
            if hasattr(out, "send"):
                return self._wait(out)
            self._suspect()
            return out

        return ask

    async def _wait(self, reading):
        try:
            return await reading
        finally:
            self._suspect()

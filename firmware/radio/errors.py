"""The error of a radio that was given no class of its own, and `const` where there is no MicroPython."""

const = int  # MicroPython's compiler puts the number in place and needs none of this


class RadioError(Exception):
    """`name` is one of README.md's table, `detail` free text."""

    def __init__(self, name, detail=""):
        super().__init__(name, detail)
        self.name = name
        self.detail = detail

"""The error of a radio that was given no class of its own: `name` is one of README.md's table, `detail` free text."""


class RadioError(Exception):
    def __init__(self, name, detail=""):
        super().__init__(name, detail)
        self.name = name
        self.detail = detail

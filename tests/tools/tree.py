"""The whole command tree, and what each of its commands is: for the tests that hold every one of them to the same manners."""

import click

from tools import cli


def walk(command, path):
    yield path, command
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from walk(child, f"{path} {name}")


def commands():
    """{"keys new": command} of the tree, groups among them."""
    return {path: found for name, row in cli.COMMANDS.items() for path, found in walk(cli.load(row), name)}


def options(command):
    return {word for param in command.params if isinstance(param, click.Option) for word in param.opts}


def is_leaf(command):
    return not isinstance(command, click.Group) or command.invoke_without_command


# What answers nothing that a program reads, and why.
NO_JSON = {
    "gateway run": "a daemon: --events says every event as a line of JSON",
    "completion": "prints a script, for a shell",
}

# Every command that only looks.
LOOKS = {
    "gateway check", "check", "record", "bundle check", "listen", "decode", "board status", "board counters", "board log",
    "board readings", "board selftest", "plan battery", "keys list", "keys check", "doctor", "completion", "release check",
    "twin",
}  # fmt: skip

# Every other one changes something: True where -n says what it would do, else why it needs none.
CHANGES = {
    "gateway init": "makes an empty store, and never over one",
    "gateway backup": "writes one new file, which was named",
    "gateway restore": "writes into a folder where nothing is yet",
    "gateway run": "the daemon",
    "gateway alarms": "--clear: the alarm is raised again when it comes again",
    "command": True,
    "flash": True,
    "label": "writes the files that were asked for, and draws them anew each time",
    "sheet": "writes the files that were asked for, and draws them anew each time",
    "wiring": "writes the drawing that was asked for, and draws it anew each time",
    "bundle": True,
    "board calibrate": "the board judges it; set takes it back",
    "board set": "the board judges it; set takes it back",
    "board interval": "the board judges it; interval takes it back",
    "board reboot": "nothing is left of it",
    "board production": "off takes it back",
    "board open": "the next boot takes it back",
    "board update": "the board tries it, and takes the old release back if it is not heard",
    "keys new": True,
    "keys rotate": True,
    "keys retire": True,
    "keys export": "derived anew each time, from secrets that stay",
    "keys lock": "changes how the file is kept, not what is in it",
    "keys passphrase": "changes how the file is kept, not what is in it",
    "support": True,
    "release key": "never overwrites a key",
    "release build": "equal sources make equal bundles",
}

# Which ask a person something (a passphrase, a yes), so that a script must be able to say: never.
ASKS = {
    "gateway backup", "gateway restore", "flash", "decode", "keys new", "keys rotate", "keys retire", "keys list", "keys check",
    "keys export", "keys lock", "keys passphrase", "release key", "release build",
    *(f"board {name}" for name in ("status", "counters", "log", "readings", "selftest", "calibrate", "set", "interval", "reboot",
                                   "production", "open", "update")),
}  # fmt: skip

# Words that make each command fail in an empty folder, at once; and the code of the table that it then ends with.
FAILS = {
    "twin": ("--inventory none.yaml", 3), "gateway init": ("", 3), "gateway backup": ("x.backup", 3),
    "gateway restore": ("none --into new", 3), "gateway run": ("", 3), "gateway check": ("", 3), "gateway alarms": ("", 3),
    "command": ("bin-quai time", 3), "check": ("", 3), "flash": ("bin-quai", 3), "label": ("bin-quai", 3),
    "sheet": ("bin-quai", 3), "record": ("--record /dev/null/x --verify", 3), "bundle": ("", 3), "bundle check": ("none", 12),
    "listen": ("--broker mqtt://127.0.0.1:1", 11), "decode": ("00", 1), "board status": ("/dev/no-such", 4),
    "board counters": ("/dev/no-such", 4), "board log": ("/dev/no-such", 4), "board readings": ("/dev/no-such", 4),
    "board selftest": ("/dev/no-such", 4), "board calibrate": ("/dev/no-such", 4), "board set": ("/dev/no-such empty_mm=1", 4),
    "board interval": ("/dev/no-such 600", 4), "board reboot": ("/dev/no-such", 4), "board production": ("/dev/no-such on", 4),
    "board open": ("/dev/no-such", 4), "board update": ("/dev/no-such none.zip", 4), "plan battery": ("", 3), "wiring": ("x", 3),
    "keys new": ("bin-quai", 3), "keys rotate": ("bin-quai", 3), "keys retire": ("0002", 3), "keys list": ("", 0),
    "keys check": ("", 3), "keys export": ("", 3), "keys lock": ("", 3), "keys passphrase": ("", 3),
    "doctor": ("--port /dev/no-such", 4), "support": ("--out none/x.zip", 12), "completion": ("csh", 2), "release key": ("", 2),
    "release build": ("", 3), "release check": ("none.zip", 3),
}  # fmt: skip


def line(path, words):
    """The words of a command line: of `board set`, the target comes before the verb."""
    first, _, rest = path.partition(" ")
    if first == "board" and rest:
        target, _, more = words.partition(" ")
        return [first, target, rest, *more.split()]
    return [*path.split(), *words.split()]


def parsed(words):
    """Does click take this command line? Nothing is run."""
    ctx = cli.jourdain.make_context("jourdain", words)
    while isinstance(ctx.command, click.Group) and (rest := [*ctx._protected_args, *ctx.args]):
        name, command, rest = ctx.command.resolve_command(ctx, rest)
        ctx = command.make_context(name, rest, parent=ctx)
    return ctx.command

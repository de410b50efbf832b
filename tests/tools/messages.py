"""Every text of the command that a person reads, from the sources: what must be in the French catalogue."""

import ast
import inspect
import re
from pathlib import Path

import click

from firmware.wire.host.rows import ROWS
from gateway.inventory_checks import Report
from gateway.inventory_entries import SENTENCES
from gateway.presets import parts, presets
from tools import cli
from tools.diag import decode
from tools.wiring import draw

ROOT = Path(__file__).resolve().parent.parent.parent
# Methods that take a sentence with {names} (gateway/yamlfile.py, gateway/inventory_*.py), and at which argument.
SENTENCE_AT = {"add": 1, "need": 2, "fault": 2, "stop": 1, "refuse": 0, "Fault": 3}


def constant(node):
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def calls(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            yield name, node.args


def wrapped(path):
    """Arguments of `_()` and `n_()`."""
    for name, args in calls(path):
        if name == "_" and args and constant(args[0]):
            yield constant(args[0])
        elif name == "n_":
            yield (constant(args[0]), constant(args[1]))


def said(path):
    """Constant sentences of HostError(name, what, where, hint), which tools/errors.py translates when it says them."""
    for name, args in calls(path):
        if name == "HostError":
            yield from (text for at in (1, 3) if at < len(args) and (text := constant(args[at])))


def sentences(path):
    """Sentences of the faults of boards.yaml, and the fixed parts of those that are put together."""
    for name, args in calls(path):
        at = SENTENCE_AT.get(name)
        if at is not None and at < len(args) and constant(args[at]):
            text = constant(args[at])
            if " " in text:
                yield text


def kinds(path):
    """`unknown ...` of the faults that suggest something."""
    for name, args in calls(path):
        if name == "unknown":
            texts = [constant(node) for arg in args[3:] for node in ast.walk(arg)]
            yield from (f"unknown {text}" for text in texts or ["key"] if text)


def helps(command):
    for text in (command.help, command.short_help, command.epilog):
        if text and not text.startswith("\b"):  # one that the command has laid out already, when another test loaded it
            yield text
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.help:
            yield parameter.help
    for child in getattr(command, "commands", {}).values():
        yield from helps(child)


def of_presets():
    """What the drawing and the shopping list say out of the presets: names of things, notes of terminals, colours."""
    known = presets()
    things = [*known.boards.values(), *known.radios.values(), *known.drivers.values(), *parts().values()]
    found = {thing.title for thing in things} | {thing.buy.what for thing in things if thing.buy}
    for thing in things:
        found |= {terminal.note for terminal in getattr(thing, "terminals", ()) if terminal.note}
    for chip in known.chips.values():
        found |= {*chip.strapping.values(), *chip.taken.values()}
    found |= {kind.top for kind in known.boards.values()} | set(draw.PAINT)
    return {text for text in found if re.search(r"\b[a-z]{2,}", text)}  # a name is the same in every language


def ours():
    found = set()
    for path in [*(ROOT / "tools").rglob("*.py"), ROOT / "gateway/command.py"]:
        if path.exists() and "twin/board" not in str(path):
            found |= {*wrapped(path), *said(path)}
    for path in [*(ROOT / "gateway").glob("inventory*.py"), ROOT / "gateway/pins.py"]:
        found |= {*sentences(path), *kinds(path)}
    found |= set(sentences(ROOT / "gateway/yamlfile.py"))
    found |= set(SENTENCES.values())
    found.add(inspect.signature(Report.need).parameters["text"].default)
    found |= {text for pair in decode._MEANING.values() for text in pair}
    found |= {row[1] for row in ROWS if row[0] > 0}
    found |= of_presets()
    for lazy in cli.COMMANDS.values():
        found.add(lazy.help)
        module, _, attribute = lazy.target.partition(":")
        command = getattr(__import__(module, fromlist=[attribute]), attribute)
        found |= set(helps(command))
    return found


# What click says to whoever writes a command, not to whoever uses one.
PROGRAMMERS = ("Could not determine name", "No options defined", "defined twice", "Boolean option", "Arguments take exactly",
               "Invalid start character", "Unknown color")  # fmt: skip


def of_click():
    """The texts of click itself that our commands can show."""
    folder = Path(click.__file__).parent
    found = set()
    for name in ("core.py", "exceptions.py", "formatting.py", "parser.py", "types.py", "decorators.py", "termui.py"):
        for call, args in calls(folder / name):
            if call in ("_", "gettext") and args and constant(args[0]):
                if not any(word in constant(args[0]) for word in PROGRAMMERS):
                    found.add(constant(args[0]))
            elif call == "ngettext":
                found.add((constant(args[0]), constant(args[1])))
    return found


def names(text):
    return sorted(set(re.findall(r"\{(\w+)", text)))

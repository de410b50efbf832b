"""The command `jourdain`. A subcommand is imported when it is asked for, so that `--help` costs click and nothing else."""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

import click

from gateway.errors import HostError
from tools import errors
from tools.examples import a_line_each, epilog
from tools.i18n import _, n_


class Lazy(NamedTuple):
    """A subcommand: where it is, the extra that it needs, and its line in the list.

    takes: for completion, "board" where its first word is the name of one, "boards" where each of its words is.
    """

    target: str
    extra: str
    help: str
    takes: str = ""


# In the order of the help: on the way to a board in service, then what looks further.
COMMANDS = {
    "check": Lazy("tools.check:check", "gateway", "Check boards.yaml and name every fault with its line."),
    "keys": Lazy("tools.keys.command:keys", "gateway", "Make the keys of boards."),
    "wiring": Lazy("tools.wiring.command:wiring", "gateway", "Show which wire of a board goes where, and what to buy.", "board"),
    "bundle": Lazy("tools.bundle.command:bundle", "tools", "Put all that flashing needs into one file, to work off line."),
    "flash": Lazy("tools.flash.command:flash", "tools", "Put firmware, configuration and key onto a board.", "boards"),
    "label": Lazy("tools.label.command:label", "tools", "Make labels with a QR code, one by one or on a sheet.", "boards"),
    "sheet": Lazy("tools.label.sheet:sheet", "tools", "Make the commissioning sheet of a board.", "board"),
    "record": Lazy("tools.label.record:record", "tools", "Show what was done to boards: who, when, with what result.", "board"),
    "board": Lazy("tools.diag.board:board", "tools", "Ask a running board, and set it up, over its cable.", "board"),
    "doctor": Lazy("tools.doctor.command:doctor", "gateway", "Find what is wrong between machine, cable, board and broker."),
    "support": Lazy("tools.support:support", "gateway", "Gather what somebody who helps needs to see, without secrets."),
    "plan": Lazy("tools.plan.command:plan", "gateway", "Compute how long the batteries of a fleet last."),
    "release": Lazy("tools.release.command:release", "tools", "Make the release key and signed releases."),
    "decode": Lazy("tools.diag.decode:decode", "gateway", "Open one frame and name every field."),
    "listen": Lazy("tools.diag.listen:listen", "tools", "Show the readings that a broker delivers."),
    "command": Lazy("tools.diag.orders:command", "gateway", "Ask a board for something: interval, settings, restart.", "board"),
    "gateway": Lazy("gateway.command:gateway", "gateway", "Run or look at the gateway's daemon."),
    "twin": Lazy("tools.twin.command:twin", "twin", "Run a simulated town: real firmware, daemon and broker."),
    "completion": Lazy("tools.completion:completion", "", "Print the script that completes this command in a shell."),
}


class Root(click.Group):
    """The command tree; its leaves are imported late and speak the user's language."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        lazy = COMMANDS.get(cmd_name)
        return load(lazy) if lazy else None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not ctx.resilient_parsing and not name.startswith("-"):
            from difflib import get_close_matches  # noqa: PLC0415 - only for a slip

            near = get_close_matches(name, COMMANDS, n=3, cutoff=0.5)
            names = ", ".join(near or COMMANDS)
            said = n_("Did you mean {possibility}?", "(Did you mean one of: {possibilities}?)", len(near))
            said = said.format(possibility=names, possibilities=names) if near else _("There are: {names}").format(names=names)
            raise click.UsageError(_("No such command {name!r}.").format(name=name) + " " + said, ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section(_("Commands")):
            formatter.write_dl([(name, _(lazy.help)) for name, lazy in COMMANDS.items()])


def load(lazy: Lazy) -> click.Command:
    """Import a subcommand."""
    module, _colon, attribute = lazy.target.partition(":")
    command = getattr(importlib.import_module(module), attribute)
    assert isinstance(command, click.Command)
    path = next((name for name, row in COMMANDS.items() if row is lazy), "")
    return translated(command, path)


def translated(command: click.Command, path: str) -> click.Command:
    """Put the help texts of a command, of its options and of its subcommands into the user's language; give it its examples."""
    examples = epilog(path)
    if examples and not command.epilog:
        command.epilog = _("Examples: {examples}.").format(examples=examples)
    for attribute in ("help", "short_help", "epilog"):
        text = getattr(command, attribute, None)
        if text:
            setattr(command, attribute, _(text))
    command.epilog = a_line_each(command.epilog) if command.epilog else None
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.help:
            parameter.help = _(parameter.help)
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            translated(child, f"{path} {name}")
    return command


def _show_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        click.echo(f"jourdain {errors.version()}")
        ctx.exit()


@click.group(
    cls=Root,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    help=_("One town, one system: bins, parking bays and buoys, from the board to the broker."),
    epilog=a_line_each(_("Examples: `jourdain twin --seconds 60`, `jourdain flash bin-quai --port /dev/ttyACM0`.")),
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help=_("Show the version."))
def jourdain() -> None:
    """The command tree."""


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code; no exception but a debugging one comes out."""
    try:
        if "_JOURDAIN_COMPLETE" in os.environ:
            from tools import completion  # noqa: PLC0415 - only for a shell that asks

            return completion.answer(jourdain, COMMANDS)
        code = jourdain.main(list(arguments), prog_name="jourdain", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else errors.OK
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as error:
        error.show(sys.stderr)
        if "--json" in arguments:
            said = HostError("usage", error.format_message(), "", f"{_prog(error)} --help")
            sys.stdout.write(errors.document(said) + "\n")
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return errors.INTERRUPTED
    except BrokenPipeError:
        return _hush()
    except SystemExit as ended:
        # click catches a broken pipe itself, and leaves nothing of it but its own wrapper around stdout.
        return _hush() if "PacifyFlush" in type(sys.stdout).__name__ else _code(ended)
    except HostError as error:
        return errors.report(error, as_json="--json" in arguments)
    except ModuleNotFoundError as error:
        return errors.report(_not_installed(error, arguments), as_json="--json" in arguments)
    except Exception as error:
        if os.environ.get("JOURDAIN_DEBUG"):
            raise
        return errors.report(errors.unexpected(error), as_json="--json" in arguments)


def _prog(error: click.ClickException) -> str:
    ctx = getattr(error, "ctx", None)
    return ctx.command_path if ctx else "jourdain"


def _code(ended: SystemExit) -> int:
    return ended.code if isinstance(ended.code, int) else errors.OK if ended.code is None else errors.UNEXPECTED


def _not_installed(error: ModuleNotFoundError, arguments: Sequence[str]) -> HostError:
    """A library of an extra that is not here, wherever it was asked for, with the line that installs it."""
    library = (error.name or "").partition(".")[0]
    name = next((word for word in arguments if word in COMMANDS), "")
    if library in ("tools", "gateway", "firmware", "") or not name:
        return errors.unexpected(error)
    what = _("`jourdain {command}` needs {library}, which is not installed").format(command=name, library=library)
    hint = f"{sys.executable} -m pip install 'jourdain[{COMMANDS[name].extra}]'"
    return HostError("missing_tool", what, sys.prefix, hint)


def _hush() -> int:
    """The reader of our output went away, as `head` does: no fault. Whatever is still buffered goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return errors.OK


def main() -> None:
    """Entry point of the installed command."""
    sys.exit(run(sys.argv[1:]))
